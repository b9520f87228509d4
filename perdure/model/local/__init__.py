"""The small model of the extra `local`: its server, and what makes it call tools."""
