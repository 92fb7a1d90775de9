"""What is wrong with a network, said before a container finds out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from cni_bridge import Bridge
from cni_host_local import HostLocal
from cnisdk import (
    Field,
    InvalidNetworkConfigError,
    Plugin,
    PluginConfig,
    UnsupportedFieldError,
)
from cnisdk.errors import InternalError
from cnisdk.runtime import Cache, NetworkConfig, Runtime, Validation, validate
from cnisdk.runtime.declared import Declared, Known, nothing, of_class, of_schema
from cnisdk.types.schema import plugin_schema
from tests.unit.runtime.double import Plugins, network


class Config(PluginConfig):
    """What the plugin "a" declares."""

    speed: int = Field(default=0, alias="linkSpeed", ge=0)
    mode: Literal["fast", "slow"] = "fast"


class Closed(Config, extra="forbid"):
    """Takes no other keys."""


class A(Plugin[Config]):
    """A plugin whose fast mode knows no speed."""

    def validate(self, config: Config) -> None:
        if config.mode == "fast" and config.speed:
            raise InvalidNetworkConfigError("fast is as fast as it can", "$.linkSpeed: set")


class Buggy(Plugin[Config]):
    """A plugin whose hook has a bug."""

    def validate(self, config: Config) -> None:
        _ = 1 // config.speed


class OfOther(Plugin[Closed]):
    """A plugin that refuses what it does not know, and one thing that it does."""

    def validate(self, config: Closed) -> None:
        if config.mode == "slow":
            raise UnsupportedFieldError("not here", "$.mode", key="mode", value="slow")


KNOWN: dict[str, type[Plugin[Any]]] = {
    "a": A,
    "closed": OfOther,
    "b": Buggy,
    "bridge": Bridge,
    "host-local": HostLocal,
}


def by_class(name: str) -> Declared | None:
    return of_class(KNOWN[name], name) if name in KNOWN else None


def by_schema(name: str) -> Declared | None:
    """As an executable says it."""
    return of_schema(plugin_schema(KNOWN[name].config_type)) if name in KNOWN else None


BOTH = pytest.mark.parametrize("known", [by_class, by_schema])


@pytest.fixture
def plugins(tmp_path: Path) -> Plugins:
    made = Plugins(tmp_path / "plugins")
    made.make("a", "b", "closed", "bridge", "host-local")
    return made


Look = Callable[..., Validation]


@pytest.fixture
def look(tmp_path: Path, plugins: Plugins) -> Look:
    runtime = Runtime([str(plugins.path)], cache=Cache(str(tmp_path / "cni")), timeout=20)

    def look(*parts: Any, known: Known = nothing, strict: bool = False, **keys: Any) -> Validation:
        return validate(network(*parts, **keys), runtime, known, strict=strict)

    return look


def texts(found: Validation) -> list[str]:
    return [str(problem) for problem in found.problems]


def test_a_good_network_has_no_problems(look: Look) -> None:
    found = look({"type": "a", "capabilities": {"mac": True, "ips": False}}, "b")

    assert found.problems == found.notes == ()
    assert found.capabilities == {"mac"}
    assert found.unexamined == ("a", "b")


def test_all_problems_are_named_at_once(look: Look, plugins: Plugins) -> None:
    plugins.answer("b", "VERSION", {"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]})

    problems = look("missing", "b", "x/y", name="a b").problems

    assert [problem.path for problem in problems] == [
        "$.name",
        "$.plugins[0].type",
        "$.plugins[1].type",
        "$.plugins[2].type",
    ]
    assert "failed to find plugin 'missing'" in problems[1].text
    assert problems[2].text == "b does not speak version 1.1.0, only 1.0.0"


def test_a_plugin_that_is_not_executable_is_named(look: Look, plugins: Plugins) -> None:
    (plugins.path / "b").chmod(0o644)

    (problem,) = look("a", "b").problems

    assert "is not executable" in problem.text


def test_a_misspelt_plugin_is_compared_with_those_there_are(look: Look) -> None:
    (problem,) = look("brigde").problems

    assert problem.suggestion == "bridge"


def test_the_ipam_plugin_is_looked_at_as_well(look: Look, plugins: Plugins) -> None:
    plugins.answer("b", "VERSION", {"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]})

    missing = look({"type": "a", "ipam": {"type": "host-remote"}})
    old = look({"type": "a", "ipam": {"type": "b"}})

    for found in (missing, old):
        assert [problem.path for problem in found.problems] == ["$.plugins[0].ipam.type"]


def test_what_is_the_runtimes_is_noted(look: Look) -> None:
    found = look({"type": "a", "prevResult": {}, "RuntimeConfig": {}}, known=by_class)

    assert found.problems == ()
    assert [note.path for note in found.notes] == [
        "$.plugins[0].prevResult",
        "$.plugins[0].RuntimeConfig",
    ]


@BOTH
@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("linkSped", "linkSpeed"),
        ("link_speed", "linkSpeed"),
        ("link-speed", "linkSpeed"),
        ("LINKSPEDE", "linkSpeed"),
        ("mdoe", "mode"),
        ("ipma", "ipam"),
    ],
)
def test_a_misspelt_key_is_a_problem_with_a_suggestion(
    look: Look, known: Known, key: str, meant: str
) -> None:
    (problem,) = look({"type": "a", key: 5}, known=known).problems

    assert (problem.path, problem.value, problem.suggestion) == (
        f"$.plugins[0].{key}" if "-" not in key else f'$.plugins[0]["{key}"]',
        5,
        meant,
    )
    assert str(problem).endswith(f'5: a ignores such a key; did you mean "{meant}"?')


@BOTH
def test_another_case_is_no_misspelling(look: Look, known: Known) -> None:
    found = look({"type": "a", "LinkSpeed": 5, "MODE": "slow"}, known=known)

    assert found.problems == found.notes == ()


@BOTH
def test_a_key_in_two_cases_is_noted(look: Look, known: Known) -> None:
    found = look({"type": "a", "Mode": "slow", "mode": "slow"}, known=known)

    assert found.problems == ()
    assert [note.path for note in found.notes] == ["$.plugins[0].Mode"]


@BOTH
def test_a_key_like_no_other_is_noted_and_a_problem_only_when_strict(
    look: Look, known: Known
) -> None:
    part = {"type": "a", "vendor.example/x": {"linkSped": 1}}

    usual = look(part, known=known)
    strict = look(part, known=known, strict=True)

    assert usual.problems == strict.notes == ()
    assert usual.notes == strict.problems
    assert [note.path for note in usual.notes] == ['$.plugins[0]["vendor.example/x"]']


@BOTH
def test_a_key_that_a_plugin_forbids_is_a_problem_once(look: Look, known: Known) -> None:
    assert texts(look({"type": "closed", "x": 1}, known=known)) == [
        "$.plugins[0].x: 1: closed refuses such a key"
    ]


@BOTH
@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"LinkSpeed": "5"}, "$.plugins[0].LinkSpeed"),
        ({"linkSpeed": -1}, "$.plugins[0].linkSpeed"),
        ({"linkSpeed": True}, "$.plugins[0].linkSpeed"),
        ({"mode": "idle"}, "$.plugins[0].mode"),
        ({"dns": {"nameservers": ["10.0.0.1", 5]}}, "$.plugins[0].dns.nameservers[1]"),
        ({"ipam": 5}, "$.plugins[0].ipam"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(
    look: Look, known: Known, keys: dict[str, Any], path: str
) -> None:
    (problem,) = look({"type": "a", **keys}, known=known).problems

    assert problem.path == path
    assert problem.value in (*keys.values(), 5)


@BOTH
def test_a_null_is_no_value(look: Look, known: Known) -> None:
    part = {"type": "a", "linkSpeed": None, "ipam": None, "dns": None}

    assert look(part, known=known).problems == ()


@BOTH
def test_ipam_is_held_against_the_plugin_that_it_names(look: Look, known: Known) -> None:
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/8", "gatway": "10.0.0.1"}]]}

    found = look({"type": "bridge", "isGateway": True, "ipam": ipam}, known=known)

    assert texts(found) == [
        '$.plugins[0].ipam.ranges[0][0].gatway: "10.0.0.1": host-local ignores such a key; '
        'did you mean "gateway"?'
    ]


def test_what_is_wrong_with_an_ipam_plugins_values_is_said_once(look: Look) -> None:
    part = {
        "type": "bridge",
        "dns": {"domain": 5},
        "ipam": {"type": "host-local", "subnet": "10.0.0.0/33"},
    }

    assert texts(look(part, known=by_class)) == [
        "$.plugins[0].dns.domain: 5 should be a valid string"
    ]
    del part["dns"]
    assert texts(look(part, known=by_class)) == [
        '$.plugins[0].ipam.subnet: "10.0.0.0/33": invalid CIDR address: 10.0.0.0/33'
    ]


def test_what_excludes_each_other_is_found_by_the_plugins_own_hook(look: Look) -> None:
    (problem,) = look({"type": "a", "linkSpeed": 5}, known=by_class).problems

    assert str(problem) == "$.plugins[0].linkSpeed: 5: fast is as fast as it can"


def test_our_plugins_say_what_excludes_each_other(look: Look) -> None:
    (vlan,) = look({"type": "bridge", "vlan": 5000}, known=by_class).problems
    (modes,) = look(
        {"type": "bridge", "hairpinMode": True, "promiscMode": True}, known=by_class
    ).problems

    assert (vlan.path, vlan.value) == ("$.plugins[0].vlan", 5000)
    assert modes.path == "$.plugins[0].hairpinMode"


def test_a_bug_in_a_plugins_hook_is_told_and_no_end_of_it(look: Look) -> None:
    found = look("b", {"type": "a", "linkSped": 1}, known=by_class)

    assert [problem.path for problem in found.problems] == [
        "$.plugins[0]",
        "$.plugins[1].linkSped",
    ]
    assert "ZeroDivisionError" in found.problems[0].text


def test_a_field_that_a_plugins_hook_does_not_support_is_a_problem(look: Look) -> None:
    (problem,) = look({"type": "closed", "mode": "slow"}, known=by_class).problems

    assert str(problem) == "$.plugins[0].mode: \"slow\": not here: mode='slow'"


def test_a_misspelt_capability_is_a_problem_and_an_unknown_one_is_not(look: Look) -> None:
    capabilities = {"portMapping": True, "io.example.annotations": True}

    (problem,) = look({"type": "a", "capabilities": capabilities}).problems

    assert problem.path == "$.plugins[0].capabilities.portMapping"
    assert problem.suggestion == "portMappings"


def test_a_misspelt_key_of_the_list_is_a_problem_in_another_case_too(look: Look) -> None:
    """The Go library reads those keys in their exact case."""
    problems = look("a", disableGc=True, disableChek=True).problems

    assert [problem.suggestion for problem in problems] == ["disableGC", "disableCheck"]


def test_a_plugin_that_cannot_say_what_it_declares_is_noted(look: Look) -> None:
    def known(name: str) -> Declared | None:
        raise InternalError(f"{name} cannot be imported")

    found = look("a", known=known)

    assert found.problems == ()
    assert [note.text for note in found.notes] == ["a cannot be imported"]
    assert found.unexamined == ("a",)


def test_paths_of_a_file_of_one_plugin_begin_with_its_keys(look: Look, tmp_path: Path) -> None:
    config = NetworkConfig.parse_single(
        b'{"cniVersion": "1.1.0", "name": "n", "type": "a", "linkSped": 1}', "/x/10-n.conf"
    )
    runtime = Runtime([str(tmp_path)])

    found = validate(config, runtime, by_class)

    assert [problem.path for problem in found.problems] == ["$.type", "$.linkSped"]


def test_without_jsonschema_keys_are_looked_at_and_that_is_said(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jsonschema", None)

    found = look({"type": "a", "linkSped": 1, "mode": 5}, known=by_schema)

    assert [problem.path for problem in found.problems] == ["$.plugins[0].linkSped"]
    assert "pip install 'cnisdk[validate]'" in found.notes[0].text
