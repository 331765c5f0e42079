"""Records of data sets, from hubs and from disk."""
