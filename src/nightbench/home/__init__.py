"""The folder where nightbench keeps its state: where it is, whose it is, who may read it."""
