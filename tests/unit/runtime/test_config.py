import json
from typing import Any

import pytest

from cnisdk.runtime import BrokenConfigError, NetworkConfig


def parse(**keys: Any) -> NetworkConfig:
    wire = {"name": "net", "cniVersion": "1.0.0", "plugins": [{"type": "a"}], **keys}
    return NetworkConfig.parse(json.dumps(wire).encode())


def problems(data: bytes | dict[str, Any]) -> list[str]:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    with pytest.raises(BrokenConfigError) as caught:
        NetworkConfig.parse(text, "10-net.conflist")
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("stated", "listed", "selected"),
    [
        ("0.3.1", ["0.4.0", "1.0.0"], "1.0.0"),
        ("1.1.0", ["1.0.0"], "1.1.0"),
        ("1.0.0", ["9.0.0", "0.4.0"], "1.0.0"),
        ("", ["0.3.1", "0.4.0"], "0.4.0"),
        ("9.0.0", ["10.0.0"], "9.0.0"),
        ("1.2.3", [], "1.2.3"),
        ("", [], "0.1.0"),
    ],
)
def test_the_newest_version_that_we_speak_is_selected(
    stated: str, listed: list[str], selected: str
) -> None:
    keys = {"cniVersions": listed} if listed else {}

    assert parse(cniVersion=stated, **keys).cni_version == selected


@pytest.mark.parametrize("value", [True, "true", "TRUE", "True"])
@pytest.mark.parametrize("key", ["disableCheck", "disableGC"])
def test_a_flag_may_be_a_bool_or_its_name(key: str, value: bool | str) -> None:
    network = parse(**{key: value})

    assert (network.disable_check, network.disable_gc) == (
        key == "disableCheck",
        key == "disableGC",
    )
    assert parse(**{key: "false"}) == parse(**{key: "false"})
    assert not parse(**{key: "false"}).disable_check


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        {
            "name": 7,
            "cniVersion": "banana",
            "disableCheck": "maybe",
            "disableGC": 1,
            "plugins": [{}, {"type": 3}, "x", {"type": "a", "capabilities": {"mac": "yes"}}],
        }
    )

    assert found == [
        "$.name: a number, not a string",
        "$.cniVersion: 'banana' is no version",
        "$.disableCheck: 'maybe' is neither true nor false",
        "$.disableGC: 1 is neither true nor false",
        "$.plugins[0].type: missing",
        "$.plugins[1].type: a number, not a string",
        "$.plugins[2]: a string, not an object",
        "$.plugins[3].capabilities.mac: a string, not true or false",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the file is empty"),
        (b"[]", "$: a list, not an object"),
        (b'{"name": "net", "plugins": null}', "$.plugins: null, not a list"),
        (b'{"name": "net", "plugins": []}', "$.plugins: empty"),
        (
            b'{"name": "net", "loadOnlyInlinedPlugins": true}',
            "$.plugins: missing, and loadOnlyInlinedPlugins is true",
        ),
        (
            b'{"name": "net", "type": "a"}',
            "$.type: a single plugin belongs into a file named *.conf",
        ),
        (b'{"name": "net", "cniVersions": "1.0.0"}', "$.cniVersions: not a list of strings"),
        (b'{"name": "net", "cniVersions": ["x"]}', "$.cniVersions[0]: 'x' is no version"),
    ],
)
def test_a_file_that_is_no_list_says_why(data: bytes, problem: str) -> None:
    assert problem in problems(data)


def test_json_that_is_cut_off_is_told_with_its_place() -> None:
    (problem,) = problems(b'{"name": "net", "plu')

    assert problem.startswith("not JSON: ")


def test_the_problem_keeps_the_name_of_its_network() -> None:
    with pytest.raises(BrokenConfigError) as caught:
        NetworkConfig.parse(b'{"name": "net", "plugins": [{}]}')

    assert caught.value.name == "net"


def test_a_list_without_plugins_is_taken_for_its_drop_ins() -> None:
    assert NetworkConfig.parse(b'{"name": "net"}').plugins == ()


def test_a_single_plugin_becomes_a_list_of_one() -> None:
    network = NetworkConfig.parse_single(b'{"name": "net", "cniVersion": "0.2.0", "type": "a"}')

    assert [plugin.type for plugin in network.plugins] == ["a"]
    assert NetworkConfig.parse(network.dumps().encode()).plugins == network.plugins


def test_a_list_in_a_file_for_one_plugin_says_where_it_belongs() -> None:
    with pytest.raises(BrokenConfigError, match=r"named \*.conflist"):
        NetworkConfig.parse_single(b'{"name": "net", "plugins": [{"type": "a"}]}')
