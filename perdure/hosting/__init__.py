"""One machine's processes: the data directory, the embedded server, and their host."""
