"""Language models: which there are, what they are shown, and what they reply."""
