"""What holds for every run whatever happens to it: promises as queries, and a machine that tries to break them."""
