"""A configuration is decoded once, and all that a call consists of share what came out."""

import copy
import io
import json
from typing import Annotated, Any

import pytest
from hypothesis import given, strategies as st

from cnisdk import Attachment, Parsed, Plugin, PluginConfig, Result, ValidAttachments, invoke, run
from cnisdk.agent.served import decoded, network_name
from cnisdk.call import Call, HandOver
from cnisdk.runner import Run
from cnisdk.types.config import parse_config, salvage_config

from .types.strategies import Recorded, json_values, recorded_calls

RECORDED = recorded_calls()


class Delegating(Plugin[PluginConfig]):
    """Delegates STATUS twice: its own configuration, and one that it made."""

    def add(self, config: PluginConfig, attachment: Attachment) -> Result:
        raise NotImplementedError

    def delete(self, config: PluginConfig, attachment: Attachment) -> None:
        raise NotImplementedError

    def status(self, config: PluginConfig) -> None:
        invoke.delegate(self.call, "below")
        invoke.delegate(self.call, "below", config={"name": "other", "type": "below"})


def served_calls(stdin: bytes) -> list[Call]:
    """Return what a plugin in the same process is given by `Delegating`."""
    seen: list[Call] = []

    def served(plugin: str, call: Call, hand_over: HandOver | None) -> bytes:
        seen.append(call)
        return b""

    answer = io.BytesIO()
    status = run(Delegating, {"CNI_COMMAND": "STATUS"}, stdin, answer, served=served)
    assert status == 0, answer.getvalue()
    return seen


def test_a_delegate_is_given_what_was_decoded_for_its_caller() -> None:
    stdin = b'{"cniVersion": "1.1.0", "name": "net", "type": "delegating"}'

    own, _ = served_calls(stdin)

    assert own.stdin == stdin
    assert own.document == json.loads(stdin)


def test_a_delegate_with_a_configuration_of_its_own_decodes_that() -> None:
    _, other = served_calls(b'{"cniVersion": "1.1.0", "name": "net", "type": "delegating"}')

    assert (json.loads(other.stdin)["name"], other.document) == ("other", None)


def test_what_was_decoded_is_not_decoded_again() -> None:
    call = Call("VALID", stdin=b"no JSON", document={"name": "net", "cniVersion": "1.1.0"})

    class Seeing(Delegating):
        def status(self, config: PluginConfig) -> None:
            assert config.name == "net"

    Run(Seeing, call._replace(command="STATUS")).serve(b"no JSON", lambda answer: None)


def popped(value: Any, info: Any = None) -> str:
    """Read as an author may who thinks that nobody else does."""
    return str(value.pop("mode"))


class Popping(PluginConfig):
    opts: Annotated[str, Parsed(popped)]
    more: Annotated[str, Parsed(popped, with_info=True)]
    lists: Annotated[str, Parsed(lambda value: value[0].pop("mode"))]


def test_not_even_an_authors_function_changes_it() -> None:
    mode = {"mode": "l2"}
    document = {"name": "net", "type": "x", "opts": mode, "more": mode, "lists": [mode]}
    before = copy.deepcopy(document)

    config = parse_config(Popping, document)

    assert (config.opts, config.more, config.lists) == ("l2", "l2", "l2")
    assert document == before


@pytest.mark.parametrize("call", RECORDED, ids=[call.label for call in RECORDED])
def test_no_plugin_changes_what_others_read(call: Recorded) -> None:
    document = json.loads(call.stdin)
    before = copy.deepcopy(document)

    parse_config(PluginConfig, document)
    salvage_config(PluginConfig, {**document, "dns": "wrong"})

    assert document == before


@given(st.dictionaries(st.sampled_from(["name", "type", "ipam", "prevResult", "x"]), json_values))
def test_not_even_a_configuration_that_is_wrong_is_changed(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)

    salvage_config(PluginConfig, document)

    assert document == before


@pytest.mark.parametrize(
    ("config", "name"),
    [(b'{"name": "net"}', "net"), (b'{"name": 1}', ""), (b"[]", ""), (b"", ""), (b"{", "")],
)
def test_the_agent_knows_the_network_if_there_is_one(config: bytes, name: str) -> None:
    assert network_name(decoded(config) or {}) == name


def test_gc_reads_its_list_and_leaves_it() -> None:
    document = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "x",
        "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}],
    }
    before = copy.deepcopy(document)

    class Collecting(Delegating):
        def gc(self, config: PluginConfig, valid: ValidAttachments) -> None:
            assert list(valid) == [("c1", "eth0")]

    Run(Collecting, Call("GC", path="/nowhere", document=document)).serve(
        b"{}", lambda answer: None
    )

    assert document == before
