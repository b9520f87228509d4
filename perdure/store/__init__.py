"""The transcript store: an append-only tree of turns, and the runs that point into it."""
