"""The Go host-local as second witness: the same answers, the same files, each other's work."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.host import OURS, REFERENCE, Host, Outcome

Call = Callable[..., Outcome]

pytestmark = pytest.mark.reference

RANGES = [
    [{"subnet": "10.1.2.0/28", "rangeEnd": "10.1.2.4"}, {"subnet": "10.2.0.0/30"}],
    [{"subnet": "fd00:1::/64", "gateway": "fd00:1::ff"}],
]

# What to do, to whom, and what the runtime says with it.
Step = tuple[str, str, dict[str, Any]]

SEQUENCES: dict[str, list[Step]] = {
    "turns": [
        ("ADD", "a", {}),
        ("ADD", "b", {}),
        ("DEL", "a", {}),
        ("ADD", "c", {}),
        ("ADD", "a", {}),
        ("ADD", "d", {}),
        ("DEL", "b", {}),
        ("ADD", "e", {}),
        ("CHECK", "e", {}),
        ("DEL", "e", {}),
        ("CHECK", "e", {}),
        ("ADD", "f", {}),
    ],
    "exhaustion": [
        *(("ADD", who, {}) for who in "abcdef"),
        ("DEL", "c", {}),
        ("ADD", "g", {}),
        ("ADD", "h", {}),
    ],
    "interfaces": [
        ("ADD", "a", {}),
        ("ADD", "a", {"ifname": "eth1"}),
        ("ADD", "a", {}),
        ("DEL", "a", {}),
        ("DEL", "a", {}),
        ("CHECK", "a", {"ifname": "eth1"}),
    ],
    "requests": [
        ("ADD", "a", {"args": "IgnoreUnknown=1;FOO=2;IP=10.2.0.2"}),
        ("ADD", "b", {"ips": ["10.2.0.2"]}),
        ("ADD", "b", {"ips": ["10.1.2.1"]}),
        ("ADD", "b", {"ips": ["fd00:1::77/64", "10.1.2.3"]}),
        ("ADD", "c", {}),
        ("ADD", "d", {"args": "IP=10.1.2.300"}),
        ("DEL", "b", {}),
        ("ADD", "e", {"ips": ["fd00:1::1"]}),
    ],
}


def _config(data_dir: Path, version: str, **more: Any) -> dict[str, Any]:
    ips = more.pop("ips", None)
    ipam = {"type": "host-local", "dataDir": str(data_dir), "ranges": RANGES, **more}
    ipam.setdefault("routes", [{"dst": "0.0.0.0/0"}, {"dst": "fd00::/8", "gw": "fd00:1::ff"}])
    config: dict[str, Any] = {"cniVersion": version, "name": "net", "type": "x", "ipam": ipam}
    return {**config, "runtimeConfig": {"ips": ips}} if ips else config


def _files(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data_dir / "net").iterdir()}


def _answer(stdout: str) -> Any:
    """Return an answer without what SPEC and Go disagree about."""
    if not stdout:
        return None
    answer = json.loads(stdout)
    if "code" in answer:
        return answer["msg"]
    if answer["cniVersion"] == "1.0.0" and not answer.get("dns"):
        answer.pop("dns", None)  # releases of Go's library differ in whether they print it
    return answer


@pytest.mark.parametrize(
    ("version", "sequence"),
    [
        *((version, "turns") for version in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0")),
        *(("1.0.0", sequence) for sequence in SEQUENCES),
    ],
)
def test_the_same_calls_have_the_same_answers_and_files(
    call: Call, host: Host, tmp_path: Path, version: str, sequence: str
) -> None:
    container = host.container()
    for number, (command, who, options) in enumerate(SEQUENCES[sequence]):
        if command == "CHECK" and version < "0.4.0":
            continue
        said = {k: v for k, v in options.items() if k in ("ifname", "args")}
        ips = options.get("ips")
        theirs = host.plugin(
            "host-local",
            command,
            _config(tmp_path / "go", version, ips=ips),
            container,
            path=REFERENCE,
            env={"CNI_CONTAINERID": who},
            check=False,
            **said,
        )
        ours = call(
            command,
            _config(tmp_path / "py", version, ips=ips),
            container,
            container_id=who,
            **said,
        )

        step = f"step {number}: {command} {who} {options}"
        assert _answer(ours.stdout) == _answer(theirs.stdout), step
        assert ours.status == theirs.status, step
        assert _files(tmp_path / "py") == _files(tmp_path / "go"), step


@pytest.mark.parametrize(
    "ipam",
    [
        {"ranges": []},
        {"ranges": [[]]},
        {"ranges": [[{}]]},
        {"ranges": [[{"subnet": "foo"}]]},
        {"ranges": [[{"subnet": "10.1.2.0/31"}]]},
        {"ranges": [[{"subnet": "10.1.2.1/24"}]]},
        {"ranges": [[{"subnet": "10.1.2.0/24", "rangeStart": "10.1.3.1"}]]},
        {"ranges": [[{"subnet": "10.1.2.0/24", "rangeEnd": "10.1.3.1"}]]},
        {
            "ranges": [
                [{"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.50", "rangeEnd": "10.1.2.40"}]
            ]
        },
        {"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "fd00::/64"}]]},
        {"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "10.1.2.0/25"}]]},
        {"ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.2.0/25"}]]},
        {"subnet": "10.1.2.0/25", "ranges": [[{"subnet": "10.1.2.0/24"}]]},
        {"resolvConf": "/no/such"},
    ],
)
def test_the_same_configurations_are_refused_in_the_same_words(
    call: Call, host: Host, tmp_path: Path, ipam: dict[str, Any]
) -> None:
    container = host.container()
    config = _config(tmp_path, "0.4.0", **ipam)

    theirs = host.plugin("host-local", "ADD", config, container, path=REFERENCE, check=False)
    ours = call("ADD", config, container)

    assert ours.json["msg"] == theirs.json["msg"]
    assert (ours.status, theirs.status) == (1, 1)


@pytest.mark.parametrize(
    ("adder", "deleter"),
    [(OURS, REFERENCE), (REFERENCE, OURS)],
    ids=["ours, then theirs", "theirs, then ours"],
)
def test_one_deletes_what_the_other_added(
    host: Host, tmp_path: Path, adder: str, deleter: str
) -> None:
    config = _config(tmp_path, "1.0.0")
    here, there = host.container(), host.container()
    for container in (here, there):
        host.plugin("host-local", "ADD", config, container, path=adder)
    host.plugin("host-local", "CHECK", config, here, path=deleter)

    host.plugin("host-local", "DEL", config, here, path=deleter)

    left = {name for name in _files(tmp_path) if ":" in name or name.startswith("10.")}
    assert left == {"10.1.2.3", "fd00:1::2"}
    again = host.plugin("host-local", "ADD", config, here, path=deleter)
    assert [ip["address"] for ip in again.json["ips"]] == ["10.1.2.4/28", "fd00:1::3/64"]
    refused = host.plugin("host-local", "ADD", config, there, path=deleter, check=False)
    assert "duplicate allocation is not allowed" in refused.json["msg"]


def test_turns_taken_by_both_leave_no_wrong_state(host: Host, tmp_path: Path) -> None:
    config = _config(tmp_path, "1.0.0", ranges=[[{"subnet": "10.1.0.0/24"}]])
    containers = [host.container() for _ in range(6)]
    addresses = []
    for number, container in enumerate(containers):
        path = (OURS, REFERENCE)[number % 2]
        added = host.plugin("host-local", "ADD", config, container, path=path)
        addresses += [ip["address"] for ip in added.json["ips"]]
    for number, container in enumerate(containers):
        path = (OURS, REFERENCE)[number // 2 % 2]
        host.plugin("host-local", "CHECK", config, container, path=path)
        host.plugin("host-local", "DEL", config, container, path=path)

    assert addresses == [f"10.1.0.{host}/24" for host in range(2, 8)]
    assert set(_files(tmp_path)) == {"lock", "last_reserved_ip.0"}
