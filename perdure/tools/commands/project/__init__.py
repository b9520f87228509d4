"""Inside the sandbox: finds a project's own test runner or formatter, and becomes it.

A worker sends the text of these modules as one program, which needs Python 3.9 and its standard
library. Nothing is looked at from outside, so that every attempt of a call is the same command.
"""
