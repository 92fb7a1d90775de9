"""The manifests as they reach a cluster: by kubectl where there is one, and by our own reading.

Ours knows what the kustomizations here use, and refuses the rest.
"""

import copy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.host import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"

Object = dict[str, Any]

_KEYS = {
    "apiVersion", "kind", "namespace", "resources", "images", "configMapGenerator", "patches",
}  # fmt: skip


def read(directory: Path) -> list[Object]:
    """Return the objects of a kustomization; generated names are without their suffix."""
    said = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert said.keys() <= _KEYS, "teach this what else kustomize does, or do without"
    objects: list[Object] = []
    for resource in said.get("resources", ()):
        path = directory / resource
        objects += read(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    objects = copy.deepcopy(objects)  # of YAML's anchors, one object in several places
    for generator in said.get("configMapGenerator", ()):
        _generate(objects, directory, generator)
    for one in objects:
        one["metadata"]["namespace"] = said["namespace"]
    for patch in said.get("patches", ()):
        _patch(objects, patch)
    for image in said.get("images", ()):
        for container in _containers(objects):
            if container["image"].rpartition(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    return objects


def _generate(objects: list[Object], directory: Path, generator: Object) -> None:
    names = [one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"]
    assert (generator.get("behavior") == "replace") == (generator["name"] in names)
    data = {name: (directory / name).read_text() for name in generator["files"]}
    metadata = {"name": generator["name"]}
    objects[:] = [one for one in objects if one["metadata"]["name"] != generator["name"]]
    objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _patch(objects: list[Object], patch: Object) -> None:
    target = patch["target"]
    (one,) = [
        one
        for one in objects
        if (one["kind"], one["metadata"]["name"]) == (target["kind"], target["name"])
    ]
    for change in yaml.safe_load(patch["patch"]):
        assert change["op"] == "replace"
        *steps, last = change["path"].strip("/").split("/")
        place: Any = one
        for step in steps:
            place = place[int(step) if isinstance(place, list) else step]
        assert last in place
        place[last] = change["value"]


def _containers(objects: list[Object]) -> Iterator[Object]:
    for one in objects:
        if one["kind"] == "DaemonSet":
            yield from one["spec"]["template"]["spec"]["initContainers"]
            yield from one["spec"]["template"]["spec"]["containers"]


def by_kubectl(directory: Path) -> list[Object]:
    """Return the objects as kubectl makes them, generated names without their suffix."""
    done = subprocess.run(
        ["kubectl", "kustomize", directory], capture_output=True, text=True, check=True
    )
    objects: list[Object] = list(yaml.safe_load_all(done.stdout))
    for one in objects:
        if one["kind"] == "ConfigMap":
            name = one["metadata"]["name"]
            bare = one["metadata"]["name"] = name.rpartition("-")[0]
            assert done.stdout.count(name) == 2, "who uses it has its whole name"
            _rename(objects, name, bare)
    return objects


def _rename(objects: list[Object], name: str, bare: str) -> None:
    for one in objects:
        if one["kind"] == "DaemonSet":
            for volume in one["spec"]["template"]["spec"]["volumes"]:
                if volume.get("configMap", {}).get("name") == name:
                    volume["configMap"]["name"] = bare


READERS = {"ours": read} | ({"kubectl": by_kubectl} if shutil.which("kubectl") else {})
"""Every way to read a kustomization on this machine."""


def pod(objects: list[Object]) -> Object:
    """Return the pod of the one DaemonSet among ``objects``."""
    (one,) = [one for one in objects if one["kind"] == "DaemonSet"]
    spec: Object = one["spec"]["template"]["spec"]
    return spec
