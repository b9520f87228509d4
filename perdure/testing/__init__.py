"""Real parts for tests: a model server that follows a script, over real HTTP."""
