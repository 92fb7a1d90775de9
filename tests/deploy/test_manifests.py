"""The manifests: what Kubernetes takes, and what fits the code."""

import copy
from pathlib import Path

import pytest
import yaml
from kubernetes_validate.utils import ValidationError, validate

from cnisdk.agent import daemon
from cnisdk.agent.protocol import SOCKET
from cnisdk.agent.queue import DIRECTORY
from cnisdk.cli.agent import agent
from cnisdk.node import places, receipt
from tests.deploy import manifests
from tests.deploy.manifests import KUBERNETES, READERS, Object
from tests.house.tree import files

VERSIONS = ["1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"]
"""Older ones have no `appArmorProfile`."""

KUSTOMIZATIONS = sorted(
    path.parent for path in files("kustomization.yaml") if path.is_relative_to(KUBERNETES)
)
"""Those of projects are in test_template."""


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KUSTOMIZATIONS, ids=lambda path: path.name)
def objects(request: pytest.FixtureRequest, reader: str) -> list[Object]:
    return READERS[reader](request.param)


def test_there_are_kustomizations() -> None:
    assert [path.name for path in KUSTOMIZATIONS] == ["base", "example", "uninstall"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_them(objects: list[Object], version: str) -> None:
    for one in objects:
        assert validate(one, version, strict=True) == version


@pytest.mark.parametrize("spoil", ["misspelt", "mistyped"])
def test_the_check_finds_what_is_wrong(spoil: str) -> None:
    (one,) = [one for one in manifests.read(KUBERNETES / "base") if one["kind"] == "DaemonSet"]
    spoilt = copy.deepcopy(one)
    container = spoilt["spec"]["template"]["spec"]["containers"][0]
    if spoil == "misspelt":
        container["securityContext"]["capabilites"] = {}
    else:
        container["readinessProbe"]["periodSeconds"] = "5"

    with pytest.raises(ValidationError):
        validate(spoilt, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.name)
def test_kustomize_reads_them_as_we_do(path: Path) -> None:
    def by_name(objects: list[Object]) -> dict[str, Object]:
        return {one["kind"] + one["metadata"]["name"]: one for one in objects}

    for reader in READERS.values():
        assert by_name(reader(path)) == by_name(manifests.read(path))


def test_every_object_is_in_a_kustomization() -> None:
    for path in KUSTOMIZATIONS:
        said = yaml.safe_load((path / "kustomization.yaml").read_text())
        named = {name for one in said.get("configMapGenerator", ()) for name in one["files"]}
        named |= set(said["resources"])
        there = {one.name for one in path.iterdir()} - {"kustomization.yaml"}
        assert there == {name for name in named if not name.startswith("..")}


# -- what fits the code ----------------------------------------------------------------------


@pytest.fixture
def pod() -> Object:
    return manifests.pod(manifests.read(KUBERNETES / "base"))


def mounted(pod: Object, container: Object) -> dict[str, str]:
    """Return the node's path for each path of a container."""
    node = {
        volume["name"]: volume["hostPath"]["path"]
        for volume in pod["volumes"]
        if "hostPath" in volume
    }
    return {
        mount["mountPath"]: node[mount["name"]]
        for mount in container["volumeMounts"]
        if mount["name"] in node
    }


def test_the_agent_has_what_it_shares_where_the_executables_have_it(pod: Object) -> None:
    (container,) = pod["containers"]
    shared = mounted(pod, container)

    assert all(path == node for path, node in shared.items())
    for path in (SOCKET, DIRECTORY, "/var/lib/cni/networks", "/run/xtables.lock", places.BIN_DIR):
        assert any(f"{path}/".startswith(f"{mount}/") for mount in shared), path


def test_nothing_that_has_to_be_roots_own_is_made_by_kubelet(pod: Object) -> None:
    """It makes directories for everybody to enter, which queue and receipts may not be."""
    made = {volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}

    assert not made & {DIRECTORY, receipt.DIRECTORY}
    assert f"install -d -m 0700 /host{SOCKET.rpartition('/')[0]}" in script(
        pod["initContainers"][0]
    )


def script(container: Object) -> str:
    assert container["command"] == ["/bin/sh", "-ec"]
    (text,) = container["args"]
    return str(text)


def test_probes_ask_where_the_agent_answers(pod: Object) -> None:
    (container,) = pod["containers"]
    line = script(container).splitlines()[-1].split()
    options = agent.make_context("agent", line[3:]).params

    assert line[:3] == ["exec", "cnisdk", "agent"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        get = container[probe]["httpGet"]
        assert (get["host"], str(get["port"])) == ("127.0.0.1", options["health"])
    assert pod["hostNetwork"], "127.0.0.1 is kubelet's"


def test_running_calls_get_the_time_that_the_agent_gives_them(pod: Object) -> None:
    assert pod["terminationGracePeriodSeconds"] > daemon.STOP_TIMEOUT + daemon.UNDO_TIMEOUT


def test_the_livenessprobe_is_more_patient_than_the_agent_with_itself(pod: Object) -> None:
    (container,) = pod["containers"]
    probe = container["livenessProbe"]

    assert probe["periodSeconds"] * probe.get("failureThreshold", 3) > daemon.STUCK


def test_privileges_are_the_two_that_hooks_need(pod: Object) -> None:
    for container in pod["initContainers"] + pod["containers"]:
        security = container["securityContext"]
        assert security["capabilities"]["drop"] == ["ALL"]
        assert security["readOnlyRootFilesystem"]
        assert "privileged" not in security
    assert pod["containers"][0]["securityContext"]["capabilities"]["add"] == [
        "NET_ADMIN",
        "SYS_ADMIN",
    ]
    assert not {"hostPID", "hostIPC", "serviceAccountName"} & pod.keys()
    assert pod["automountServiceAccountToken"] is False


def test_a_node_that_is_not_ready_gets_it(pod: Object) -> None:
    assert {"operator": "Exists"} in pod["tolerations"]
    assert pod["priorityClassName"] == "system-node-critical"


def test_there_are_never_two_agents_on_a_node() -> None:
    (one,) = [one for one in manifests.read(KUBERNETES / "base") if one["kind"] == "DaemonSet"]

    assert one["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}


def test_the_example_changes_what_it_says(reader: str) -> None:
    objects = READERS[reader](KUBERNETES / "example")
    pod = manifests.pod(objects)
    (networks,) = [one for one in objects if one["kind"] == "ConfigMap"]

    assert pod["initContainers"][0]["env"] == [{"name": "OPTIONS", "value": "--force"}]
    assert {one["image"] for one in pod["initContainers"] + pod["containers"]} == {
        "registry.example.com/networks/cnisdk:0.1.0-1"
    }
    assert list(networks["data"]) == ["10-pods.conflist"]


def test_what_is_taken_away_is_what_was_installed(pod: Object) -> None:
    away = manifests.pod(manifests.read(KUBERNETES / "uninstall"))
    (init,) = away["initContainers"]

    assert named(init["args"]) == named(script(pod["initContainers"][0]).split())
    assert mounted(away, init) == {"/host": "/"}


def named(words: list[str]) -> str:
    return words[words.index("--name") + 1]
