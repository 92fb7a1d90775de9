import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cnisdk.cli.group import COMMANDS, cnisdk
from cnisdk.cli.options import netns_path, plugin_dirs
from cnisdk.runtime.defaults import PLUGIN_DIRS


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_package_loads_nothing() -> None:
    code = (
        "import sys, json; before = set(sys.modules); import cnisdk.cli; "
        "print(json.dumps([*set(sys.modules) - before]))"
    )

    assert set(json.loads(python(code))) == {"cnisdk", "cnisdk.cli"}


def test_help_loads_no_command_and_no_pydantic() -> None:
    code = (
        "import sys; sys.argv=['cnisdk', '--help']\n"
        "import cnisdk.cli\n"
        "try: cnisdk.cli.main()\n"
        "except SystemExit: pass\n"
        "print(*sorted(m for m in sys.modules if m.startswith(('cnisdk.', 'pydantic'))))"
    )

    assert python(code).splitlines()[-1] == "cnisdk.cli cnisdk.cli.group"


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_help_with_the_line_of_the_table(verb: str) -> None:
    done = CliRunner().invoke(cnisdk, [verb, "--help"])

    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: cnisdk {verb}")


def test_an_unknown_verb_is_wrong_usage() -> None:
    done = CliRunner().invoke(cnisdk, ["attach"])

    assert done.exit_code == 2
    assert "No such command 'attach'" in done.stderr


def test_help_names_the_verbs_in_order() -> None:
    done = CliRunner().invoke(cnisdk, ["--help"])

    assert [word for word in done.stdout.split() if word in COMMANDS][-len(COMMANDS) :]
    assert all(f"  {verb} " in done.stdout for verb in COMMANDS)


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("blue", "/run/netns/blue"),
        ("/proc/7/ns/net", "/proc/7/ns/net"),
        ("/run/../run/netns/x", "/run/netns/x"),
    ],
)
def test_a_namespace_is_a_name_or_a_path(typed: str, path: str) -> None:
    assert netns_path(typed) == path


def test_plugins_are_looked_for_in_the_usual_directories_unless_told() -> None:
    assert set(plugin_dirs("")) <= set(PLUGIN_DIRS)
    assert plugin_dirs("/a:/b") == ("/a", "/b")
