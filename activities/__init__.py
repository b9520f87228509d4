"""Effects: one model call, one tool call, and the opening and closing of a run."""
