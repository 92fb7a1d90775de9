"""An image with busybox and nothing else, made here: no registry is asked for one."""

import hashlib
import json
import platform
import shutil
import subprocess
from pathlib import Path

NAME = "localhost/busybox:latest"
PAUSE = "localhost/pause:latest"

_USERS = "root:x:0:0:root:/root:/bin/sh\n"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def layer(directory: Path) -> Path:
    """Make an archive of the root file system."""
    root = directory / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "var", "www"):
        (root / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, root / "bin/busybox")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for applet in set(listed.stdout.split()) - {"busybox"}:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text(_USERS)
    (root / "www/index.html").write_text("served\n")
    archive = directory / "layer.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    return archive


def saved(directory: Path, layer: Path) -> Path:
    """Make of the layer what ``docker save`` makes of an image."""
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "86400"], "Env": ["PATH=/bin"]},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"],
        },
    }
    manifest = {"Config": "config.json", "RepoTags": [NAME, PAUSE], "Layers": [layer.name]}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "manifest.json").write_text(json.dumps([manifest]))
    archive = directory / "image.tar"
    members = ["config.json", "manifest.json", layer.name]
    subprocess.run(["tar", "-C", directory, "-cf", archive, *members], check=True)
    return archive
