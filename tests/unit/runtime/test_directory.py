import json
from pathlib import Path
from typing import Any

import pytest

from cnisdk.errors import IOFailureError
from cnisdk.runtime import BrokenConfigError, NetworkConfig, NetworkNotFoundError, load, scan


def write(path: Path, **keys: Any) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(keys))
    return str(path)


def types(network: NetworkConfig) -> list[str]:
    return [plugin.type for plugin in network.plugins]


def test_the_first_list_by_file_name_configures_a_network(tmp_path: Path) -> None:
    write(tmp_path / "20-b.conflist", name="net", plugins=[{"type": "second"}])
    first = write(tmp_path / "10-a.conflist", name="net", plugins=[{"type": "first"}])

    found = scan(str(tmp_path))

    assert found.find("net").path == first
    assert [network.path for network in found.networks] == [first]
    assert [network.path for network in found.shadowed] == [str(tmp_path / "20-b.conflist")]


def test_a_list_goes_before_a_single_plugin_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path / "10-single.conf", name="net", type="single")
    write(tmp_path / "20-list.conflist", name="net", plugins=[{"type": "listed"}])

    assert types(scan(str(tmp_path)).find("net")) == ["listed"]


@pytest.mark.parametrize("extension", ["conf", "json"])
def test_a_single_plugin_is_the_fallback(tmp_path: Path, extension: str) -> None:
    write(tmp_path / "10-other.conflist", name="other", plugins=[{"type": "listed"}])
    write(tmp_path / f"20-single.{extension}", name="net", type="single")

    assert types(scan(str(tmp_path)).find("net")) == ["single"]


def test_drop_ins_follow_the_inlined_plugins_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path / "10-net.conflist", name="net", plugins=[{"type": "inlined"}])
    write(tmp_path / "net" / "20-late.conf", type="late", name="ignored", cniVersion="0.1.0")
    write(tmp_path / "net" / "10-early.conf", type="early")
    write(tmp_path / "net" / "30-other.json", type="not-conf")
    (tmp_path / "net" / "40-directory.conf").mkdir()

    network = scan(str(tmp_path)).find("net")

    assert types(network) == ["inlined", "early", "late"]
    assert network.name == "net"


def test_drop_ins_alone_make_a_network(tmp_path: Path) -> None:
    write(tmp_path / "10-net.conflist", name="net")
    write(tmp_path / "net" / "10-only.conf", type="only")

    assert types(scan(str(tmp_path)).find("net")) == ["only"]


def test_drop_ins_are_left_alone_when_only_inlined_plugins_are_wanted(tmp_path: Path) -> None:
    write(
        tmp_path / "10-net.conflist",
        name="net",
        loadOnlyInlinedPlugins=True,
        plugins=[{"type": "inlined"}],
    )
    write(tmp_path / "net" / "10-broken.conf", nothing="useful")

    assert types(scan(str(tmp_path)).find("net")) == ["inlined"]


def test_a_name_that_leads_out_of_the_directory_has_no_drop_ins(tmp_path: Path) -> None:
    write(tmp_path / "outside" / "10-x.conf", type="outside")
    inside = tmp_path / "net.d"
    write(inside / "10-net.conflist", name="../outside", plugins=[{"type": "inlined"}])

    assert types(scan(str(inside)).find("../outside")) == ["inlined"]


def test_the_text_of_a_network_holds_its_drop_ins(tmp_path: Path) -> None:
    path = write(tmp_path / "10-net.conflist", name="net", plugins=[{"type": "inlined"}])
    write(tmp_path / "net" / "10-more.conf", type="more", big=12345678901234567890)

    again = NetworkConfig.parse(load(path).dumps().encode())

    assert types(again) == ["inlined", "more"]
    assert again.plugins[1].raw["big"] == 12345678901234567890
    assert again.load_only_inlined_plugins


def test_a_broken_file_keeps_nobody_from_using_the_others(tmp_path: Path) -> None:
    (tmp_path / "05-half.conflist").write_text('{"name": "ne')
    write(tmp_path / "06-other.conflist", name="other", plugins=[])
    write(tmp_path / "10-net.conflist", name="net", plugins=[{"type": "a"}])
    (tmp_path / "20-dangling.conflist").symlink_to("nowhere")

    found = scan(str(tmp_path))

    assert found.find("net").name == "net"
    assert [Path(broken.path).name for broken in found.broken] == [
        "05-half.conflist",
        "06-other.conflist",
        "20-dangling.conflist",
    ]


def test_a_network_whose_file_is_broken_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "10-net.conflist", name="net", plugins=[{"kind": "a"}])
    write(tmp_path / "20-net.conflist", name="net", plugins=[{"type": "another"}])

    with pytest.raises(BrokenConfigError, match=r"plugins\[0\].type: missing"):
        scan(str(tmp_path)).find("net")
    assert scan(str(tmp_path)).networks == []


def test_a_broken_drop_in_is_the_problem_of_its_network_alone(tmp_path: Path) -> None:
    write(tmp_path / "10-net.conflist", name="net", plugins=[{"type": "a"}])
    write(tmp_path / "net" / "10-x.conf", kind="a")
    write(tmp_path / "20-other.conflist", name="other", plugins=[{"type": "a"}])

    found = scan(str(tmp_path))

    assert found.find("other").name == "other"
    with pytest.raises(BrokenConfigError, match=r"net/10-x.conf: \$.type: missing"):
        found.find("net")


def test_a_network_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    write(tmp_path / "10-net.conflist", name="net", plugins=[{"type": "a"}])
    (tmp_path / "20-half.conflist").write_text("{")

    with pytest.raises(NetworkNotFoundError) as caught:
        scan(str(tmp_path)).find("ten")

    assert caught.value.names == ("net",)
    assert "20-half.conflist" in caught.value.details


def test_a_directory_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert scan(str(tmp_path / "none")).entries == ()


def test_a_directory_that_is_a_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(IOFailureError, match="Not a directory"):
        scan(str(tmp_path / "file"))
