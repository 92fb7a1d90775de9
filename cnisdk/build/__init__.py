"""From a plugin project to what a runtime executes."""
