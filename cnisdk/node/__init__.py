"""A node's files: put plugins and networks there, and say what would stop them from working."""
