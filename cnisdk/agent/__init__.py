"""Calls served by a resident process; imports nothing."""
