"""Ours and the real Go host-local on one network, in every order and at the same time."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.host import REFERENCE, Container, Host, Outcome

from .conftest import Call, ips, reservations, with_ipam

pytestmark = pytest.mark.reference

Do = Callable[..., Outcome]
"""One call: verb, configuration, whose."""


@pytest.fixture
def go(host: Host, container: Container) -> Do:
    def do(verb: str, config: dict[str, Any], who: str, *, args: str = "") -> Outcome:
        env = {"CNI_CONTAINERID": who}
        return host.plugin(
            "host-local", verb, config, container, path=REFERENCE, args=args, env=env, check=False
        )

    return do


@pytest.fixture
def ours(call: Call, container: Container) -> Do:
    def do(verb: str, config: dict[str, Any], who: str, *, args: str = "") -> Outcome:
        return call(verb, config, container, container_id=who, args=args)

    return do


@pytest.fixture
def network(network: dict[str, Any]) -> dict[str, Any]:
    return {**network, "cniVersion": "1.0.0"}


def test_a_hundred_at_once_half_of_them_by_the_go_plugin_get_a_hundred_addresses(
    network: dict[str, Any], ours: Do, go: Do, directory: Path
) -> None:
    with ThreadPoolExecutor(24) as pool:
        added = list(pool.map(lambda n: (ours, go)[n % 2]("ADD", network, f"c{n}"), range(100)))
        got = {address.partition("/")[0]: n for n, one in enumerate(added) for address in ips(one)}
        assert len(got) == 100
        assert reservations(directory) == {
            address: f"c{n}\r\neth0".encode() for address, n in got.items()
        }

        deleted = list(
            pool.map(lambda n: (ours, go)[n // 2 % 2]("DEL", network, f"c{n}"), range(100))
        )
        assert {one.status for one in deleted} == {0}
        assert reservations(directory) == {}


class Turns(RuleBasedStateMachine):
    """Calls of both, and a Go plugin that is killed, against a list of who has what."""

    plugins: tuple[Do, Do]
    """The Go plugin and ours."""
    config: dict[str, Any]

    WHO = st.sampled_from("abcdefg")
    WHERE = st.integers(2, 6).map(lambda host: f"10.1.2.{host}")
    OURS = st.booleans()

    def __init__(self) -> None:
        super().__init__()
        self.state = TemporaryDirectory(dir="/run")
        self.directory = Path(self.state.name, "net")
        self.network = with_ipam(
            self.config, ranges=[[{"subnet": "10.1.2.0/29"}]], dataDir=self.state.name
        )
        self.owners: dict[str, str] = {}
        self.empty: set[str] = set()

    def teardown(self) -> None:
        self.state.cleanup()

    def _do(self, ours: bool, verb: str, who: str, **said: str) -> Outcome:
        if ours and (verb == "ADD" or self.directory.exists()):
            self.empty.clear()
        return self.plugins[ours](verb, self.network, who, **said)

    @rule(ours=OURS, who=WHO)
    def add(self, ours: bool, who: str) -> None:
        done = self._do(ours, "ADD", who)
        taken = self.owners.keys() | self.empty
        if who in self.owners.values():
            assert "duplicate allocation is not allowed" in done.json["msg"]
        elif len(taken) == 5:
            assert "no IP addresses available" in done.json["msg"]
        else:
            (address,) = (one.removesuffix("/29") for one in ips(done))
            assert address not in taken
            self.owners[address] = who

    @rule(ours=OURS, who=WHO, where=WHERE)
    def add_what_is_asked_for(self, ours: bool, who: str, where: str) -> None:
        if who in self.owners.values():
            return  # the Go plugin gives a second address to who asks for it
        done = self._do(ours, "ADD", who, args=f"IP={where}")
        if where in self.owners or where in self.empty:
            assert "is not available" in done.json["msg"]
        else:
            assert ips(done) == [f"{where}/29"]
            self.owners[where] = who

    @rule(ours=OURS, who=WHO)
    def delete(self, ours: bool, who: str) -> None:
        assert self._do(ours, "DEL", who).status == 0
        self.owners = {where: one for where, one in self.owners.items() if one != who}

    @rule(ours=OURS, who=WHO)
    def check(self, ours: bool, who: str) -> None:
        done = self._do(ours, "CHECK", who)
        assert (done.status == 0) == (who in self.owners.values())

    @rule(where=WHERE)
    def go_is_killed(self, where: str) -> None:
        if self.directory.exists() and where not in self.owners:
            (self.directory / where).touch()
            self.empty.add(where)

    @rule()
    def the_index_is_deleted(self) -> None:
        shutil.rmtree(f"{self.state.name}/.index", ignore_errors=True)

    @invariant()
    def files_say_who_has_what(self) -> None:
        found = reservations(self.directory) if self.directory.exists() else {}
        expected = {where: f"{who}\r\neth0".encode() for where, who in self.owners.items()}
        assert found == expected | dict.fromkeys(self.empty, b"")


def test_neither_sees_a_wrong_state_in_any_order(network: dict[str, Any], ours: Do, go: Do) -> None:
    class Here(Turns):
        plugins = (go, ours)
        config = network

    run_state_machine_as_test(
        Here, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )
