"""What a generated project brings to a cluster."""

import json
import os
import shlex
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kubernetes_validate.utils import validate

from cnisdk.agent.queue import DIRECTORY
from cnisdk.cli.agent import agent as command
from cnisdk.cli.group import cnisdk
from cnisdk.cli.new import KINDS
from tests.deploy import dockerfile, manifests
from tests.deploy.image import make
from tests.deploy.manifests import KUBERNETES, READERS, Object
from tests.deploy.node import Agent, Node, booted
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


def of_the_checkout(pod: Object, name: str) -> Object:
    """Return a project's pod with the checkout's socket, queue and port in place of its own."""
    port = str(pod["containers"][0]["livenessProbe"]["httpGet"]["port"])
    own = f" --socket /run/cnisdk/cni-{name}/agent.sock --queue /var/lib/cnisdk/cni-{name}/queue"
    text = json.dumps(pod).replace(own, "")
    replaced: Object = json.loads(text.replace(port, "9600"))
    return replaced


def test_they_are_those_of_the_checkouts_plugins(project: Path) -> None:
    """But for names, sockets, ports, and for networks, which are in the image."""
    (theirs, _), (ours, our_init) = pods(project / "kubernetes"), pods(KUBERNETES / "base")
    name = project.name.removeprefix("cni-")

    theirs = of_the_checkout(theirs, name)
    (their_init,) = theirs["initContainers"]
    their_init["args"] = named(their_init["args"], f"--name {name}", "--name cnisdk")
    our_init["args"] = named(our_init["args"], "/plugins/*", "$PLUGINS")
    our_init["env"].insert(0, {"name": "PLUGINS", "value": f"/plugins/{name}"})
    for items in (ours["volumes"], our_init["volumeMounts"]):
        items[:] = [item for item in items if item["name"] != "networks"]
    for container in ours["initContainers"] + ours["containers"]:
        container["image"] = f"registry.example.com/cni-{name}:0.1.0"

    assert theirs == ours


def words(container: Object) -> list[str]:
    """Return the words of the last line of a container's script."""
    (text,) = container["args"]
    return shlex.split(str(text).splitlines()[-1])


def test_executables_look_for_the_agent_where_it_listens(project: Path) -> None:
    pod, _ = pods(project / "kubernetes")
    stages = dockerfile.read(project / "Dockerfile")
    built = [one.text for stage in stages for one in stage.instructions if "--socket" in one.text]
    (agent,) = pod["containers"]
    mounted = {one["name"]: one["mountPath"] for one in agent["volumeMounts"]}
    line = words(agent)
    socket = line[line.index("--socket") + 1]

    assert len(built) == 2
    assert built[0].endswith(f" --socket {socket}")
    assert json.loads(built[1])[-2:] == ["--socket", socket]
    assert os.path.dirname(socket).startswith(f"{mounted['run']}/cni-")


def test_several_projects_share_a_node(projects: dict[str, Path]) -> None:
    """And it with what the checkout has."""
    agents = [pods(path / "kubernetes")[0]["containers"][0] for path in projects.values()]
    agents.append(pods(KUBERNETES / "base")[0]["containers"][0])

    for own in (words, lambda one: one["readinessProbe"]["httpGet"]["port"]):
        assert len({str(own(agent)) for agent in agents}) == len(KINDS) + 1
    for agent in agents:
        line = words(agent)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert line[line.index("--health") + 1] == str(agent[probe]["httpGet"]["port"])


def test_each_agent_does_the_deletes_of_a_queue_of_its_own(projects: dict[str, Path]) -> None:
    """Of two agents that share one, each may do a DEL after the ADD that follows it."""
    queues = {DIRECTORY}
    for path in projects.values():
        (agent,) = pods(path / "kubernetes")[0]["containers"]
        options = command.make_context("agent", words(agent)[3:]).params
        (state,) = (m["mountPath"] for m in agent["volumeMounts"] if m["name"] == "state")
        assert options["queue"].startswith(f"{state}/{path.name}/")
        queues.add(options["queue"])

    assert len(queues) == len(KINDS) + 1


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
    theirs = dockerfile.read(project / "Dockerfile")
    ours = dockerfile.read(ROOT / "deploy" / "Dockerfile")
    name = project.name.removeprefix("cni-")

    assert [(one.name, one.base) for one in theirs] == [(one.name, one.base) for one in ours]
    steps = [[one.text for one in stage.instructions] for stage in theirs]
    steps[2].remove(f"10-{name}.conflist /networks/")
    assert steps[2][:-1] == [one.text for one in ours[2].instructions][:-1]
    assert (project / f"10-{name}.conflist").is_file()


def image_of(project: Path, directory: Path, wheels: Path) -> Path:
    """Make a project's image; as long as cnisdk is not published its wheels lie in the project."""
    copied = directory / project.name
    shutil.copytree(project, copied)
    (copied / "wheels").mkdir()
    for wheel in wheels.iterdir():
        shutil.copy(wheel, copied / "wheels")
    made = directory / f"image-of-{project.name}"
    make(copied / "Dockerfile", copied, made)
    return made


class Deployed:
    """A project's DaemonSet on a node."""

    def __init__(self, node: Node, project: Path, image: Path) -> None:
        self.node = node
        self.image = image
        self.network = f"10-{project.name.removeprefix('cni-')}.conflist"
        self.objects = manifests.read(project / "kubernetes")
        self.pod = manifests.pod(self.objects)

    def install(self, plugins: str = "") -> str:
        """Run the init container; ``plugins`` in the place of the project's own."""
        self._use_image()
        if plugins:
            self.pod["initContainers"][0]["env"][0]["value"] = plugins
        return self.node.run_init(self.objects, self.pod)

    def agent(self) -> Agent:
        self._use_image()
        (container,) = self.pod["containers"]
        return Agent(self.node, self.node.setup(self.pod, container, self.objects))

    def _use_image(self) -> None:
        self.node.plugins = self.image / "plugins"
        self.node.networks = self.image / "networks"
        self.node.tools = self.image / "installed" / "bin"


def test_images_of_two_projects_serve_their_own_plugins_on_one_node(
    projects: dict[str, Path], image: Path, host: Host, tmp_path: Path
) -> None:
    """And each other's: the bridge of one delegates to the other."""
    made = {
        kind: image_of(projects[kind], tmp_path, image / "wheels") for kind in ("interface", "ipam")
    }
    with booted(host, tmp_path, image / "plugins") as node, ExitStack() as stack:
        first, second = (Deployed(node, projects[kind], made[kind]) for kind in made)
        said = first.install("/plugins/*")
        assert "put /opt/cni/bin/try-interface" in said
        assert "put /opt/cni/bin/bridge" in said
        second.install()
        node.boot()
        agents = [stack.enter_context(one.agent()) for one in (first, second)]
        one, other = node.host.container(), node.host.container()
        outcomes = [
            node.call(command, container, project.network)
            for command in ("ADD", "DEL")
            for project, container in ((first, one), (second, other))
        ]

        assert [outcome.status for outcome in outcomes] == [0, 0, 0, 0], outcomes
        served = (("try-interface", one), ("bridge", other)), (("try-ipam", other),)
        for agent, calls in zip(agents, served, strict=True):
            for command in ("ADD", "DEL"):
                for plugin, container in calls:
                    agent.log.wait(
                        "call ok", plugin=plugin, command=command, container=container.id
                    )
            assert len(agent.log.find("call ok")) == 2 * len(calls)
