"""The JSON of the specification as frozen models.

Imports nothing: a call pays for what it uses.
"""
