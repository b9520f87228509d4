"""Durable language-model agents: what worker, command line and other projects share."""
