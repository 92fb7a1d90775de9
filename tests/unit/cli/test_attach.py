import base64
import json
import subprocess
import sys
from hashlib import sha512
from pathlib import Path

import pytest

from tests.unit.cli.conftest import RESULT, Cnisdk, write_network
from tests.unit.runtime.double import Plugins


def test_add_prints_the_result(run: Cnisdk, netns: str) -> None:
    done = run("add", "net", netns)

    assert done.exit_code == 0
    assert json.loads(done.stdout) == RESULT
    assert done.stdout.startswith('{\n    "cniVersion"')
    assert done.stderr == ""


def test_add_reads_the_variables_of_cnitool(
    run: Cnisdk, plugins: Plugins, netns: str, net_d: Path
) -> None:
    write_network(net_d, plugins=[{"type": "a", "capabilities": {"mac": True}}])

    run("add", "net", netns, CNI_ARGS="K=v", CNI_IFNAME="net1", CAP_ARGS='{"mac": "aa", "x": 1}')

    (call,) = plugins.calls
    assert (call.env["CNI_ARGS"], call.env["CNI_IFNAME"]) == ("K=v", "net1")
    assert call.config["runtimeConfig"] == {"mac": "aa"}


def test_what_is_typed_goes_before_the_variables(run: Cnisdk, plugins: Plugins, netns: str) -> None:
    run("add", "net", netns, "-i", "net2", "--args", "K=w", CNI_ARGS="K=v", CNI_IFNAME="net1")

    assert (plugins.calls[0].env["CNI_ARGS"], plugins.calls[0].env["CNI_IFNAME"]) == ("K=w", "net2")


def test_the_container_id_is_the_one_that_cnitool_derives(
    run: Cnisdk, plugins: Plugins, netns: str
) -> None:
    run("add", "net", netns)

    derived = "cnitool-" + sha512(netns.encode()).hexdigest()[:20]
    assert plugins.calls[0].env["CNI_CONTAINERID"] == derived


def test_a_container_id_can_be_given(run: Cnisdk, plugins: Plugins, netns: str) -> None:
    run("add", "net", netns, "--container-id", "mine")

    assert plugins.calls[0].env["CNI_CONTAINERID"] == "mine"


def test_a_name_without_a_slash_is_one_of_ip_netns(run: Cnisdk, plugins: Plugins) -> None:
    run("del", "net", "blue")

    assert plugins.calls[0].env["CNI_NETNS"] == "/run/netns/blue"


def test_add_to_a_namespace_that_is_missing_runs_nothing(run: Cnisdk, plugins: Plugins) -> None:
    done = run("add", "net", "nowhere")

    assert done.exit_code == 1
    assert "'ip netns add nowhere' makes one" in done.stderr
    assert plugins.run == []


def test_a_failure_goes_to_stderr_and_everything_is_undone(
    run: Cnisdk, plugins: Plugins, netns: str
) -> None:
    plugins.fail("b", "ADD", 107, "no room", "pool is full")

    done = run("add", "net", netns)

    assert (done.exit_code, done.stdout) == (1, "")
    assert "plugin 'b' of network 'net' failed ADD: no room (code 107)" in done.stderr
    assert "pool is full" in done.stderr
    assert plugins.run == ["ADD a", "ADD b", "DEL b", "DEL a"]


def test_what_could_not_be_undone_is_told_with_what_to_do(
    run: Cnisdk, plugins: Plugins, netns: str
) -> None:
    plugins.fail("b", "ADD", 107, "no room")
    plugins.fail("a", "DEL", 5, "cannot")

    done = run("add", "net", netns)

    assert "undoing it failed too: plugin 'a' of network 'net' failed DEL: cannot" in done.stderr
    assert "Next: run 'cnisdk del' with the same arguments" in done.stderr


def test_a_failed_add_is_kept_with_no_rollback(run: Cnisdk, plugins: Plugins, netns: str) -> None:
    plugins.fail("b", "ADD", 107, "no room")

    run("add", "net", netns, "--no-rollback")

    assert plugins.run == ["ADD a", "ADD b"]


def test_adding_twice_says_what_to_do(run: Cnisdk, netns: str) -> None:
    run("add", "net", netns)

    done = run("add", "net", netns)

    assert done.exit_code == 1
    assert "Next: run 'cnisdk del' first" in done.stderr


def test_check_and_del_use_the_parameters_of_the_add(
    run: Cnisdk, plugins: Plugins, netns: str
) -> None:
    run("add", "net", netns, "--container-id", "mine", CNI_ARGS="K=v")
    plugins.forget()

    assert run("check", "net", "--container-id", "mine").exit_code == 0
    assert run("del", "net", "--container-id", "mine").exit_code == 0

    assert plugins.run == ["CHECK a", "CHECK b", "DEL b", "DEL a"]
    assert {call.env["CNI_NETNS"] for call in plugins.calls} == {netns}
    assert {call.env["CNI_ARGS"] for call in plugins.calls} == {"K=v"}


def test_del_uses_the_configuration_of_the_add(
    run: Cnisdk, plugins: Plugins, netns: str, net_d: Path
) -> None:
    run("add", "net", netns)
    plugins.forget()
    (net_d / "10-net.conflist").unlink()

    assert run("del", "net", netns).exit_code == 0

    assert plugins.run == ["DEL b", "DEL a"]


def test_del_uses_the_present_configuration_when_asked(
    run: Cnisdk, plugins: Plugins, netns: str, net_d: Path
) -> None:
    run("add", "net", netns)
    plugins.forget()
    write_network(net_d, plugins=[{"type": "a"}])

    run("del", "net", netns, "--current")

    assert plugins.run == ["DEL a"]


def test_del_can_be_repeated(run: Cnisdk, netns: str) -> None:
    assert run("del", "net", netns).exit_code == 0
    assert run("del", "net", netns).exit_code == 0


def test_check_without_an_add_says_so(run: Cnisdk, netns: str) -> None:
    done = run("check", "net", netns)

    assert done.exit_code == 1
    assert "no result of an ADD is known" in done.stderr


def test_check_that_is_disabled_says_so_and_succeeds(run: Cnisdk, netns: str, net_d: Path) -> None:
    write_network(net_d, disableCheck=True)

    done = run("check", "net", netns)

    assert (done.exit_code, done.stdout) == (0, "")
    assert "disableCheck" in done.stderr


@pytest.mark.parametrize(
    ("argv", "env", "words"),
    [
        (("add", "net"), {}, "NETNS"),
        (("del", "net"), {}, "--container-id"),
        (("add", "net", "/x"), {"CAP_ARGS": "[]"}, "CAP_ARGS"),
        (("add", "net", "/x"), {"CAP_ARGS": "{"}, "CAP_ARGS"),
        (("add", "net", "/x"), {"CNI_ARGS": "novalue"}, "CNI_ARGS"),
    ],
)
def test_wrong_usage_ends_with_status_2(
    run: Cnisdk, plugins: Plugins, argv: tuple[str, ...], env: dict[str, str], words: str
) -> None:
    done = run(*argv, **env)

    assert done.exit_code == 2
    assert words in done.stderr
    assert plugins.run == []


def test_a_network_that_is_not_there_is_told_with_those_that_are(run: Cnisdk, netns: str) -> None:
    done = run("add", "ten", netns)

    assert done.exit_code == 1
    assert "it has net" in done.stderr
    assert "NETCONFPATH" in done.stderr


def test_a_missing_plugin_is_told_with_what_to_do(run: Cnisdk, netns: str, net_d: Path) -> None:
    write_network(net_d, plugins=[{"type": "missing"}])

    done = run("add", "net", netns)

    assert done.exit_code == 1
    assert "install missing, or say where it is with --cni-path or CNI_PATH" in done.stderr


def test_a_broken_file_of_another_network_is_a_warning(
    run: Cnisdk, netns: str, net_d: Path
) -> None:
    (net_d / "05-half.conflist").write_text("{")

    done = run("add", "net", netns)

    assert done.exit_code == 0
    assert "Warning: passed over: " in done.stderr
    assert "05-half.conflist" in done.stderr


def test_an_add_that_is_terminated_is_undone(
    plugins: Plugins, netns: str, net_d: Path, tmp_path: Path
) -> None:
    plugins.also("a", 'if [ "$CNI_COMMAND" = ADD ]; then kill -TERM $PPID; fi')
    code = "import sys; from cnisdk.cli import main; main()"
    directories = {"--config-dir": net_d, "--cni-path": plugins.path, "--cache-dir": tmp_path}
    options = [text for option in directories.items() for text in map(str, option)]

    done = subprocess.run(
        [sys.executable, "-c", code, "add", "net", netns, *options],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: stopped by SIGTERM\n"
    assert plugins.run == ["ADD a", "DEL b", "DEL a"]


def as_the_go_library_remembers(cache: Path, config: Path) -> None:
    """Rewrite what is remembered: libcni keeps the list as its file has it, without drop-ins."""
    (entry,) = (cache / "results").iterdir()
    wire = json.loads(entry.read_text())
    wire["config"] = base64.b64encode(config.read_bytes()).decode()
    entry.write_text(json.dumps(wire))


def test_del_and_gc_run_the_drop_ins_that_the_go_library_does_not_remember(
    run: Cnisdk, plugins: Plugins, netns: str, net_d: Path, tmp_path: Path
) -> None:
    plugins.make("c")
    plugins.answer("c", "ADD", RESULT)
    (net_d / "net").mkdir()
    (net_d / "net" / "50-more.conf").write_text('{"type": "c"}')
    ran = []
    for verb in (["del", "net", netns], ["gc", "net", "--all"]):
        run("add", "net", netns)
        as_the_go_library_remembers(tmp_path / "cni", net_d / "10-net.conflist")
        plugins.forget()
        assert run(*verb).exit_code == 0
        ran.append([one for one in plugins.run if one.startswith("DEL")])

    assert ran == [["DEL c", "DEL b", "DEL a"]] * 2


def test_drop_ins_that_are_remembered_are_not_run_twice(
    run: Cnisdk, plugins: Plugins, netns: str, net_d: Path
) -> None:
    plugins.make("c")
    plugins.answer("c", "ADD", RESULT)
    (net_d / "net").mkdir()
    (net_d / "net" / "50-more.conf").write_text('{"type": "c"}')
    for more in ([], ["--current"]):
        run("add", "net", netns)
        plugins.forget()
        assert run("del", "net", netns, *more).exit_code == 0
        assert plugins.run == ["DEL c", "DEL b", "DEL a"]
