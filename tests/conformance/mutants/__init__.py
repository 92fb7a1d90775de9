"""Tiny plugins that are right, one of each kind, and one-line changes that make them wrong."""
