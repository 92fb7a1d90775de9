"""The image: its files are there, its commands work, and its executables attach a container."""

import subprocess
from pathlib import Path

from tests.deploy import dockerfile, manifests
from tests.deploy.manifests import KUBERNETES
from tests.deploy.node import booted
from tests.host import ROOT, Host

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
STAGES = dockerfile.read(DOCKERFILE)


def context_sources() -> list[str]:
    return [
        source
        for stage in STAGES
        for instruction in stage.instructions
        if instruction.word == "COPY" and "from" not in instruction.options
        for source in dockerfile.copied(instruction)[0]
    ]


def test_everything_that_is_copied_is_there_and_in_the_context() -> None:
    """In the one file that every builder looks for."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line for line in lines if line[0] != "#"]

    assert allowed[0] == "*"
    assert sorted(context_sources()) == sorted(line[1:] for line in allowed if line[0] == "!")
    for source in context_sources():
        assert (ROOT / source).exists(), source


def test_what_one_stage_takes_from_another_is_made_there() -> None:
    commands = {
        stage.name: " ".join(one.text for one in stage.instructions if one.word == "RUN")
        for stage in STAGES
    }
    taken = [
        (one.options["from"], dockerfile.copied(one)[0])
        for stage in STAGES
        for one in stage.instructions
        if one.word == "COPY" and "from" in one.options
    ]

    assert len(taken) == 3
    for stage, (path,) in taken:
        assert f" {path} " in commands[stage]


def test_any_builder_can_read_it() -> None:
    """`RUN --mount` needs BuildKit, which Debian's docker.io does not have or not by default."""
    for stage in STAGES:
        for one in stage.instructions:
            assert one.options.keys() <= {"from"}


def test_all_stages_have_one_python() -> None:
    """The wheels that one makes, the others install."""
    assert {stage.base.split("-")[0] for stage in STAGES} == {"python:3.12"}


def test_what_is_installed_runs_where_it_was_installed() -> None:
    """Its scripts name an interpreter, and compiled modules a libc."""
    wheels, _, image = STAGES

    assert wheels.base == image.base


def test_its_commands_make_what_the_manifest_installs(
    image: Path, host: Host, tmp_path: Path
) -> None:
    objects = manifests.read(KUBERNETES / "base")
    with booted(host, tmp_path, image / "plugins") as node:
        node.run_init(objects, manifests.pod(objects))
        node.boot()
        container = node.host.container()
        outcome = node.call("ADD", container, "10-cnisdk.conflist")

        assert outcome.status == 0, outcome
        assert "eth0" in container.links()
        assert node.call("DEL", container, "10-cnisdk.conflist").status == 0


def test_its_agent_serves_the_plugins_that_it_installs(image: Path) -> None:
    python = image / "installed" / "bin" / "python"
    code = """\
import cnisdk, cni_bridge
from cnisdk.agent import installed
print(*installed.load(()), cnisdk.__file__, cni_bridge.__file__)
"""
    done = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr

    *served, cnisdk, bridge = done.stdout.split()
    assert sorted(served) == sorted(path.name for path in (image / "plugins").iterdir())
    for path in (cnisdk, bridge):
        assert path.startswith(f"{image}/installed/"), "this session's"
