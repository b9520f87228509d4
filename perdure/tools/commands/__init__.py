"""Tools that run commands in the sandbox, and what a model is told of them."""
