"""Durable language-model agents: the shared parts that the worker, the command line and other projects use."""
