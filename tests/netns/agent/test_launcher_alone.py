"""What a launcher does by itself: VERSION, errors, the one call, the queue of DELs."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cnisdk import versions
from cnisdk.agent import queue, trailer
from cnisdk.agent.queue import Queue
from tests.netns.agent.launchers import CONFIG, Launcher, Outcome, StandIn, die, serve

# -- VERSION -----------------------------------------------------------------------------------


def version(launcher: Launcher, stdin: bytes) -> Any:
    outcome = launcher.run("VERSION", stdin=stdin)
    assert (outcome.status, outcome.stderr) == (0, b"")
    return json.loads(outcome.stdout)


def test_version_lists_all_of_the_specification_by_default(launcher: Launcher) -> None:
    assert version(launcher, b'{"cniVersion":"0.3.1"}') == {
        "cniVersion": "0.3.1",
        "supportedVersions": list(versions.SUPPORTED),
    }


def test_version_lists_what_the_plugin_speaks(launcher: Launcher) -> None:
    launcher.write([("versions", "0.4.0,1.0.0")])

    assert version(launcher, b"") == {
        "cniVersion": "1.0.0",
        "supportedVersions": ["0.4.0", "1.0.0"],
    }


def test_version_asks_no_agent(launcher: Launcher) -> None:
    with StandIn(launcher.socket, serve(7)):
        assert launcher.run("VERSION").status == 0


@pytest.mark.parametrize(
    ("stdin", "stated"),
    [
        (b'{"cniVersion": "0.4.0"}', "0.4.0"),
        (b' \n\t{"name":"n","cniVersion"\n:\n"0.4.0"}\n', "0.4.0"),
        (b'{"plugins":[{"cniVersion":"0.1.0"}],"cniVersion":"0.4.0","x":[1,"]"]}', "0.4.0"),
        (b'{"x":"cniVersion","cniVersion":"9.9.9-rc.1+b"}', "9.9.9-rc.1+b"),
        (b'{"x":"\\"cniVersion\\":\\"0.1.0\\"","cniVersion":"0.4.0"}', "0.4.0"),
        (b'{"x\\\\":1,"cniVersion":"0.4.0"}', "0.4.0"),
        (b'{"cniVersion":"0.1.0","cniVersion":"0.4.0"}', "0.4.0"),
        (b'{"cniVersion":"0.4.0"} trailing', "0.4.0"),
        (b'{"cniVersion":"' + b"1" * 64 + b'"}', "1" * 64),
        # none of these states a version that can be repeated
        (b"", None),
        (b"null", None),
        (b"\0\0\0", None),
        (b"\xff\xfe", None),
        (b"}{", None),
        (b'["cniVersion", "0.4.0"]', None),
        (b'{"cniVersion": "0.4.0"', None),
        (b'{"cniVersion": "0.4', None),
        (b'{"cniVersion": "0.4.0\\', None),
        (b'{"cniVersion": 4}', None),
        (b'{"cniVersion":"0.4.0","cniVersion":null}', None),
        (b'{"cniVersion": ""}', None),
        (b'{"cniVersion": "<script>"}', None),
        (b'{"cniVersion": "\\u0030.4.0"}', None),
        (b'{"cniVersion": "0.4.0\\""}', None),
        (b'{"cniVersion":"' + b"1" * 65 + b'"}', None),
        (b'{"args":{"cniVersion": "0.4.0"}}', None),
        (b'{"x": ["cniVersion", "0.4.0"]}', None),
        (b"[" * 20_000, None),
        (b'{"a":' * 20_000, None),
    ],
)
def test_version_repeats_what_stdin_states_if_that_is_safe(
    launcher: Launcher, stdin: bytes, stated: str | None
) -> None:
    assert version(launcher, stdin)["cniVersion"] == (stated or versions.CURRENT)


def version_from_open_pipe(launcher: Launcher, text: bytes) -> Any:
    """Return the version that is repeated while somebody might still write more."""
    reading, writing = os.pipe()
    with open(reading, "rb") as stdin, open(writing, "wb", buffering=0) as runtime:
        runtime.write(text)
        done = subprocess.run(
            [launcher.path],
            env=launcher.environ("VERSION"),
            stdin=stdin,
            capture_output=True,
            timeout=60,
            check=True,
        )
    return json.loads(done.stdout)["cniVersion"]


def test_version_does_not_wait_for_a_stdin_without_a_writer(launcher: Launcher) -> None:
    assert version_from_open_pipe(launcher, b"") == versions.CURRENT


def test_version_is_answered_once_the_object_is_complete(launcher: Launcher) -> None:
    assert version_from_open_pipe(launcher, b'{"cniVersion": "0.4.0"}') == "0.4.0"


@pytest.mark.parametrize("redirection", ["<&-", "</dev/zero", "0>/dev/null", ">&-", "2>&-"])
def test_version_survives_odd_streams(launcher: Launcher, redirection: str) -> None:
    outcome = launcher.run("VERSION", argv=["sh", "-c", f'exec "$0" {redirection}'], stdin=b"")

    assert outcome.status == (1 if redirection == ">&-" else 0)


# -- launcher only -----------------------------------------------------------------------------


def error(outcome: Outcome) -> Any:
    assert outcome.status == 1
    return json.loads(outcome.stdout)


@pytest.mark.parametrize(("command", "code"), [("ADD", 11), ("CHECK", 11), ("GC", 11)])
def test_without_an_agent_the_runtime_is_to_try_again(
    launcher: Launcher, command: str, code: int
) -> None:
    assert error(launcher.run(command)) == {
        "cniVersion": "1.0.0",
        "code": code,
        "msg": f"no agent serves {command}",
        "details": f"{launcher.socket}: No such file or directory",
    }


def test_without_an_agent_status_says_that_add_would_fail(launcher: Launcher) -> None:
    assert error(launcher.run("STATUS"))["code"] == 50


def test_an_error_is_in_the_newest_version_if_stdin_states_none(launcher: Launcher) -> None:
    assert error(launcher.run("ADD", stdin=b"garbage"))["cniVersion"] == versions.CURRENT


def test_an_unknown_command_is_an_error_of_the_environment(launcher: Launcher) -> None:
    answer = error(launcher.run('N"PE\n'))

    assert (answer["code"], answer["msg"]) == (4, 'unknown CNI_COMMAND: N"PE\n')


def test_details_are_escaped(launcher: Launcher) -> None:
    answer = error(launcher.run("ADD", CNISDK_SOCKET='/x"\\\n\x01é'))

    assert answer["details"] == '/x"\\\n\x01Ã©: No such file or directory'


def test_a_command_that_is_not_given_is_named(launcher: Launcher) -> None:
    answer = error(launcher.run("", env={"CNI_IFNAME": "eth0"}))

    assert answer["code"] == 4
    assert "CNI_COMMAND" in answer["msg"]


def test_somebody_who_types_the_name_is_told_what_it_is(launcher: Launcher) -> None:
    outcome = launcher.run("", env={})

    assert (outcome.status, outcome.stdout) == (0, b"")
    assert outcome.stderr.startswith(b"CNI plugin bridge: ")


def test_a_stdin_that_cannot_be_read_is_an_error(launcher: Launcher) -> None:
    answer = error(launcher.run("ADD", argv=["sh", "-c", 'exec "$0" 0>/dev/null']))

    assert (answer["code"], answer["details"]) == (5, "Bad file descriptor")


def test_a_damaged_trailer_makes_it_a_launcher_only(launcher: Launcher) -> None:
    launcher.with_fallback()
    data = launcher.path.read_bytes()
    launcher.path.write_bytes(data[:-20] + b"?" + data[-19:])
    outcome = launcher.run("ADD", CNISDK_SOCKET=str(launcher.socket))

    assert error(outcome)["code"] == 11


# -- launcher only: DEL ------------------------------------------------------------------------


def queued(launcher: Launcher) -> list[queue.Entry]:
    return Queue(str(launcher.queue)).entries()


def test_del_is_queued_and_succeeds(launcher: Launcher) -> None:
    outcome = launcher.run("DEL", CNI_NETNS="/run/netns/x", AWS_KEY="x")
    (entry,) = queued(launcher)
    call = entry.load()

    assert outcome == (0, b"", b"")
    assert call.argv == (str(launcher.path),)
    assert call.environ == launcher.environ("DEL", CNI_NETNS="/run/netns/x")
    assert call.stdin == CONFIG
    assert entry.attachment == queue.attachment_hash("c1", "eth0")


def test_the_queue_is_roots_own(launcher: Launcher) -> None:
    launcher.run("DEL", argv=["sh", "-c", 'umask 0; exec "$0"'])
    (entry,) = queued(launcher)

    assert launcher.queue.stat().st_mode & 0o7777 == 0o700
    assert launcher.queue.parent.stat().st_mode & 0o7777 == 0o755
    assert Path(entry.path).stat().st_mode & 0o7777 == 0o600


def test_dels_are_queued_in_their_order(launcher: Launcher) -> None:
    for name in ("z", "a", "m"):
        launcher.run("DEL", CNI_CONTAINERID=name)

    found = [entry.load().environ["CNI_CONTAINERID"] for entry in queued(launcher)]
    assert found == ["z", "a", "m"]


def test_a_del_whose_agent_died_is_queued(launcher: Launcher) -> None:
    with StandIn(launcher.socket, die()):
        outcome = launcher.run("DEL")
    (entry,) = queued(launcher)

    assert outcome.status == 0
    assert entry.load().stdin == CONFIG


@pytest.mark.parametrize(("policy", "status"), [("ignore", 0), ("fail", 1)])
def test_del_follows_its_policy(launcher: Launcher, policy: str, status: int) -> None:
    launcher.write([("on-del", policy)])
    outcome = launcher.run("DEL")

    assert outcome.status == status
    assert outcome.stdout == b"" or json.loads(outcome.stdout)["code"] == 11
    assert not launcher.queue.exists()


def test_a_full_queue_fails(launcher: Launcher) -> None:
    launcher.queue.mkdir(mode=0o700, parents=True)
    for n in range(queue.MAX_ENTRIES - 1):
        (launcher.queue / f"{n:020d}-0000000000000000-1").touch()
    (launcher.queue / ".tmp-x").touch()
    outcomes = [launcher.run("DEL"), launcher.run("DEL")]

    assert outcomes[0].status == 0
    assert error(outcomes[1])["details"] == "and the queue is full"
    assert error(outcomes[1])["code"] == 11
    assert len(queued(launcher)) == queue.MAX_ENTRIES


def test_a_call_that_is_too_large_fails(launcher: Launcher) -> None:
    answer = error(launcher.run("DEL", stdin=b"x" * queue.MAX_SIZE))

    assert (answer["code"], answer["details"]) == (11, "and the call is too large to queue")


def test_a_del_without_a_container_fails(launcher: Launcher) -> None:
    assert error(launcher.run("DEL", CNI_CONTAINERID=""))["code"] == 4


@pytest.mark.parametrize("trouble", ["mode", "link", "file", "readonly"])
def test_a_queue_that_is_not_ours_alone_fails(launcher: Launcher, trouble: str) -> None:
    launcher.queue.parent.mkdir()
    if trouble == "mode":
        launcher.queue.mkdir()
        launcher.queue.chmod(0o755)
    elif trouble == "link":
        (launcher.directory / "elsewhere").mkdir(mode=0o700)
        launcher.queue.symlink_to(launcher.directory / "elsewhere")
    elif trouble == "file":
        launcher.queue.write_text("x")
    else:
        launcher.write([("queue-dir", "/proc/sys/queue")])
    answer = error(launcher.run("DEL"))

    assert answer["code"] == 11
    assert "cannot be written to: " in answer["details"]


def test_a_disk_that_is_full_fails_and_leaves_nothing(launcher: Launcher) -> None:
    launcher.queue.mkdir(mode=0o700, parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(launcher.queue)]
    subprocess.run(mount, check=True)
    try:
        answer = error(launcher.run("DEL", stdin=b"x" * 100_000))
        left = list(launcher.queue.iterdir())
    finally:
        subprocess.run(["umount", launcher.queue], check=True)

    assert (answer["code"], left) == (11, [])
    assert "No space left on device" in answer["details"]


# -- one call ----------------------------------------------------------------------------------


def test_the_one_call_has_its_arguments_and_ours(launcher: Launcher) -> None:
    program = [("mode", "exec"), ("exec", "/bin/sh"), ("argv0", "sh-of-%n"), ("arg", "-c")]
    code = 'tr "\\0" "\\n" </proc/$$/cmdline'
    launcher.write([*program, ("arg", code), ("arg", "%s"), ("arg", "100%%"), ("arg", "<%d>")])
    outcome = subprocess.run([launcher.path, "add", "c1"], env={}, capture_output=True, check=True)

    assert outcome.stdout.decode().splitlines() == [
        "sh-of-bridge",
        "-c",
        code,
        str(launcher.path),
        "100%",
        "<>",
        "add",
        "c1",
    ]


@pytest.mark.parametrize("command", ["", "ADD"])
def test_no_agent_is_asked_for_what_a_person_types(launcher: Launcher, command: str) -> None:
    launcher.with_fallback()
    with StandIn(launcher.socket, serve(7)):
        done = subprocess.run(
            [launcher.path, "add", "c1"],
            env=launcher.environ(command),
            input=b"typed",
            capture_output=True,
            check=False,
        )

    assert (done.returncode, done.stdout, launcher.one_calls) == (0, b"bridge:typed", 1)


def test_a_launcher_only_tells_a_person_what_to_type(launcher: Launcher) -> None:
    done = subprocess.run([launcher.path, "add", "c1"], env={}, capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"type 'cnisdk add'" in done.stderr


def test_a_runtime_that_passes_arguments_to_a_launcher_only_is_served(launcher: Launcher) -> None:
    with StandIn(launcher.socket, serve(0)):
        env = launcher.environ("ADD")
        done = subprocess.run([launcher.path, "x"], env=env, input=CONFIG, capture_output=True)

    assert (done.returncode, done.stdout) == (0, b"from the agent\n")


def test_a_link_is_called_by_its_own_name(launcher: Launcher) -> None:
    launcher.with_fallback()
    link = launcher.directory / "host-local"
    link.symlink_to("bridge")
    done = subprocess.run([link], env={}, input=b"", capture_output=True, check=True)

    assert done.stdout == b"host-local:"


def test_without_a_command_stdin_is_left_alone(launcher: Launcher) -> None:
    launcher.write([("mode", "exec"), ("exec", "/bin/readlink"), ("arg", "/proc/self/fd/0")])
    done = subprocess.run(
        [launcher.path], env={}, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )

    assert done.stdout == b"/dev/null\n"


def test_the_one_call_inherits_every_variable(launcher: Launcher) -> None:
    launcher.write([("mode", "exec"), ("exec", "/usr/bin/env")])
    outcome = launcher.run("ADD", AWS_KEY="kept")

    assert b"AWS_KEY=kept\n" in outcome.stdout


@pytest.mark.parametrize(("command", "code"), [("ADD", 5), ("DEL", 5), ("STATUS", 50)])
def test_a_program_that_is_gone_is_an_error(launcher: Launcher, command: str, code: int) -> None:
    launcher.write([("mode", "exec"), ("exec", "/nonexistent/python3")])
    answer = error(launcher.run(command))

    assert answer["code"] == code
    assert answer["details"] == "/nonexistent/python3: No such file or directory"


def test_a_payload_stands_between_launcher_and_settings(launcher: Launcher) -> None:
    path = launcher.write([("mode", "exec"), ("exec", "/bin/true")], b"# payload\n" * 10)
    found = trailer.read(str(path))

    assert found is not None
    assert found.payload_length == 100
    assert launcher.run("ADD").status == 0
