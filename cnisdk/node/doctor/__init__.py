"""Look at a node and say what would stop its plugins from working, and how to mend it.

Nothing is changed.  Plugins are asked VERSION, an agent for a plugin that nobody has; all else is
read.  What may not be read, or is out of sight, is said too.
"""
