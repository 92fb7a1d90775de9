"""Refuse names that would make no plugin, before anything is written."""

import keyword
import re
import sys

PLAIN = r'[^"\\\x00-\x1f\x7f]*'

RULES = {
    "name": ("{{ cookiecutter.name }}", r"[a-z][a-z0-9-]*[a-z0-9]", "lower case, digits, hyphens"),
    "package": ("{{ cookiecutter.package }}", r"[a-z_][a-z0-9_]*", "a Python identifier"),
    "class_name": ("{{ cookiecutter.class_name }}", r"[A-Z][A-Za-z0-9]*", "a class's name"),
    "distribution": ("{{ cookiecutter.distribution }}", r"[a-z0-9][a-z0-9._-]*", "a project's name"),
    # They become text in TOML and in a docstring.
    "description": ({{ cookiecutter.description | tojson }}, PLAIN, "a line without quotation marks"),
    "author": ({{ cookiecutter.author | tojson }}, PLAIN, "a line without quotation marks"),
}

for key, (value, pattern, what) in RULES.items():
    if not re.fullmatch(pattern, value) or keyword.iskeyword(value):
        sys.exit(f"{key} {value!r} has to be {what}")
if "{{ cookiecutter.name }}" in ("bridge", "host-local"):
    sys.exit("{{ cookiecutter.name }} is a plugin of cnisdk; take another name")
