"""Sandboxes on the host itself: in bubblewrap, in nothing, or as plain folders."""
