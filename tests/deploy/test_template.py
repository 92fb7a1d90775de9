"""What a generated project brings to a cluster."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kubernetes_validate.utils import validate

from cnisdk.cli.group import cnisdk
from cnisdk.cli.new import KINDS
from tests.deploy import dockerfile, manifests
from tests.deploy.image import make
from tests.deploy.manifests import KUBERNETES, READERS, Object
from tests.deploy.node import Agent, booted
from tests.deploy.test_manifests import VERSIONS
from tests.host import ROOT, Host


def new(kind: str, directory: Path) -> Path:
    """Make a project as a user does."""
    line = ["new", f"try-{kind}", "--kind", kind, "--no-input", "-o", str(directory)]
    done = CliRunner().invoke(cnisdk, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return directory / f"cni-try-{kind}"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("projects")
    return {kind: new(kind, directory) for kind in KINDS}


@pytest.fixture(params=KINDS)
def project(request: pytest.FixtureRequest, projects: dict[str, Path]) -> Path:
    return projects[request.param]


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes/uninstall"])
def test_kubernetes_takes_its_manifests(project: Path, name: str) -> None:
    for reader in READERS.values():
        objects = reader(project / name)
        assert [one["kind"] for one in objects] == ["DaemonSet"]
        for version in (VERSIONS[0], VERSIONS[-1]):
            assert validate(objects[0], version, strict=True) == version


def named(value: Any, old: str, new: str) -> Any:
    """Return a manifest with another name in all of its strings."""
    return json.loads(json.dumps(value).replace(old, new))


def pods(directory: Path) -> tuple[Object, Object]:
    """Return the pod that a kustomization makes, and what it installs with."""
    pod = manifests.pod(manifests.read(directory))
    return pod, pod["initContainers"][0]


def test_they_are_those_of_the_checkouts_plugins(project: Path) -> None:
    """But for names, and for networks, which are in the image."""
    (theirs, their_init), (ours, our_init) = pods(project / "kubernetes"), pods(KUBERNETES / "base")
    name = project.name.removeprefix("cni-")

    their_init["args"] = named(their_init["args"], f"--name {name}", "--name cnisdk")
    our_init["args"] = named(our_init["args"], "/plugins/*", "$PLUGINS")
    our_init["env"].insert(0, {"name": "PLUGINS", "value": f"/plugins/{name}"})
    for items in (ours["volumes"], our_init["volumeMounts"]):
        items[:] = [item for item in items if item["name"] != "networks"]
    for container in ours["initContainers"] + ours["containers"]:
        container["image"] = f"registry.example.com/cni-{name}:0.1.0"

    assert theirs == ours


def test_what_is_taken_away_is_what_was_installed(project: Path) -> None:
    (theirs, init), (ours, our_init) = (
        pods(directory / "uninstall") for directory in (project / "kubernetes", KUBERNETES)
    )
    name = project.name.removeprefix("cni-")

    assert init["args"] == ["install", "--uninstall", "--prefix", "/host", "--name", name]
    assert f"--name {name} " in pods(project / "kubernetes")[1]["args"][0]
    assert theirs["volumes"] == ours["volumes"]
    assert init["securityContext"] == our_init["securityContext"]


def test_its_dockerfile_is_that_of_the_checkouts_plugins(project: Path) -> None:
    made, image = dockerfile.read(project / "Dockerfile")
    our_made, our_image = dockerfile.read(ROOT / "deploy" / "Dockerfile")
    network = f"10-{project.name.removeprefix('cni-')}.conflist"

    assert (made.base, image.base) == (our_made.base, our_image.base)
    installs = [one.text.replace(f" {project.name} ", " ") for one in image.instructions]
    installs.remove(f"{network} /networks/")
    assert installs == [one.text for one in our_image.instructions]
    assert (project / network).is_file()


def test_its_image_attaches_a_container_through_the_agent(
    projects: dict[str, Path], image: Path, host: Host, tmp_path: Path
) -> None:
    """As long as cnisdk is not published its wheels lie in the project."""
    project = tmp_path / "cni-try-interface"
    shutil.copytree(projects["interface"], project)
    (project / "wheels").mkdir()
    for wheel in (image / "wheels").iterdir():
        shutil.copy(wheel, project / "wheels")
    make(project / "Dockerfile", project, tmp_path / "image")
    objects = manifests.read(project / "kubernetes")
    pod = manifests.pod(objects)
    with booted(host, tmp_path, tmp_path / "image" / "plugins") as node:
        node.networks = tmp_path / "image" / "networks"
        node.tools = tmp_path / "image" / "installed" / "bin"
        pod["initContainers"][0]["env"][0]["value"] = "/plugins/*"
        said = node.run_init(objects, pod)
        node.boot()
        container = node.host.container()
        with Agent(node, node.setup(pod, pod["containers"][0], objects)) as agent:
            added = node.call("ADD", container, "10-try-interface.conflist")
            agent.log.wait("call ok", plugin="try-interface", command="ADD")
            deleted = node.call("DEL", container, "10-try-interface.conflist")

    assert "put /opt/cni/bin/try-interface" in said
    assert (added.status, deleted.status) == (0, 0), (added, deleted)
