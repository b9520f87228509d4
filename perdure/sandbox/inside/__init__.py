"""The program that works inside a sandbox; it needs Python's standard library and nothing else."""
