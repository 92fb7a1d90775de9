import fcntl
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from cnisdk import cancel
from cnisdk.call import AttachmentKey
from cnisdk.errors import (
    CNIError,
    IncompatibleVersionError,
    InvalidEnvironmentError,
    InvalidNetworkConfigError,
    IOFailureError,
    PluginNotAvailableError,
)
from cnisdk.runtime import (
    AlreadyAttachedError,
    Cache,
    ExecutionError,
    GCError,
    NotAttachedError,
    PluginNotFoundError,
    Runtime,
)
from tests.unit.runtime.double import VERSIONS, Plugins, network, parameters


def result(version: str = "1.1.0", **keys: Any) -> dict[str, Any]:
    return {"cniVersion": version, "ips": [{"address": "10.0.0.2/24"}], **keys}


@pytest.fixture
def plugins(tmp_path: Path) -> Plugins:
    made = Plugins(tmp_path / "plugins")
    made.make("a", "b", "c")
    for name in ("a", "b", "c"):
        made.answer(name, "ADD", result(by=name))
    return made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def runtime(tmp_path: Path, plugins: Plugins, said: list[str]) -> Runtime:
    cache = Cache(str(tmp_path / "cni"))
    return Runtime([str(plugins.path)], cache=cache, timeout=20, log=said.append)


def cached(runtime: Runtime) -> list[AttachmentKey]:
    return [attachment.key for attachment in runtime.cache.attachments()]


# -- ADD -----------------------------------------------------------------------------------


def test_add_gives_each_plugin_the_result_of_the_one_before(
    runtime: Runtime, plugins: Plugins
) -> None:
    wire = runtime.add(network("a", "b", "c"), parameters())

    assert plugins.run == ["ADD a", "ADD b", "ADD c"]
    assert [call.config.get("prevResult") for call in plugins.calls] == [
        None,
        result(by="a"),
        result(by="b"),
    ]
    assert wire == result(by="c")


def test_add_sets_all_six_variables_over_those_of_the_caller(
    tmp_path: Path, plugins: Plugins
) -> None:
    inherited = {"PATH": os.environ["PATH"], "CNI_ARGS": "X=1", "CNI_IFNAME": "y", "MINE": "z"}
    runtime = Runtime([str(plugins.path)], cache=Cache(str(tmp_path)), environ=inherited)

    runtime.add(network("a"), parameters(args=(("K", "v"), ("L", "w=x"))))

    (call,) = plugins.calls
    assert {k: v for k, v in call.env.items() if k.startswith("CNI_")} == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/c1",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "K=v;L=w=x",
        "CNI_PATH": str(plugins.path),
    }
    assert call.env["MINE"] == "z"


def test_add_remembers_the_attachment(runtime: Runtime, plugins: Plugins) -> None:
    attachment = parameters(capability_args={"mac": "aa", "undeclared": 1})

    runtime.add(network("a", "b"), attachment)

    known = runtime.cache.find("net", attachment.key)
    assert known is not None
    assert known.parameters == attachment
    assert known.result == result(by="b")
    assert known.network_config().plugins == network("a", "b").plugins


def test_a_result_without_version_is_in_the_one_asked_for(
    runtime: Runtime, plugins: Plugins
) -> None:
    plugins.answer("a", "ADD", {"ips": [{"version": "4", "address": "10.0.0.2/24"}]})

    wire = runtime.add(network("a", version="0.4.0"), parameters())

    assert wire == {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.0.0.2/24"}]}


def test_a_result_in_another_version_is_converted_for_the_next_plugin(
    runtime: Runtime, plugins: Plugins
) -> None:
    plugins.answer("a", "ADD", result("1.1.0"))

    runtime.add(network("a", "b", version="0.4.0"), parameters())

    before = plugins.calls[1].config["prevResult"]
    assert before["cniVersion"] == "0.4.0"
    assert before["ips"] == [{"version": "4", "address": "10.0.0.2/24"}]


@pytest.mark.parametrize("text", ["", "banana", "[]", '{"cniVersion": "9.9.9"}'])
def test_an_answer_that_is_no_result_fails_the_add_of_that_plugin(
    runtime: Runtime, plugins: Plugins, text: str
) -> None:
    plugins.answer("b", "ADD", text)

    with pytest.raises(ExecutionError, match="plugin 'b' of network 'net' failed ADD"):
        runtime.add(network("a", "b"), parameters())

    assert plugins.run == ["ADD a", "ADD b", "DEL b", "DEL a"]
    assert cached(runtime) == []


def test_a_failed_add_is_followed_by_del_of_the_whole_list_in_reverse(
    runtime: Runtime, plugins: Plugins
) -> None:
    plugins.fail("b", "ADD", 107, "no room", "pool is full")

    with pytest.raises(ExecutionError) as caught:
        runtime.add(network("a", "b", "c"), parameters())

    assert (caught.value.code, caught.value.details) == (107, "pool is full")
    assert "no room" in caught.value.msg
    assert caught.value.rollback == ()
    assert plugins.run == ["ADD a", "ADD b", "DEL c", "DEL b", "DEL a"]
    assert [call.config["prevResult"] for call in plugins.calls[2:]] == [result(by="a")] * 3
    assert cached(runtime) == []


def test_undoing_goes_on_after_a_failure_and_reports_it_beside_the_first(
    runtime: Runtime, plugins: Plugins
) -> None:
    plugins.fail("b", "ADD", 107, "no room")
    plugins.fail("c", "DEL", 108, "cannot")

    with pytest.raises(ExecutionError) as caught:
        runtime.add(network("a", "b", "c"), parameters())

    assert caught.value.code == 107
    assert [failure.code for failure in caught.value.rollback] == [108]
    assert "cannot" in str(caught.value)
    assert plugins.run[2:] == ["DEL c", "DEL b", "DEL a"]


def test_a_failed_add_is_left_as_it_is_when_asked(runtime: Runtime, plugins: Plugins) -> None:
    plugins.fail("b", "ADD", 107, "no room")

    with pytest.raises(ExecutionError):
        runtime.add(network("a", "b"), parameters(), rollback=False)

    assert plugins.run == ["ADD a", "ADD b"]


def test_an_add_that_cannot_be_remembered_is_undone(runtime: Runtime, plugins: Plugins) -> None:
    Path(runtime.cache.results, "net-c1-eth0").mkdir(parents=True)

    with pytest.raises(IOFailureError, match="net-c1-eth0"):
        runtime.add(network("a"), parameters())

    assert plugins.run == ["ADD a", "DEL a"]


def test_an_add_that_is_stopped_by_a_signal_is_undone(runtime: Runtime, plugins: Plugins) -> None:
    token = cancel.Token()
    before = signal.signal(signal.SIGTERM, lambda signum, frame: token.cancel("SIGTERM"))
    plugins.also("a", 'if [ "$CNI_COMMAND" = ADD ]; then kill -TERM $PPID; fi')

    try:
        with cancel.cancellable(token), pytest.raises(cancel.Cancelled):
            runtime.add(network("a", "b"), parameters())
    finally:
        signal.signal(signal.SIGTERM, before)

    assert plugins.run == ["ADD a", "DEL b", "DEL a"]
    assert plugins.calls[1].config.get("prevResult") in (None, result(by="a"))


def test_an_add_with_a_plugin_missing_runs_nothing(runtime: Runtime, plugins: Plugins) -> None:
    with pytest.raises(PluginNotFoundError) as caught:
        runtime.add(network("a", "missing"), parameters())

    assert caught.value.plugin == "missing"
    assert plugins.run == []


@pytest.mark.parametrize(
    ("change", "variable"),
    [
        ({"container_id": "a\n"}, "CNI_CONTAINERID"),
        ({"container_id": ""}, "CNI_CONTAINERID"),
        ({"ifname": "a" * 16}, "CNI_IFNAME"),
        ({"ifname": "a/b"}, "CNI_IFNAME"),
        ({"netns": ""}, "CNI_NETNS"),
        ({"netns": "/run\0"}, "CNI_NETNS"),
        ({"netns": "/run/\udcff"}, "CNI_NETNS"),
        ({"args": (("a;b", "c"),)}, "CNI_ARGS"),
        ({"args": (("a", "b;c"),)}, "CNI_ARGS"),
        ({"capability_args": {"mac": float("nan")}}, "CAP_ARGS"),
        ({"capability_args": {"mac": b"aa"}}, "CAP_ARGS"),
    ],
)
def test_an_add_with_wrong_parameters_runs_nothing(
    runtime: Runtime, plugins: Plugins, change: dict[str, Any], variable: str
) -> None:
    with pytest.raises(InvalidEnvironmentError, match=variable):
        runtime.add(network("a"), parameters(**change))

    assert plugins.run == []


def test_an_add_to_a_network_with_a_wrong_name_runs_nothing(
    runtime: Runtime, plugins: Plugins
) -> None:
    with pytest.raises(InvalidNetworkConfigError, match=r"\$.name"):
        runtime.add(network("a", name="a/b"), parameters())

    assert plugins.run == []


def test_an_add_in_a_version_from_the_future_runs_nothing(
    runtime: Runtime, plugins: Plugins
) -> None:
    with pytest.raises(IncompatibleVersionError, match=r"'2\.0\.0'"):
        runtime.add(network("a", version="2.0.0"), parameters())

    assert plugins.run == []


def test_adding_twice_is_refused_and_leaves_the_attachment(
    runtime: Runtime, plugins: Plugins
) -> None:
    runtime.add(network("a"), parameters())

    with pytest.raises(AlreadyAttachedError):
        runtime.add(network("a"), parameters())
    with pytest.raises(AlreadyAttachedError, match="to network 'net' already"):
        runtime.add(network("a", name="other"), parameters())

    assert plugins.run == ["ADD a"]
    runtime.add(network("a"), parameters(ifname="eth1"))
    assert len(cached(runtime)) == 2


# -- CHECK ---------------------------------------------------------------------------------


def test_check_gives_every_plugin_the_final_result(runtime: Runtime, plugins: Plugins) -> None:
    net, attachment = network("a", "b"), parameters()
    runtime.add(net, attachment)
    plugins.forget()

    runtime.check(net, attachment)

    assert plugins.run == ["CHECK a", "CHECK b"]
    assert [call.config["prevResult"] for call in plugins.calls] == [result(by="b")] * 2


def test_check_stops_at_the_first_failure_and_keeps_its_code(
    runtime: Runtime, plugins: Plugins
) -> None:
    net = network("a", "b")
    runtime.add(net, parameters())
    plugins.forget()
    plugins.fail("a", "CHECK", 123, "route gone")

    with pytest.raises(ExecutionError) as caught:
        runtime.check(net, parameters())

    assert caught.value.code == 123
    assert plugins.run == ["CHECK a"]


def test_check_runs_nothing_where_it_is_disabled(runtime: Runtime, plugins: Plugins) -> None:
    runtime.check(network("a", disableCheck="true"), parameters())

    assert plugins.run == []


def test_check_of_an_unknown_attachment_runs_nothing(runtime: Runtime, plugins: Plugins) -> None:
    with pytest.raises(NotAttachedError):
        runtime.check(network("a"), parameters())

    assert plugins.run == []


def test_check_is_refused_before_0_4_0(runtime: Runtime, plugins: Plugins) -> None:
    with pytest.raises(IncompatibleVersionError, match=r"0\.3\.1"):
        runtime.check(network("a", version="0.3.1"), parameters())

    assert plugins.run == []


# -- DEL -----------------------------------------------------------------------------------


def test_delete_runs_in_reverse_and_forgets(runtime: Runtime, plugins: Plugins) -> None:
    net = network("a", "b")
    runtime.add(net, parameters())
    plugins.forget()

    runtime.delete(net, parameters())

    assert plugins.run == ["DEL b", "DEL a"]
    assert [call.config["prevResult"] for call in plugins.calls] == [result(by="b")] * 2
    assert cached(runtime) == []


def test_delete_can_be_repeated(runtime: Runtime, plugins: Plugins) -> None:
    runtime.delete(network("a"), parameters())
    runtime.delete(network("a"), parameters(netns=""))

    assert plugins.run == ["DEL a", "DEL a"]
    assert "prevResult" not in plugins.calls[0].config


def test_delete_before_0_4_0_has_no_previous_result(runtime: Runtime, plugins: Plugins) -> None:
    net = network("a", version="0.3.1")
    plugins.answer("a", "ADD", {"cniVersion": "0.3.1"})
    runtime.add(net, parameters())

    runtime.delete(net, parameters())

    assert "prevResult" not in plugins.calls[-1].config
    assert cached(runtime) == []


def test_delete_stops_at_the_first_failure_and_remembers_the_attachment(
    runtime: Runtime, plugins: Plugins
) -> None:
    net = network("a", "b")
    runtime.add(net, parameters())
    plugins.forget()
    plugins.fail("b", "DEL", 11, "busy")

    with pytest.raises(ExecutionError) as caught:
        runtime.delete(net, parameters())

    assert caught.value.code == 11
    assert plugins.run == ["DEL b"]
    assert cached(runtime) == [("c1", "eth0")]


@pytest.mark.parametrize("text", ["", "banana", '{"cniVersion": "9.9.9"}'])
def test_delete_goes_on_without_a_usable_result(
    runtime: Runtime, plugins: Plugins, text: str
) -> None:
    runtime.add(network("a"), parameters())
    path = Path(runtime.cache.path("net", parameters().key))
    path.write_text(text)

    runtime.delete(network("a"), parameters())

    assert "prevResult" not in plugins.calls[-1].config
    assert not path.exists()


# -- GC ------------------------------------------------------------------------------------


def test_gc_deletes_what_is_not_valid_and_then_tells_every_plugin(
    runtime: Runtime, plugins: Plugins
) -> None:
    net = network("a", "b")
    for container_id in ("c1", "c2"):
        runtime.add(net, parameters(container_id, args=(("K", container_id),)))
    plugins.forget()

    runtime.gc(net, [AttachmentKey("c1", "eth0")])

    assert plugins.run == ["DEL b", "DEL a", "GC a", "GC b"]
    deleted, told = plugins.calls[0], plugins.calls[2]
    assert deleted.env["CNI_CONTAINERID"] == "c2"
    assert deleted.env["CNI_ARGS"] == "K=c2"
    assert told.env["CNI_CONTAINERID"] == told.env["CNI_NETNS"] == told.env["CNI_IFNAME"] == ""
    expected = [{"containerID": "c1", "ifname": "eth0"}]
    assert told.config["cni.dev/valid-attachments"] == expected
    assert told.config["cni.dev/attachments"] == expected
    assert cached(runtime) == [("c1", "eth0")]


def test_gc_deletes_with_the_configuration_of_the_add(runtime: Runtime, plugins: Plugins) -> None:
    runtime.add(network("a", "b"), parameters())
    plugins.forget()

    runtime.gc(network("c"), [])

    assert plugins.run == ["DEL b", "DEL a", "GC c"]


def test_gc_leaves_other_networks_alone(runtime: Runtime, plugins: Plugins) -> None:
    runtime.add(network("a", name="other"), parameters())
    plugins.forget()

    runtime.gc(network("a"), [])

    assert plugins.run == ["GC a"]
    assert cached(runtime) == [("c1", "eth0")]


def test_gc_goes_on_after_failures_and_reports_all(runtime: Runtime, plugins: Plugins) -> None:
    net = network("a", "b")
    for container_id in ("c1", "c2"):
        runtime.add(net, parameters(container_id))
    plugins.forget()
    plugins.fail("b", "DEL", 5, "cannot delete")
    plugins.fail("a", "GC", 7, "cannot collect")

    with pytest.raises(GCError) as caught:
        runtime.gc(net, [])

    assert [failure.code for failure in caught.value.failures] == [5, 5, 7]
    assert plugins.run == ["DEL b", "DEL b", "GC a", "GC b"]
    assert cached(runtime) == [("c1", "eth0"), ("c2", "eth0")]


def test_gc_before_1_1_0_only_deletes(runtime: Runtime, plugins: Plugins) -> None:
    net = network("a", version="1.0.0")
    plugins.answer("a", "ADD", result("1.0.0"))
    runtime.add(net, parameters())
    plugins.forget()

    runtime.gc(net, [])

    assert plugins.run == ["DEL a"]


def test_gc_runs_nothing_where_it_is_disabled(runtime: Runtime, plugins: Plugins) -> None:
    runtime.gc(network("a", disableGC=True), [])

    assert plugins.run == []


def test_gc_waits_for_an_add_to_end(runtime: Runtime, plugins: Plugins) -> None:
    os.makedirs(runtime.cache.results)
    fd = os.open(runtime.cache.results, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    thread = threading.Thread(target=runtime.gc, args=(network("a"), []))
    thread.start()

    thread.join(0.1)
    waited = thread.is_alive()
    os.close(fd)
    thread.join(20)

    assert waited
    assert plugins.run == ["GC a"]


# -- STATUS, VERSION -----------------------------------------------------------------------


def test_status_asks_every_plugin_without_an_attachment(runtime: Runtime, plugins: Plugins) -> None:
    runtime.status(network("a", "b"))

    assert plugins.run == ["STATUS a", "STATUS b"]
    assert plugins.calls[0].env["CNI_CONTAINERID"] == ""


def test_status_keeps_the_code_of_the_first_plugin_that_is_not_ready(
    runtime: Runtime, plugins: Plugins
) -> None:
    plugins.fail("a", "STATUS", 50, "not yet")

    with pytest.raises(ExecutionError) as caught:
        runtime.status(network("a", "b"))

    assert caught.value.code == 50
    assert isinstance(caught.value.cause, PluginNotAvailableError)
    assert plugins.run == ["STATUS a"]


def test_status_before_1_1_0_runs_nothing(runtime: Runtime, plugins: Plugins) -> None:
    runtime.status(network("a", version="1.0.0"))

    assert plugins.run == []


def test_a_plugin_says_its_versions(runtime: Runtime) -> None:
    assert runtime.version("a").supported_versions == VERSIONS


def test_every_error_of_a_runtime_is_a_cni_error_with_a_code(runtime: Runtime) -> None:
    with pytest.raises(CNIError) as caught:
        runtime.delete(network("missing"), parameters())

    assert json.loads(json.dumps(caught.value.to_wire("1.1.0")))["code"] == 4
