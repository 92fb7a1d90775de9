"""``cnisdk show`` on real networks: what is there, and what does not belong."""

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from ipaddress import IPv4Interface
from pathlib import Path
from typing import NamedTuple

import pytest

from cnisdk.net import nft
from cnisdk.node.doctor.node import Node
from cnisdk.node.places import Places
from cnisdk.node.root import Root
from cnisdk.picture.survey import survey
from tests.host import CNI_PATH, REFERENCE, Container, Host
from tests.netns.picture.town import Town

POD = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME={}"
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
MAPPED = '{"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}'


def hostports(name: str, port: int, address: str, comment: str) -> str:
    """Return what a portmap of today makes of a mapping with nftables."""
    rule = f'tcp dport {port} dnat to {address}:80 comment "{comment}"'
    return f"table {name} cni_hostport {{ chain hostports {{ {rule}; }}; }}"


# -- what is there -----------------------------------------------------------------------------


def test_networks_bridges_ports_and_containers_are_shown(town: Town) -> None:
    town.network("db", "db0", "10.89.0.0/24")
    town.attach("web", "--args", POD.format("frontend"))
    plain = town.attach("db")

    done = town.show()

    assert done.exit_code == 0
    assert done.stdout.startswith(" ")
    assert "2 networks, 2 attachments\n" in done.stdout
    links = town.host.links()
    ports = {link["master"]: name for name, link in links.items() if "master" in link}
    for text in (
        f"cni0  bridge, {links['cni0']['address']}, mtu 1500",
        "10.88.0.1/16",
        "web: bridge+host-local",
        f"{ports['cni0']}  ⇄  shop/frontend eth0",
        "10.88.0.2/16",
        "default via 10.88.0.1",
        "masqueraded by iptables",
        f"{ports['db0']}  ⇄  {plain.id} eth0",
        "10.89.0.2/24",
    ):
        assert text in done.stdout
    assert "\x1b" not in done.stdout, "colours are for terminals"


def test_json_has_what_the_kernel_has(town: Town) -> None:
    container = town.attach("web")

    picture = town.picture()

    (end,) = picture["ends"]
    inner = container.links()["eth0"]
    port = next(name for name, link in town.host.links().items() if link.get("master") == "cni0")
    assert (end["network"], end["container"], end["parent"]) == ("web", container.id, "cni0")
    assert (end["link"]["mac"], end["port"]) == (inner["address"], port)
    assert end["link"]["addresses"] == ["10.88.0.2/16"]
    assert end["routes"] == ["default via 10.88.0.1"]
    assert [network["name"] for network in picture["networks"]] == ["web"]
    assert [link["name"] for link in picture["links"]] == ["cni0"]
    assert (picture["wrong"], picture["unseen"]) == ([], [])


@pytest.mark.reference
def test_published_ports_are_shown_with_their_container(town: Town) -> None:
    town.network("mapped", "map0", "10.90.0.0/24", PORTMAP)
    town.attach("mapped", "--capability-args", MAPPED, "--args", POD.format("server"))

    (end,) = town.picture()["ends"]

    assert [(one["protocol"], one["host"], one["container"]) for one in end["published"]] == [
        ("tcp", "8080", "10.90.0.2:80")
    ]
    assert "tcp 8080 → 10.90.0.2:80" in town.show().stdout


def test_rules_of_nftables_are_shown_too(town: Town) -> None:
    container = town.attach("web")
    with town.host.inside():
        nft.add(
            [IPv4Interface("10.88.0.2/16")],
            network="web",
            ifname="eth0",
            container_id=container.id,
            search_path="/usr/sbin",
        )
    town.host.run("nft", "-f", "-", input=hostports("ip", 8080, "10.88.0.2", container.id))

    (end,) = town.picture()["ends"]

    assert [one["backend"] for one in end["masqueraded"]] == ["iptables", "nftables"]
    (published,) = end["published"]
    assert (published["host"], published["container"]) == ("8080", "10.88.0.2:80")


def test_a_network_with_nobody_on_it_is_shown(town: Town) -> None:
    shown = town.show()

    assert shown.exit_code == 0
    assert "web  network\n" in shown.stdout


def test_a_macvlan_hangs_on_its_parent(town: Town, host: Host) -> None:
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    wire = {
        "cniVersion": "1.0.0",
        "name": "flat",
        "plugins": [{"type": "macvlan", "master": "up0"}],
    }
    (town.conf / "20-flat.conflist").write_text(json.dumps(wire))
    container = host.container()
    made = ["ip", "link", "add", "link", "up0", "name", "eth0", "netns", container.path]
    host.run(*made, "type", "macvlan")
    town.remember("flat", container)

    (end,) = town.picture()["ends"]

    assert (end["parent"], end["link"]["kind"], end["wrong"]) == ("up0", "macvlan", [])


@pytest.mark.reference
@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
def test_networks_of_the_go_plugins_are_shown_as_they_are(town: Town, plugin: str) -> None:
    ipam = {"type": "host-local", "subnet": "10.91.0.0/24", "dataDir": f"{town.cache}/networks"}
    first = {"type": plugin, "ipMasq": True, "ipam": ipam}
    if plugin == "bridge":
        first |= {"bridge": "go0", "isGateway": True}
    wire = {"cniVersion": "1.0.0", "name": "go", "plugins": [first]}
    (town.conf / "20-go.conflist").write_text(json.dumps(wire))
    container = town.attach("go", path=REFERENCE)

    picture = town.picture()

    (end,) = picture["ends"]
    assert (end["parent"], picture["wrong"]) == ("go0" if plugin == "bridge" else "", [])
    assert end["port"] in town.host.links()
    assert end["link"]["addresses"] == ["10.91.0.2/24"]
    assert [one["address"] for one in end["masqueraded"]] == ["10.91.0.2"]
    assert f"{end['port']}  ⇄  {container.id} eth0" in town.show().stdout


# -- what does not belong ----------------------------------------------------------------------


class Plant(NamedTuple):
    """Something wrong, made behind everybody's back, and what is said of it."""

    make: Callable[[Town, Container], object]
    kind: str
    text: str
    mend: str


def _forget(town: Town, container: Container) -> None:
    next((town.cache / "results").iterdir()).unlink()


def _rule(town: Town, container: Container) -> None:
    comment = 'name: "web" id: "gone"'
    rule = ["-A", "POSTROUTING", "-s", "10.88.0.99/32", "-m", "comment", "--comment", comment]
    chain = "CNI-0123456789abcdef01234567"
    town.host.run("iptables", "-t", "nat", "-N", chain)
    town.host.run("iptables", "-t", "nat", *rule, "-j", chain)


def _published(town: Town, container: Container) -> None:
    town.host.run("nft", "-f", "-", input=hostports("ip", 99, "10.88.0.99", "gone"))


def _reservation(town: Town, container: Container) -> None:
    path = town.cache / "networks/web/10.88.0.77"
    path.write_text("gone\r\neth0")
    os.utime(path, (0, 0))


def _half(town: Town, container: Container) -> None:
    (town.cache / "results/web-x-eth0").write_text('{"kind": "cniCa')


def _waiting(town: Town, container: Container) -> None:
    (town.host.state / "queue").mkdir()
    (town.host.state / "queue/1-DEL").touch()


PLANTS = {
    "veth": Plant(
        lambda town, _: town.plant_veth("vethleak", town.host.container()),
        "leaked-link",
        "leads to eth7 in /run/netns/",
        "ip link delete vethleak",
    ),
    "veth to nowhere else": Plant(
        lambda town, _: town.host.run(
            *["ip", "link", "add", "vethleak", "master", "cni0"],
            *["type", "veth", "peer", "name", "vethnear"],
        ),
        "leaked-link",
        "leads to vethnear on the host itself",
        "ip link delete vethleak",
    ),
    "veth whose attachment is forgotten": Plant(
        _forget, "leaked-link", "; it was made for net: web, if: eth0, id: ", "ip link delete veth"
    ),
    "masquerading of nobody": Plant(
        _rule, "leaked-rule", "masquerades 10.88.0.99, an address that nothing", "cnisdk gc web"
    ),
    "port of nobody": Plant(
        _published, "leaked-rule", "publishes tcp 99 as 10.88.0.99:80", "delete the rule"
    ),
    "interface": Plant(
        lambda _, container: container.run("ip", "link", "delete", "eth0"),
        "lost-interface",
        "has no interface eth0 any more",
        "cnisdk del web",
    ),
    "address": Plant(
        lambda _, container: container.run("ip", "addr", "flush", "dev", "eth0"),
        "lost-address",
        "10.88.0.2/16 was given to it, and is not there any more",
        "cnisdk check web /run/netns/",
    ),
    "container": Plant(
        lambda _, container: container.close(),
        "attachment-stale",
        "is gone, and nobody said so",
        "cnisdk del web --container-id",
    ),
    "reservation": Plant(
        _reservation, "reservation-stale", "10.88.0.77 (gone)", "cnisdk del web --container-id gone"
    ),
    "half a result": Plant(_half, "cache-broken", "is no attachment", "remove it"),
    "DEL": Plant(_waiting, "queue-waiting", "1 DELs wait", "start the agent"),
}


@pytest.mark.parametrize("planted", PLANTS)
def test_what_does_not_belong_is_named_wherever_it_is_drawn(town: Town, planted: str) -> None:
    container = town.attach("web")
    plant = PLANTS[planted]
    assert town.wrong() == []

    plant.make(town, container)

    wrong = town.picture()["wrong"]
    found = next(one for one in wrong if one["kind"] == plant.kind)
    assert plant.text in found["text"]
    assert plant.mend in found["mend"]
    shown = town.show()
    assert shown.exit_code == 1
    assert f"✗ {found['text']}" in shown.stdout
    assert f"mend: {found['mend']}" in shown.stdout
    page, drawing = town.drawn()
    assert plant.mend in " ".join(page.split())
    assert 'class="card bad"' in drawing


def test_the_rules_of_a_container_that_is_gone_are_told_with_it_alone(town: Town) -> None:
    town.attach("web").close()

    assert [kind for kind, _ in town.wrong()] == ["attachment-stale"]


def test_what_is_advised_mends_it(town: Town) -> None:
    town.attach("web").close()
    town.plant_veth("vethleak", town.host.container())
    mends = {one["kind"]: one["mend"].split() for one in town.picture()["wrong"]}

    town.host.run(*mends["leaked-link"])
    assert town.run(*mends["attachment-stale"][1:]).exit_code == 0

    assert town.wrong() == []


def test_the_bridges_of_others_are_shown_and_not_blamed(town: Town) -> None:
    town.attach("web")
    town.host.run("ip", "link", "add", "docker0", "type", "bridge")
    town.plant_veth("vethother", town.host.container(), "docker0")

    assert town.wrong() == []
    assert "vethother  ⇄  " in town.show().stdout


def test_an_end_of_the_same_index_elsewhere_is_not_taken_for_a_cables_own(town: Town) -> None:
    """As in the containers of another host, which live in namespaces with names beside ours."""
    town.attach("web")
    ours, first, other = (town.host.container() for _ in range(3))
    town.plant_veth("vethleak", ours)
    index = town.host.links()["vethleak"]["ifindex"]
    peer = ours.links()["eth7"]["ifindex"]
    pair = ["index", str(peer), "type", "veth", "peer", "name", "vethx", "index", str(index)]
    first.run("ip", "link", "add", "eth9", *pair, "netns", other.path)
    for container in (first, other):
        alias = Path("/run/netns") / f"0-{container.id}"  # comes before ours
        alias.touch()
        town.host.run("mount", "--bind", container.path, str(alias))

    (found,) = (one for one in town.picture()["wrong"] if one["kind"] == "leaked-link")
    for container in (first, other):
        town.host.run("umount", f"/run/netns/0-{container.id}")
        Path(f"/run/netns/0-{container.id}").unlink()

    assert "leads to eth7 in" in found["text"]


@pytest.mark.parametrize("marked", [False, True])
def test_a_cable_to_what_still_runs_is_not_blamed(town: Town, *, marked: bool) -> None:
    """Not every runtime remembers where we look."""
    container = town.attach("web")
    next((town.cache / "results").iterdir()).unlink()
    (port,) = (name for name, link in town.host.links().items() if link.get("master") == "cni0")
    if not marked:
        town.host.run("ip", "link", "set", port, "alias", "")
    with container.inside():
        process = subprocess.Popen(["sleep", "infinity"])  # as long as the test
    try:
        while_it_runs = town.picture()
    finally:
        process.kill()
        process.wait()

    assert [one for one in while_it_runs["wrong"] if one["kind"] == "leaked-link"] == []
    assert port in [end["port"] for end in while_it_runs["ends"]]
    assert ("leaked-link", port) in town.wrong()


def test_a_second_interface_that_another_cache_remembers_is_not_blamed(town: Town) -> None:
    """As under Multus, whose delegates' attachments are where the runtime's are not."""
    container = town.attach("web")
    town.network("side", "cni1", "10.89.0.0/16")
    second_one = ["--container-id", container.id, "--ifname", "net1"]
    done = town.run("add", "side", container.path, *second_one)
    assert done.exit_code == 0, done.output
    next((town.cache / "results").glob("side-*")).rename(town.host.state / "elsewhere")

    picture = town.picture()

    assert picture["wrong"] == []
    second = next(end for end in picture["ends"] if end["ifname"] == "net1")
    assert (second["parent"], second["netns"]) == ("cni1", container.path)


def test_nobody_is_blamed_for_calls_that_end_while_it_looks(town: Town) -> None:
    container = town.attach("web")
    places = Places("", (CNI_PATH,), str(town.conf), "as it was said")
    node = Node(Root(), places, cache_dir=str(town.cache), socket="", queue_dir="/nowhere")
    assert len(node.attachments) == 1
    ended = town.run("del", "web", container.path, "--container-id", container.id)
    assert ended.exit_code == 0, ended.output
    town.attach("web")

    with town.host.inside():
        picture = survey(node)

    assert picture.wrong == []
    assert [end.network for end in picture.ends] == ["web"]


def test_nobody_is_blamed_where_namespaces_are_not_to_be_seen(town: Town) -> None:
    town.attach("web")
    town.plant_veth("vethleak", town.host.container())

    picture = json.loads(town.powerless("show", "--json"))

    assert picture["wrong"] == []
    assert any(one["what"].startswith("/run/netns/") for one in picture["unseen"])


def test_nobody_is_blamed_by_who_may_not_look(town: Town) -> None:
    """As somebody whom modes keep out, and who may enter no namespace."""
    town.attach("web")
    (town.cache / "results").chmod(0o000)

    picture = json.loads(town.powerless("show", "--json"))

    assert picture["wrong"] == []
    assert any("results" in one["what"] + one["why"] for one in picture["unseen"])


# -- drawings ----------------------------------------------------------------------------------


def test_a_drawing_is_xml_with_everything_in_it(town: Town) -> None:
    container = town.attach("web", "--args", POD.format("a&b<c>"))

    _, drawing = town.drawn()

    texts = "".join(ET.fromstring(drawing).itertext())  # noqa: S314
    for text in ("cni0", "shop/a&b<c>", "10.88.0.2/16", "default via 10.88.0.1", container.path):
        assert text in texts


def test_a_page_takes_nothing_from_elsewhere_and_executes_nothing_of_others(town: Town) -> None:
    town.attach("web", "--args", POD.format("<img src=//example.com onerror=alert(1)>"))

    page, _ = town.drawn()

    assert "shop/&lt;img src=//example.com" in page
    assert "<img" not in page
    assert page.count("<script") == 1
    for way in ("@import", "url(", "src=", "http:", "https:"):
        assert way not in page.replace("&lt;img src=//example.com", "")
    assert "default-src &#x27;none&#x27;" in page


def test_a_terminal_is_told_nothing_by_names(town: Town) -> None:
    town.attach("web", "--args", POD.format("\x1b[2Jevil"))

    assert "shop/\ufffd[2Jevil" in town.show().stdout


def test_a_file_that_cannot_be_written_is_told(town: Town) -> None:
    done = town.show("--svg", str(town.host.state / "nowhere/x.svg"))

    assert done.exit_code == 1
    assert "nowhere/x.svg" in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_a_drawing_takes_the_place_of_the_one_before_or_does_not(town: Town) -> None:
    file = town.host.state / "x.svg"
    file.write_text("before")

    town.show("--svg", str(file))

    assert file.read_text().startswith("<svg")
    assert [path.name for path in town.host.state.glob(".x.svg*")] == []


def test_what_looks_changes_nothing(town: Town) -> None:
    town.attach("web")
    before = town.host.snapshot()

    town.show("--json")

    assert town.host.snapshot() == before
