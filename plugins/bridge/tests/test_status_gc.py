"""STATUS says whether ADD can work; GC releases what nobody uses."""

from tests.host import Host

from .conftest import REFUSAL, Network

V4 = "10.1.2.2/24"


def test_status_of_a_usable_network_is_good(network: Network) -> None:
    answer = network.ipam(V4).call("STATUS")

    assert (answer.status, answer.stdout) == (0, b"")


def test_status_without_ipam_is_good(network: Network) -> None:
    assert network.call("STATUS").status == 0


def test_status_is_50_when_the_bridge_s_name_is_taken(network: Network, host: Host) -> None:
    host.run("ip", "link", "add", "br0", "type", "ifb")

    answer = network.call("STATUS")

    assert answer.json["code"] == 50
    assert "br0" in answer.error


def test_status_of_ipam_is_passed_on(network: Network) -> None:
    network.ipam(V4).ipam_does("STATUS", REFUSAL.replace("100", "51"))

    answer = network.call("STATUS")

    assert answer.json["code"] == 51
    assert "out of addresses" in answer.error


def test_status_makes_nothing(network: Network, host: Host) -> None:
    before = host.snapshot()

    network.ipam(V4).call("STATUS")

    assert host.snapshot() == before


def test_gc_removes_the_rules_of_attachments_that_are_not_valid(
    network: Network, host: Host
) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": "nftables"}
    kept, lost = host.container(), host.container()
    network.ipam("10.1.2.2/24").add(kept)
    network.ipam("10.1.2.3/24").add(lost)
    valid = [{"containerID": kept.id, "ifname": "eth0"}]

    answer = network.call("GC", config=network.config | {"cni.dev/valid-attachments": valid})

    assert (answer.status, answer.stdout) == (0, b"")
    rules = host.run("nft", "list", "ruleset").stdout
    assert kept.id in rules
    assert lost.id not in rules


def test_gc_leaves_the_rules_of_other_networks(network: Network, host: Host) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": "nftables"}
    container = host.container()
    network.ipam(V4).add(container)

    network.call("GC", config=network.config | {"name": "net2", "cni.dev/valid-attachments": []})

    assert container.id in host.run("nft", "list", "ruleset").stdout


def test_gc_is_forwarded_to_ipam(network: Network) -> None:
    network.ipam(V4).ipam_does("GC", 'cat >"$here/gc.stdin"\n')

    network.call("GC", config=network.config | {"cni.dev/valid-attachments": []})

    assert "cni.dev/valid-attachments" in (network.bin / "gc.stdin").read_text()


def test_gc_removes_rules_even_if_ipam_fails(network: Network, host: Host) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": "nftables"}
    container = host.container()
    network.ipam(V4).add(container)
    network.ipam_does("GC", REFUSAL)

    answer = network.call("GC", config=network.config | {"cni.dev/valid-attachments": []})

    assert "out of addresses" in answer.error
    assert container.id not in host.run("nft", "list", "ruleset").stdout
