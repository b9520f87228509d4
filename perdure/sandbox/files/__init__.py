"""The files of sandboxes: recorded as checkpoints, and written back from them."""
