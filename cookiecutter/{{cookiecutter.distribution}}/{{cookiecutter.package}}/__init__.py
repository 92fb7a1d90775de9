"""CNI plugin {{ cookiecutter.name }}: {{ cookiecutter.description }}."""

from {{ cookiecutter.package }}.plugin import {{ cookiecutter.class_name }}

__all__ = ["{{ cookiecutter.class_name }}"]
