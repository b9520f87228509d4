"""Teams: what they are, and what a team and its members tell each other."""
