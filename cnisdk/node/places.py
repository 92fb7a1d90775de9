"""Where the container runtime of a node looks for plugins and networks.

Each runtime's own configuration is read, since distributions change its defaults; what it does not
say is the default.  Nothing is guessed from which directories exist, but for which runtime there
is: where two want different places somebody has to choose.
"""

import fnmatch
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from cnisdk.node.errors import NodeError
from cnisdk.node.root import Root

BIN_DIR = "/opt/cni/bin"
CONF_DIR = "/etc/cni/net.d"
DEBIAN_BIN_DIR = "/usr/lib/cni"

_CHOOSE = "choose with --runtime, or say --bin-dir and --conf-dir"


class Places(NamedTuple):
    """The directories of a node."""

    runtime: str
    """Whose they are; ``""`` for nobody's in particular."""
    bin_dirs: tuple[str, ...]
    """In the order in which they are searched."""
    conf_dir: str
    why: str
    """What says so."""

    @property
    def bin_dir(self) -> str:
        """Where to put an executable."""
        return self.bin_dirs[0]


class _Runtime(NamedTuple):
    """How a runtime is known, and where it looks."""

    signs: tuple[str, ...]
    """Paths of which one is there where the runtime is."""
    find: Callable[[Root], Places]


def find(
    root: Root, *, runtime: str = "", bin_dirs: tuple[str, ...] = (), conf_dir: str = ""
) -> Places:
    """Return where to look, or to put things; what the caller says wins.

    Raises NodeError where runtimes of the node disagree, or where the configuration of one
    cannot be read.
    """
    bin_dirs = tuple(map(os.path.normpath, bin_dirs))
    conf_dir = os.path.normpath(conf_dir) if conf_dir else ""
    if bin_dirs and conf_dir:
        return Places(runtime, bin_dirs, conf_dir, "as it was said")
    found = RUNTIMES[runtime].find(root) if runtime else _of_the_node(root)
    said = "as it was said" if bin_dirs or conf_dir else ""
    return found._replace(
        bin_dirs=bin_dirs or found.bin_dirs,
        conf_dir=conf_dir or found.conf_dir,
        why=f"{said}, else {found.why}" if said else found.why,
    )


def _of_the_node(root: Root) -> Places:
    present = [
        runtime.find(root)
        for runtime in RUNTIMES.values()
        if any(root.exists(sign) for sign in runtime.signs)
    ]
    if not present:
        return Places("", (BIN_DIR,), CONF_DIR, "the usual places: no runtime is known here")
    # A distribution brings a containerd of its own, with directories of its own.
    first = present[0]
    for other in present[1:]:
        if first.runtime in _DISTRIBUTIONS or other.runtime == "debian":
            break
        if (first.bin_dir, first.conf_dir) != (other.bin_dir, other.conf_dir):
            raise NodeError(
                f"{first.runtime} looks in {first.bin_dir} and {first.conf_dir}, "
                f"{other.runtime} in {other.bin_dir} and {other.conf_dir}",
                _CHOOSE,
            )
    return first


# -- containerd, and those who bring one ----------------------------------------------------


def _containerd(
    name: str, config: str, *, bin_dir: str = BIN_DIR, conf_dir: str = CONF_DIR
) -> Callable[[Root], Places]:
    def places(root: Root) -> Places:
        dirs, conf, why = (bin_dir,), conf_dir, f"the default of {name}"
        for path, table in _containerd_files(root, config):
            cni = _containerd_cni(table)
            said = cni.get("bin_dirs") or cni.get("bin_dir")
            paths = tuple(said) if isinstance(said, list) else (said,)
            if all(_is_path(one) for one in paths):
                dirs, why = paths, path
            if _is_path(cni.get("conf_dir")):
                conf, why = cni["conf_dir"], path
        return _places(name, dirs, conf, why)

    return places


def _containerd_files(root: Root, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a configuration and what it imports; the later one wins."""
    if not root.exists(path):
        return
    table = _toml(root, path)
    yield path, table
    for pattern in table.get("imports") or ():
        if isinstance(pattern, str):
            directory, _, last = pattern.rpartition("/")
            directory = directory if directory.startswith("/") else f"{_parent(path)}/{directory}"
            for name in fnmatch.filter(root.listdir(directory), last):
                imported = f"{directory.rstrip('/')}/{name}"
                if imported != path:
                    yield imported, _toml(root, imported)


def _containerd_cni(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the ``cni`` table of versions 1, 2 and 3 of containerd's configuration."""
    plugins = table.get("plugins")
    for name in ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri"):
        plugin = plugins.get(name) if isinstance(plugins, dict) else None
        cni = plugin.get("cni") if isinstance(plugin, dict) else None
        if isinstance(cni, dict):
            return cni
    return {}


_K3S = "/var/lib/rancher/k3s"
_RKE2 = "/var/lib/rancher/rke2"
_MICROK8S = "/var/snap/microk8s/current"


def _k3s(root: Root) -> Places:
    # Releases of before the end of 2024 have them in the release's own directory.
    old = not root.exists(f"{_K3S}/data/cni") and root.exists(f"{_K3S}/data/current/bin")
    find = _containerd(
        "k3s",
        f"{_K3S}/agent/etc/containerd/config.toml",
        bin_dir=f"{_K3S}/data/current/bin" if old else f"{_K3S}/data/cni",
        conf_dir=f"{_K3S}/agent/etc/cni/net.d",
    )
    return find(root)


# -- CRI-O ----------------------------------------------------------------------------------


def _crio(root: Root) -> Places:
    dirs, conf, why = (BIN_DIR,), CONF_DIR, "the default of crio"
    drop_ins = [
        f"{directory}/{name}"
        for directory in ("/etc/crio/crio.conf.d",)
        for name in root.listdir(directory)
        if not name.startswith(".")
    ]
    for path in ["/etc/crio/crio.conf", *drop_ins]:
        if not root.exists(path) or root.is_dir(path):
            continue
        crio = _toml(root, path).get("crio")
        network = crio.get("network") if isinstance(crio, dict) else None
        if not isinstance(network, dict):
            continue
        said = network.get("plugin_dirs") or [network.get("plugin_dir")]
        if isinstance(said, list) and all(_is_path(one) for one in said):
            dirs, why = tuple(said), path
        if _is_path(network.get("network_dir")):
            conf, why = network["network_dir"], path
    # The first one of several may be the distribution's, and read-only.
    ours = BIN_DIR if BIN_DIR in [one.rstrip("/") for one in dirs] else ""
    ordered = (ours, *dirs) if ours else dirs
    return _places("crio", ordered, conf, why)


# -- all of them ----------------------------------------------------------------------------


def _debian(root: Root) -> Places:
    return Places("debian", (DEBIAN_BIN_DIR, BIN_DIR), CONF_DIR, "where Debian has its plugins")


RUNTIMES = {
    "k3s": _Runtime((f"{_K3S}/agent", f"{_K3S}/data"), _k3s),
    "rke2": _Runtime(
        (f"{_RKE2}/agent",), _containerd("rke2", f"{_RKE2}/agent/etc/containerd/config.toml")
    ),
    "microk8s": _Runtime(
        (f"{_MICROK8S}/args",),
        _containerd(
            "microk8s",
            f"{_MICROK8S}/args/containerd.toml",
            bin_dir=f"{_MICROK8S}/opt/cni/bin",
            conf_dir=f"{_MICROK8S}/args/cni-network",
        ),
    ),
    "crio": _Runtime(("/etc/crio/crio.conf", "/etc/crio/crio.conf.d"), _crio),
    "containerd": _Runtime(
        ("/etc/containerd/config.toml", "/usr/bin/containerd", "/usr/local/bin/containerd"),
        _containerd("containerd", "/etc/containerd/config.toml"),
    ),
    "debian": _Runtime((DEBIAN_BIN_DIR,), _debian),
}

_DISTRIBUTIONS = ("k3s", "rke2", "microk8s")


def _places(name: str, dirs: tuple[str, ...], conf_dir: str, why: str) -> Places:
    unique = dict.fromkeys(one.rstrip("/") or "/" for one in dirs)
    return Places(name, tuple(unique), conf_dir.rstrip("/") or "/", why)


def _toml(root: Root, path: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(root.read(path).decode())
    except ValueError as err:
        raise NodeError(f"{path} is no TOML: {err}", _CHOOSE) from err


def _is_path(value: object) -> bool:
    """Say whether it is one: MicroK8s has templates, with ``${SNAP_DATA}`` in them."""
    return isinstance(value, str) and value.startswith("/") and "$" not in value


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
