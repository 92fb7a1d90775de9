"""What the runner guarantees around every hook, seen from a runtime's side.

The plugin under test attaches nothing: what is tested is everything around a hook.  Runs inside
the private session's own network namespace; `/proc/1/ns/net` of another process stands for the
container's.
"""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import Field

from cnisdk import (
    Attachment,
    CNIError,
    Interface,
    IPConfig,
    Plugin,
    PluginConfig,
    PluginError,
    Result,
    TryAgainLaterError,
    UnsupportedFieldError,
    ValidAttachments,
    run,
    versions,
)


class Config(PluginConfig):
    mtu: int = 0
    answer: str = "result"
    is_gateway: bool = Field(default=False, alias="isGateway")


class Recorder(Plugin[Config]):
    """Records what reaches it."""

    calls: ClassVar[list[tuple[str, Any]]] = []

    def add(self, config: Config, attachment: Attachment) -> Result:
        self.calls.append(("add", config))
        self.undo.push(self.calls.append, ("undo 1", None))
        self.undo.push(self.calls.append, ("undo 2", None))
        self._maybe_fail(config)
        return Result(
            interfaces=(Interface(name=attachment.ifname, sandbox=attachment.sandbox),),
            ips=(IPConfig.model_validate({"address": "10.1.0.2/24", "interface": 0}),),
        )

    def delete(self, config: Config, attachment: Attachment) -> None:
        self.calls.append(("delete", (config, attachment.netns_or_none)))
        self._maybe_fail(config)

    def check(self, config: Config, attachment: Attachment) -> None:
        self.calls.append(("check", attachment.netns.path))

    def status(self, config: Config) -> None:
        self.calls.append(("status", config))

    def gc(self, config: Config, valid: ValidAttachments) -> None:
        self.calls.append(("gc", sorted(valid)))

    @staticmethod
    def _maybe_fail(config: Config) -> None:
        match config.answer:
            case "own error":
                raise PluginError("own words", "own details", code=123)
            case "os error":
                raise OSError(28, "No space left on device", "/some/file")
            case "bug":
                raise ZeroDivisionError("division by zero")
            case "exit":
                sys.exit(0)
            case "print":
                sys.stderr.write("chatter\n")
            case "refused":
                raise UnsupportedFieldError("unsupported field", key="answer", value="refused")


@pytest.fixture(scope="module")
def netns() -> Iterator[str]:
    """A network namespace that is not the test's own."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    holder.stdout.readline()
    yield f"/proc/{holder.pid}/ns/net"
    holder.stdin.close()
    holder.wait()
    holder.stdout.close()


@pytest.fixture(autouse=True)
def _forget() -> None:
    Recorder.calls.clear()


def config(version: Any = "1.1.0", /, **keys: Any) -> bytes:
    return json.dumps({"cniVersion": version, "name": "net", "type": "recorder", **keys}).encode()


def environ(command: str, netns: str = "", **changes: str) -> dict[str, str]:
    return {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": netns,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/nowhere",
        **changes,
    }


def call(variables: dict[str, str], stdin: bytes) -> tuple[int, Any]:
    stdout = io.BytesIO()
    status = run(Recorder, variables, stdin, stdout)
    out = stdout.getvalue()
    return status, json.loads(out) if out else None


# -- what a hook gets ------------------------------------------------------------------------


def test_add_answers_the_result_in_the_version_of_the_configuration(netns: str) -> None:
    for version in versions.SUPPORTED:
        status, answer = call(environ("ADD", netns), config(version))
        assert status == 0
        assert answer["cniVersion"] == version


def test_hook_gets_its_own_configuration_class(netns: str) -> None:
    call(environ("ADD", netns), config(mtu=1400, IsGateway=True))
    got = Recorder.calls[0][1]
    assert isinstance(got, Config)
    assert (got.mtu, got.is_gateway) == (1400, True)


@pytest.mark.parametrize("command", ["DEL", "CHECK", "STATUS", "GC"])
def test_other_verbs_print_nothing(netns: str, command: str) -> None:
    stdin = config(**{"cni.dev/valid-attachments": []})
    assert call(environ(command, netns), stdin) == (0, None)
    assert len(Recorder.calls) == 1


def test_gc_gets_the_valid_attachments() -> None:
    valid = [{"containerID": "c1", "ifname": "eth0"}, {"containerID": "c2", "ifname": "net1"}]
    call(environ("GC"), config(**{"cni.dev/valid-attachments": valid}))
    assert Recorder.calls == [("gc", [("c1", "eth0"), ("c2", "net1")])]


def test_gc_takes_null_for_an_empty_list_but_not_a_missing_one() -> None:
    assert call(environ("GC"), config(**{"cni.dev/valid-attachments": None}))[0] == 0
    status, answer = call(environ("GC"), config())
    assert (status, answer["code"]) == (1, 7)
    assert Recorder.calls == [("gc", [])]


def test_delete_succeeds_when_netns_is_gone() -> None:
    for gone in ("", "/run/netns/never-was", "/etc/hostname", "/proc/self/ns/uts"):
        assert call(environ("DEL", gone), config()) == (0, None)
    assert [attachment for _, (_, attachment) in Recorder.calls] == [None] * 4


def test_delete_with_an_invalid_configuration_releases_and_then_complains(netns: str) -> None:
    status, answer = call(environ("DEL", netns), config(mtu="big", answer="result"))
    assert (status, answer["code"]) == (1, 7)
    assert "$.mtu" in answer["details"]
    assert "big" in answer["details"]
    ((verb, (salvaged, _)),) = Recorder.calls
    assert (verb, salvaged.mtu, salvaged.name) == ("delete", 0, "net")


# -- failures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        ("own error", 123, "own words"),
        ("os error", 5, "/some/file: No space left on device"),
        ("bug", 999, "ZeroDivisionError: division by zero"),
        ("exit", 999, "SystemExit: 0"),
        ("refused", 2, "answer='refused'"),
    ],
)
def test_failed_add_is_undone_newest_first(netns: str, answer: str, code: int, text: str) -> None:
    status, wire = call(environ("ADD", netns), config(answer=answer))
    assert status == 1
    assert wire["code"] == code
    assert text in wire["msg"]
    assert wire["cniVersion"] == "1.1.0"
    assert [verb for verb, _ in Recorder.calls] == ["add", "undo 2", "undo 1"]


def test_add_whose_answer_cannot_be_delivered_is_undone(netns: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError), open(write, "wb") as stdout:
        assert run(Recorder, environ("ADD", netns), config(), stdout) == 1
    assert [verb for verb, _ in Recorder.calls] == ["add", "undo 2", "undo 1"]


def test_successful_add_is_not_undone(netns: str) -> None:
    call(environ("ADD", netns), config())
    assert [verb for verb, _ in Recorder.calls] == ["add"]


# -- variables -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "missing", "named"),
    [
        ("ADD", ["CNI_CONTAINERID"], "[CNI_CONTAINERID]"),
        ("ADD", ["CNI_NETNS", "CNI_IFNAME"], "[CNI_NETNS,CNI_IFNAME]"),
        ("CHECK", ["CNI_NETNS"], "[CNI_NETNS]"),
        ("DEL", ["CNI_IFNAME"], "[CNI_IFNAME]"),
        ("GC", ["CNI_PATH"], "[CNI_PATH]"),
        ("", [], "[CNI_COMMAND]"),
    ],
)
def test_missing_variables_are_all_named(command: str, missing: list[str], named: str) -> None:
    variables = environ(command, "/proc/1/ns/net", **dict.fromkeys(missing, ""))
    status, answer = call(variables, config())
    assert (status, answer["code"]) == (1, 4)
    assert answer["msg"] == f"required env variables {named} missing"
    assert Recorder.calls == []


@pytest.mark.parametrize("command", ["add", "NOPE", "ADD\n", " ADD"])
def test_unknown_command_is_named(command: str) -> None:
    status, answer = call(environ(command), config())
    assert (status, answer["code"]) == (1, 4)
    assert answer["msg"] == f"unknown CNI_COMMAND: {command}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CNI_CONTAINERID", "c1\n"),
        ("CNI_CONTAINERID", "-c1"),
        ("CNI_CONTAINERID", "../c1"),
        ("CNI_CONTAINERID", "ç1"),
        ("CNI_IFNAME", "sixteen-bytes-xx"),
        ("CNI_IFNAME", "ééééééé§"),
        ("CNI_IFNAME", "eth0\n"),
        ("CNI_IFNAME", ".."),
        ("CNI_IFNAME", "a/b"),
        ("CNI_IFNAME", "a:b"),
        ("CNI_IFNAME", "a b"),
        ("CNI_IFNAME", "eth%d"),
    ],
)
def test_malformed_variable_is_named(variable: str, value: str) -> None:
    status, answer = call(environ("ADD", "/proc/1/ns/net", **{variable: value}), config())
    assert (status, answer["code"]) == (1, 4)
    assert variable in answer["msg"]
    assert Recorder.calls == []


def test_malformed_args_stop_add_but_not_delete(netns: str) -> None:
    status, answer = call(environ("ADD", netns, CNI_ARGS="IP"), config())
    assert (status, answer["code"]) == (1, 4)
    assert "CNI_ARGS" in answer["msg"]
    assert call(environ("DEL", netns, CNI_ARGS="IP"), config()) == (0, None)


@pytest.mark.parametrize("path", ["/run/netns/none", "/etc/hostname", "/etc", "/proc/self/ns/uts"])
def test_what_is_no_network_namespace_is_refused(path: str) -> None:
    status, answer = call(environ("ADD", path), config())
    assert (status, answer["code"]) == (1, 4)
    assert "CNI_NETNS" in answer["msg"]
    assert path in answer["details"]
    assert Recorder.calls == []


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
def test_own_namespace_is_refused_before_the_hook(command: str) -> None:
    status, answer = call(environ(command, "/proc/self/ns/net"), config())
    assert (status, answer["code"]) == (1, 8)
    assert Recorder.calls == []


@pytest.mark.parametrize("override", ["1", "true", "TRUE"])
def test_override_allows_the_own_namespace(override: str) -> None:
    variables = environ("ADD", "/proc/self/ns/net", CNI_NETNS_OVERRIDE=override)
    assert call(variables, config())[0] == 0


# -- configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdin", "code"),
    [
        (b"", 6),
        (b"  \n", 6),
        (b"{", 6),
        (b"[]", 6),
        (b"null", 6),
        (b'"text"', 6),
        (b"\xff\xfe{}", 6),
        (config() + b"{}", 6),
        (b'{"cniVersion":"1.1.0","name":"net","type":"t","mtu":NaN}', 6),
        (b'{"cniVersion":"1.1.0","name":"net","type":"t","mtu":-Infinity}', 6),
        (b"[" * 100_000, 6),
        (b" " * (10 << 20), 6),
        (config() + b" " * (10 << 20), 6),
        (config(1.0), 6),
        (config(name=None), 7),
        (config(name=""), 7),
        (config(name=["net"]), 6),
        (config(name="net\n"), 7),
        (config(name="../net"), 7),
        (config("2.0.0"), 1),
        (config("1.1"), 1),
        (config("abc"), 1),
        (config(mtu="1500"), 7),
        (config(mtu=1500.5), 7),
        (config(mtu=True), 7),
        (config(isGateway=1), 7),
        (config(prevResult=[]), 7),
        (config(ipam=[]), 7),
    ],
)
def test_bad_configuration_gets_its_code(netns: str, stdin: bytes, code: int) -> None:
    status, answer = call(environ("ADD", netns), stdin)
    assert status == 1
    assert answer["code"] == code
    assert answer["msg"]
    assert Recorder.calls == []


@pytest.mark.parametrize(
    ("command", "since"), [("CHECK", "0.4.0"), ("GC", "1.1.0"), ("STATUS", "1.1.0")]
)
def test_verb_is_refused_before_its_version(netns: str, command: str, since: str) -> None:
    for version in versions.SUPPORTED:
        stdin = config(version, **{"cni.dev/valid-attachments": []})
        status, answer = call(environ(command, netns), stdin)
        if versions.at_least(version, since):
            assert status == 0
        else:
            assert (status, answer["code"], answer["cniVersion"]) == (1, 1, version)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_no_stdin_makes_the_runner_raise(data: bytes) -> None:
    status, answer = call(environ("STATUS"), data)
    assert status == 1
    assert answer["code"] in (1, 6, 7)


# -- VERSION ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdin", "echoed"),
    [
        (b'{"cniVersion":"0.4.0"}', "0.4.0"),
        (b'{"cniVersion":"9.9.9"}', "9.9.9"),
        (b"", "1.1.0"),
        (b"nonsense", "1.1.0"),
        (b'{"cniVersion":7}', "1.1.0"),
    ],
)
def test_version_echoes_the_version_it_was_asked_in(stdin: bytes, echoed: str) -> None:
    variables = {"CNI_COMMAND": "VERSION", "CNI_NETNS": "dummy", "CNI_IFNAME": "not/valid"}
    status, answer = call(variables, stdin)
    assert status == 0
    assert answer == {"cniVersion": echoed, "supportedVersions": list(versions.SUPPORTED)}


# -- the process -----------------------------------------------------------------------------

SCRIPT = """
    import os, sys, time
    from cnisdk import Plugin, PluginConfig, Result, main
    from cnisdk import cancel

    class Slow(Plugin[PluginConfig]):
        '''Takes its time.'''
        def add(self, config, attachment):
            print("chatter on stdout")
            os.system("echo chatter of a child")
            self.undo.push(self.log, "undone")
            if config.model_extra.get("slow"):
                self.log("waiting")
                with cancel.interruptible():
                    time.sleep(30)
            return Result()
        def delete(self, config, attachment):
            print("chatter")

    main(Slow)
"""


def process(variables: dict[str, str], **kwargs: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        **{
            "env": {**os.environ, **variables},
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **kwargs,
        },
    )


def test_nothing_that_is_printed_reaches_the_answer(netns: str) -> None:
    with process(environ("ADD", netns)) as plugin:
        out, err = plugin.communicate(config())
    assert plugin.returncode == 0
    assert json.loads(out) == {"cniVersion": "1.1.0"}
    assert b"chatter of a child" in err


def test_sigterm_undoes_an_add_and_answers_an_error(netns: str) -> None:
    with process(environ("ADD", netns)) as plugin:
        assert plugin.stdin is not None
        assert plugin.stderr is not None
        plugin.stdin.write(config(slow=True))
        plugin.stdin.close()
        while b"waiting" not in plugin.stderr.readline():
            pass
        plugin.send_signal(signal.SIGTERM)
        assert plugin.stdout is not None
        answer = json.loads(plugin.stdout.read())
        log = plugin.stderr.read()
    assert plugin.returncode == 1
    assert answer["code"] == TryAgainLaterError.code
    assert "SIGTERM" in answer["details"]
    assert b"undone" in log


def test_version_does_not_wait_for_a_silent_stdin() -> None:
    read, write = os.pipe()
    with process({"CNI_COMMAND": "VERSION"}, stdin=read) as plugin:
        out, _ = plugin.communicate(timeout=20)
    os.close(read)
    os.close(write)
    assert json.loads(out)["cniVersion"] == "1.1.0"


def test_add_without_stdout_fails_and_is_undone(netns: str) -> None:
    script = 'exec "$0" "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, "-c", textwrap.dedent(SCRIPT)],
        env={**os.environ, **environ("ADD", netns)},
        input=config(),
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 1
    assert b"undone" in done.stderr


def test_without_cni_variables_it_introduces_itself() -> None:
    with process({}, env={"PATH": os.environ["PATH"]}) as plugin:
        out, err = plugin.communicate()
    assert (plugin.returncode, out) == (0, b"")
    assert b"CNI plugin Slow: Takes its time." in err


def test_every_error_of_the_specification_has_a_class() -> None:
    for code in (1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51, 999):
        err = CNIError.of(code, "msg", "details")
        assert type(err) is not CNIError
        assert err.to_wire("1.0.0") == {
            "cniVersion": "1.0.0",
            "code": code,
            "msg": "msg",
            "details": "details",
        }
