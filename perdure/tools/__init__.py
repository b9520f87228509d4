"""What an agent can do: tools, the registry that finds them, and the runner of their calls."""
