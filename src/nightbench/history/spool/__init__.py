"""The spool: rows on disk as they are made, and sealed folders of them."""
