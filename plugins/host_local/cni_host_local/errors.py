"""Codes of the errors that are host-local's own."""

EXHAUSTED = 100
"""No address of a range set is free."""
UNAVAILABLE = 101
"""A requested address is taken, a gateway, or in no range."""
DUPLICATE = 102
"""The attachment has an address of the range set already."""
LOST = 103
"""CHECK: a reservation that an attachment lives on is not there."""
