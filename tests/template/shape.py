"""What the template makes of a plugin of this checkout, and where that plugin may differ from it.

What is not said here to differ is the same to the byte.  After a change of the template,
``python -m tests.template.shape`` writes those files anew.
"""

import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from cnisdk.cli.new import make, template
from tests.host import ROOT

CHECKOUT = "../.."
"""Where the checkout is, from a plugin's directory."""


class Plugin(NamedTuple):
    """A plugin of this checkout as the template would be asked for it."""

    name: str
    kind: str
    other: str
    """The one that it is tried with: the template's are tried with both."""
    instead: frozenset[str] = frozenset()
    """Files that others take the place of, since there is more to do than in a template."""

    @property
    def package(self) -> str:
        return f"cni_{self.name.replace('-', '_')}"

    @property
    def directory(self) -> Path:
        return ROOT / "plugins" / self.name.replace("-", "_")

    @property
    def own(self) -> frozenset[str]:
        """Files whose content is the plugin's own."""
        package = {
            f"{self.package}/{name}.py" for name in ("__init__", "config", "plugin", "store")
        }
        return frozenset(package | {"tests/test_hooks.py"}) - self.instead

    @property
    def alike(self) -> frozenset[str]:
        """Files that say the same as the template's, and something besides."""
        alike = {"README.md", "pyproject.toml", "tests/conftest.py"}
        return frozenset(alike | {f"10-{self.name}.conflist"})


PLUGINS = (
    Plugin(
        "bridge",
        "interface",
        "host-local",
        frozenset({"cni_bridge/cable.py", "cni_bridge/layer3.py", "tests/test_hooks.py"}),
    ),
    Plugin("host-local", "ipam", "bridge"),
)


def declared(directory: Path) -> dict[str, Any]:
    """Return the pyproject.toml of a project."""
    return tomllib.loads((directory / "pyproject.toml").read_text())


def rendered(plugin: Plugin, directory: Path) -> Path:
    """Make the project, which `cnisdk new` refuses to do for these names."""
    source = directory / "template"
    shutil.copytree(template(), source)
    (source / "hooks" / "pre_gen_project.py").unlink()
    described: str = declared(plugin.directory)["project"]["description"]
    answers = {
        "name": plugin.name,
        "kind": plugin.kind,
        "description": described.removeprefix("CNI plugin: "),
    }
    return make(source, answers, directory)


def files(project: Path) -> set[str]:
    """Return the paths of a project's files, without what its .gitignore has."""
    ignored = set((project / ".gitignore").read_text().replace("/", "").split())
    return {
        relative.as_posix()
        for path in project.rglob("*")
        if path.is_file() and not ignored & set((relative := path.relative_to(project)).parts)
    }


def wanted(plugin: Plugin, path: str, text: str) -> str:
    """Return what the plugin has to have in a file of which the template makes ``text``."""
    other = plugin.other
    both = ("cni-bridge", "cni-host-local")
    text = text.replace(f" {' '.join(both)}", f" cni-{other}")
    text = text.replace(", ".join(f'"{one}"' for one in both), f'"cni-{other}"')
    if path == "Makefile":
        text = replaced(text, f" $(CNISDK_SOURCE)/plugins/{plugin.directory.name}", "")
        text = replaced(
            text,
            "# While cnisdk is not published, or to work on both: a checkout of it.\n"
            "CNISDK_SOURCE ?=\n",
            f"# The checkout that this is a part of.\nCNISDK_SOURCE ?= {CHECKOUT}\n",
        )
    return text


def replaced(text: str, old: str, new: str) -> str:
    """Return ``text`` with the one ``old`` in it replaced."""
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in:\n{text}"
    return text.replace(old, new)


def equal(plugin: Plugin, made: Path) -> dict[str, str]:
    """Return the files that have to be the same, with what has to be in them."""
    different = plugin.own | plugin.alike | plugin.instead
    return {
        path: wanted(plugin, path, (made / path).read_text())
        for path in sorted(files(made) - different)
    }


def besides(plugin: Plugin, made: Path) -> set[str]:
    """Return the plugin's files that the template does not make, but for its code and its tests."""
    places = (f"{plugin.package}/", "tests/")
    return {path for path in files(plugin.directory) - files(made) if not path.startswith(places)}


def write() -> None:
    """Write what has to be the same into the plugins' directories, and name what is too much."""
    for plugin in PLUGINS:
        with tempfile.TemporaryDirectory() as directory:
            made = rendered(plugin, Path(directory))
            for path, text in equal(plugin, made).items():
                file = plugin.directory / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            for path in sorted(besides(plugin, made)):
                sys.stderr.write(f"{plugin.directory / path}: the template has no such file\n")


if __name__ == "__main__":
    write()
