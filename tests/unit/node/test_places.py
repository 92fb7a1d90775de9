from pathlib import Path

import pytest

from cnisdk.node import places
from cnisdk.node.errors import NodeError
from cnisdk.node.places import Places
from cnisdk.node.root import Root

K3S = "/var/lib/rancher/k3s"


def write(node: Path, path: str, text: str = "") -> None:
    file = node / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def found(node: Path, **said: object) -> Places:
    return places.find(Root(str(node)), **said)  # type: ignore[arg-type]


def where(node: Path) -> tuple[str, str, str]:
    one = found(node)
    return one.runtime, one.bin_dir, one.conf_dir


def test_a_node_without_a_runtime_has_the_usual_places(node: Path) -> None:
    assert where(node) == ("", "/opt/cni/bin", "/etc/cni/net.d")


@pytest.mark.parametrize(
    "table",
    [
        '[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/b"\nconf_dir = "/c"',
        '[plugins.cri.cni]\nbin_dir = "/b/"\nconf_dir = "/c/"',
        "[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/b', '/d']\nconf_dir = '/c'",
        "[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = '/b'\nconf_dir = '/c'",
    ],
)
def test_containerd_says_where_it_looks(node: Path, table: str) -> None:
    write(node, "/etc/containerd/config.toml", table)

    assert where(node) == ("containerd", "/b", "/c")
    assert found(node).why == "/etc/containerd/config.toml"


def test_what_containerd_does_not_say_is_its_default(node: Path) -> None:
    write(node, "/etc/containerd/config.toml", "version = 2")

    assert where(node) == ("containerd", "/opt/cni/bin", "/etc/cni/net.d")


def test_what_containerd_imports_wins(node: Path) -> None:
    write(node, "/etc/containerd/config.toml", 'imports = ["/etc/containerd/conf.d/*.toml"]')
    write(node, "/etc/containerd/conf.d/a.toml", '[plugins.cri.cni]\nbin_dir = "/a"')
    write(node, "/etc/containerd/conf.d/b.toml", '[plugins.cri.cni]\nbin_dir = "/b"')
    write(node, "/etc/containerd/conf.d/c.other", "no TOML")

    assert where(node) == ("containerd", "/b", "/etc/cni/net.d")


def test_a_configuration_that_cannot_be_read_is_not_guessed_at(node: Path) -> None:
    write(node, "/etc/containerd/config.toml", "bin_dir = ")

    with pytest.raises(NodeError, match=r"config\.toml is no TOML"):
        found(node)


def test_k3s_has_places_of_its_own(node: Path) -> None:
    (node / f"{K3S}/data/cni".lstrip("/")).mkdir(parents=True)

    assert where(node) == ("k3s", f"{K3S}/data/cni", f"{K3S}/agent/etc/cni/net.d")


def test_an_old_k3s_has_them_in_its_release(node: Path) -> None:
    (node / f"{K3S}/data/current/bin".lstrip("/")).mkdir(parents=True)

    assert where(node) == ("k3s", f"{K3S}/data/current/bin", f"{K3S}/agent/etc/cni/net.d")


def test_k3s_of_another_containerd_on_the_node_is_asked_first(node: Path) -> None:
    table = '[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/b"\nconf_dir = "/c"'
    write(node, f"{K3S}/agent/etc/containerd/config.toml", table)
    write(node, "/etc/containerd/config.toml", "version = 2")

    assert where(node) == ("k3s", "/b", "/c")


def test_rke2_looks_where_kubernetes_does(node: Path) -> None:
    (node / "var/lib/rancher/rke2/agent").mkdir(parents=True)

    assert where(node) == ("rke2", "/opt/cni/bin", "/etc/cni/net.d")


@pytest.mark.parametrize("text", ["version = 2", '[plugins.cri.cni]\nbin_dir = "${SNAP_DATA}/x"'])
def test_microk8s_has_places_of_its_own(node: Path, text: str) -> None:
    snap = "/var/snap/microk8s/current"
    write(node, f"{snap}/args/containerd.toml", text)

    assert where(node) == ("microk8s", f"{snap}/opt/cni/bin", f"{snap}/args/cni-network")


def test_the_last_drop_in_of_crio_wins(node: Path) -> None:
    write(node, "/etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/n"\nplugin_dir = "/p"')
    write(node, "/etc/crio/crio.conf.d/10-a.conf", '[crio.network]\nplugin_dirs = ["/a/", "/b"]')
    write(node, "/etc/crio/crio.conf.d/20-b.conf", '[crio.network]\nnetwork_dir = "/nets/"')

    assert where(node) == ("crio", "/a", "/nets")
    assert found(node).bin_dirs == ("/a", "/b")


def test_crio_gets_plugins_where_they_may_be_put(node: Path) -> None:
    dirs = '[crio.network]\nplugin_dirs = ["/usr/libexec/cni", "/opt/cni/bin/"]'
    write(node, "/etc/crio/crio.conf.d/00-default.conf", dirs)

    assert found(node).bin_dirs == ("/opt/cni/bin", "/usr/libexec/cni")


def test_debian_has_its_plugins_elsewhere(node: Path) -> None:
    (node / "usr/lib/cni").mkdir(parents=True)

    assert where(node) == ("debian", "/usr/lib/cni", "/etc/cni/net.d")


def test_the_runtime_of_a_debian_is_asked_first(node: Path) -> None:
    (node / "usr/lib/cni").mkdir(parents=True)
    write(node, "/etc/containerd/config.toml", "version = 2")

    assert where(node) == ("containerd", "/opt/cni/bin", "/etc/cni/net.d")


def test_runtimes_that_disagree_have_to_be_chosen_from(node: Path) -> None:
    write(node, "/etc/containerd/config.toml", '[plugins.cri.cni]\nbin_dir = "/b"')
    write(node, "/etc/crio/crio.conf", '[crio.network]\nplugin_dirs = ["/p"]')

    with pytest.raises(NodeError, match=r"crio looks in /p .* containerd in /b") as raised:
        found(node)

    assert "--runtime" in raised.value.step
    assert found(node, runtime="crio").bin_dir == "/p"
    assert found(node, bin_dirs=("/x/",), conf_dir="/y").bin_dir == "/x"


def test_runtimes_that_agree_need_no_choice(node: Path) -> None:
    write(node, "/etc/containerd/config.toml", "version = 2")
    write(node, "/etc/crio/crio.conf", "[crio]")

    assert where(node)[1:] == ("/opt/cni/bin", "/etc/cni/net.d")


def test_a_configuration_is_read_where_the_node_has_it(node: Path) -> None:
    write(node, "/other/config.toml", '[plugins.cri.cni]\nbin_dir = "/b"')
    (node / "etc/containerd").mkdir(parents=True)
    (node / "etc/containerd/config.toml").symlink_to("/other/config.toml")

    assert where(node)[1] == "/b"
