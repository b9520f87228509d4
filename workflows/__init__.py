"""Control flow: what a run decides, and nothing that has an effect."""
