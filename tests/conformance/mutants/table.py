"""For each check a change to a tiny plugin that this check, and no other, has to notice.

``old`` is replaced by ``new`` in the text of the plugin, where it stands exactly once.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A plugin that is wrong in one way."""

    kind: str
    old: str
    new: str


_IPAM = {
    # -- parameters --
    "parameters/add-requires": Mutant(
        "ipam",
        '"ADD": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]',
        '"ADD": ["CNI_CONTAINERID", "CNI_IFNAME"]',
    ),
    "parameters/del-requires": Mutant(
        "ipam",
        '"DEL": ["CNI_CONTAINERID", "CNI_IFNAME"]',
        '"DEL": ["CNI_IFNAME"]',
    ),
    "parameters/check-requires": Mutant(
        "ipam",
        '"CHECK": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]',
        '"CHECK": ["CNI_CONTAINERID", "CNI_NETNS"]',
    ),
    "parameters/gc-requires": Mutant("ipam", '"GC": ["CNI_PATH"]', '"GC": []'),
    "parameters/command-missing": Mutant(
        "ipam", 'environ.get("CNI_COMMAND", "")', 'environ.get("CNI_COMMAND", "VERSION")'
    ),
    "parameters/command-unknown": Mutant(
        "ipam", 'f"unknown CNI_COMMAND {call.command}"', '"unknown verb"'
    ),
    "parameters/container-id-characters": Mutant(
        "ipam", "if call.id and not NAME.fullmatch(call.id):", "if call.id.isspace():"
    ),
    "parameters/invalid-are-named": Mutant(
        "ipam", 'f"CNI_CONTAINERID is malformed: {call.id}"', '"that is no container"'
    ),
    "parameters/optional": Mutant(
        "ipam",
        '"DEL": ["CNI_CONTAINERID", "CNI_IFNAME"]',
        '"DEL": ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"]',
    ),
    # -- configuration --
    "config/not-json": Mutant(
        "ipam", 'RefusedError(6, f"no JSON: {err}")', 'RefusedError(7, f"no JSON: {err}")'
    ),
    "config/empty": Mutant(
        "ipam",
        "    call.stdin = read()\n",
        "    call.stdin = read()\n    if not call.stdin:\n        return None\n",
    ),
    "config/version-unknown": Mutant("ipam", "RefusedError(1, f", "RefusedError(7, f"),
    "config/name-characters": Mutant(
        "ipam", 'RefusedError(7, f"malformed name', 'RefusedError(6, f"malformed name'
    ),
    "config/name-missing": Mutant(
        "ipam", 'RefusedError(7, "the network has', 'RefusedError(6, "the network has'
    ),
    "config/unknown-keys": Mutant(
        "ipam",
        "    call.config = config\n",
        "    call.config = config\n"
        '    if "conformanceKey" in config:\n'
        '        raise RefusedError(2, "unsupported field")\n',
    ),
    "config/runtime-config": Mutant(
        "ipam",
        "    call.config = config\n",
        "    call.config = config\n"
        '    if config.get("runtimeConfig"):\n'
        '        raise RefusedError(7, "that is too much")\n',
    ),
    # -- errors --
    "errors/exit-status": Mutant(
        "ipam",
        "        write(1, error)\n        return 1\n",
        "        write(1, error)\n        return int(err.code != 6)\n",
    ),
    "errors/object": Mutant("ipam", "write(1, error)", "write(2 if err.code == 7 else 1, error)"),
    "errors/version": Mutant("ipam", '{"cniVersion": call.version, "code"', '{"code"'),
    "errors/own-codes": Mutant(
        "ipam", 'RefusedError(5, f"stdin: {err}")', 'RefusedError(42, f"stdin: {err}")'
    ),
    # -- VERSION --
    "version/answer": Mutant(
        "ipam", '"supportedVersions": VERSIONS}', '"supportedVersions": " ".join(VERSIONS)}'
    ),
    "version/echo": Mutant("ipam", "asked or call.version", "call.version"),
    "version/empty-stdin": Mutant(
        "ipam",
        'os.read(0, 4096) if ready else b"{}"',
        '(os.read(0, 4096) or os._exit(1)) if ready else b"{}"',
    ),
    "version/closed-stdin": Mutant("ipam", "except (OSError, ValueError):", "except ValueError:"),
    "version/garbage": Mutant(
        "ipam", "except (OSError, ValueError):", "except (OSError, json.JSONDecodeError):"
    ),
    "version/silent-stdin": Mutant(
        "ipam", "select.select([0], [], [], 0.05)", "select.select([0], [], [])"
    ),
    "version/known": Mutant(
        "ipam", '"supportedVersions": VERSIONS}', '"supportedVersions": ["9.9.9"]}'
    ),
    # -- ADD --
    "add/succeeds": Mutant(
        "ipam",
        '    """Give an address."""\n',
        '    """Give an address."""\n    raise RefusedError(100, "not today")\n',
    ),
    "add/one-object": Mutant(
        "ipam",
        "        write(1, answer)\n",
        '        write(1, answer)\n        if call.command == "ADD":\n            write(1, {})\n',
    ),
    # -- every version --
    "versions/add": Mutant(
        "ipam",
        '    wire: Object = {"cniVersion": call.version}\n',
        '    wire: Object = {"cniVersion": call.version}\n'
        '    if call.version == "0.3.1":\n'
        '        raise RefusedError(100, "not in this version")\n',
    ),
    "versions/result-version": Mutant(
        "ipam",
        'wire: Object = {"cniVersion": call.version}',
        'wire: Object = {"cniVersion": max(call.version, "0.3.0")}',
    ),
    "versions/result-shape": Mutant("ipam", '{"version": "4", **ip}', "{**ip}"),
    "versions/check": Mutant(
        "ipam",
        '    """Look whether the container has an address."""\n',
        '    """Look whether the container has an address."""\n'
        '    if call.version == "0.4.0":\n'
        '        raise RefusedError(100, "not in this version")\n',
    ),
    "versions/delete": Mutant(
        "ipam",
        '    """Take an address back."""\n',
        '    """Take an address back."""\n'
        '    if call.version == "0.4.0":\n'
        '        raise RefusedError(100, "not in this version")\n',
    ),
    # -- IPAM --
    "ipam/abbreviated": Mutant(
        "ipam", '"gateway": str(network[1])}', '"gateway": str(network[1]), "interface": 0}'
    ),
    "ipam/gives-address": Mutant(
        "ipam", "result(call, [], ips, {", 'result(call, [], ips if call.version < "1.1" else [], {'
    ),
    "ipam/releases": Mutant(
        "ipam",
        '                os.unlink(f"{path}/{address}")\n\n\ndef check',
        "                (os.truncate if call.netns else os.unlink)"
        '(f"{path}/{address}", *[0] * bool(call.netns))\n\n\ndef check',
    ),
    "ipam/releases-without-netns": Mutant(
        "ipam", "if who == owner(call):", "if who == owner(call) and call.netns:"
    ),
    "ipam/keeps": Mutant("ipam", "if who == owner(call):", "if who.startswith(call.id):"),
    # -- CHECK --
    "check/after-add": Mutant(
        "ipam",
        "if owner(call) not in owners(path).values():",
        "if owner(call) in owners(path).values() or True:",
    ),
    "check/prints-nothing": Mutant(
        "ipam",
        'raise RefusedError(101, "the container has no address")\n',
        'raise RefusedError(101, "the container has no address")\n        return {}\n',
    ),
    "check/reservation-lost": Mutant(
        "ipam", "if owner(call) not in owners(path).values():", "if not os.path.exists(path):"
    ),
    # -- DEL --
    "delete/succeeds": Mutant(
        "ipam",
        '    """Take an address back."""\n',
        '    """Take an address back."""\n'
        "    if call.prev and os.path.exists(call.netns):\n"
        '        raise RefusedError(100, "it is in use")\n',
    ),
    "delete/twice": Mutant(
        "ipam",
        '    """Take an address back."""\n    with locked(call) as path:\n',
        '    """Take an address back."""\n    with locked(call) as path:\n'
        "        if call.prev and owner(call) not in owners(path).values():\n"
        '            raise RefusedError(100, "there is no such container")\n',
    ),
    "delete/never-added": Mutant(
        "ipam",
        '    """Take an address back."""\n    with locked(call) as path:\n',
        '    """Take an address back."""\n    with locked(call) as path:\n'
        "        if not call.prev and owner(call) not in owners(path).values():\n"
        '            raise RefusedError(100, "there is no such container")\n',
    ),
    "delete/without-netns": Mutant(
        "ipam",
        '"DEL": ["CNI_CONTAINERID", "CNI_IFNAME"]',
        '"DEL": ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]',
    ),
    "delete/netns-gone": Mutant(
        "ipam",
        '    """Take an address back."""\n',
        '    """Take an address back."""\n'
        "    if call.netns and not os.path.exists(call.netns):\n"
        '        raise RefusedError(100, "there is no such namespace")\n',
    ),
    "delete/without-prev-result": Mutant(
        "ipam",
        "if who == owner(call):",
        "if who == owner(call) and (call.prev or sys.exit(1)):",
    ),
    # -- GC --
    "gc/succeeds": Mutant(
        "ipam",
        "    keep = [",
        '    if call.valid:\n        raise RefusedError(100, "somebody is there")\n    keep = [',
    ),
    "gc/prints-nothing": Mutant("ipam", "    keep = [", "    write(1, {})\n    keep = ["),
    "gc/empty-list": Mutant(
        "ipam",
        "    keep = [",
        '    if not call.valid:\n        raise RefusedError(100, "nobody is there")\n    keep = [',
    ),
    "gc/releases": Mutant("ipam", "if who not in keep:", "if who not in keep and keep:"),
    "gc/keeps-reservation": Mutant("ipam", "if who not in keep:", "if who not in keep or keep:"),
    # -- STATUS --
    "status/ready": Mutant(
        "ipam", "if len(owners(path)) >= len(pool(call)):", "if len(pool(call)) > 0:"
    ),
    "status/quick": Mutant(
        "ipam",
        '    """Say whether an address is left."""\n',
        '    """Say whether an address is left."""\n    select.select([], [], [], 1.1)\n',
    ),
    "status/exhausted": Mutant(
        "ipam", "if len(owners(path)) >= len(pool(call)):", "if len(pool(call)) < 1:"
    ),
    # -- surroundings --
    "surroundings/poor": Mutant(
        "ipam",
        'self.path = os.environ.get("CNI_PATH", "")',
        'self.path = os.environ["PATH"] and os.environ.get("CNI_PATH", "")',
    ),
    "surroundings/kubernetes": Mutant(
        "ipam",
        "    call.config = config\n",
        "    call.config = config\n"
        '    if "K8S" in os.environ.get("CNI_ARGS", ""):\n'
        '        raise RefusedError(4, "CNI_ARGS has what nobody knows")\n',
    ),
    "surroundings/big-stdin": Mutant(
        "ipam",
        "            data += chunk\n",
        "            data += chunk\n"
        "            if len(data) > 1 << 19:\n"
        '                raise RefusedError(6, "too much")\n',
    ),
    "surroundings/closed-stdin": Mutant(
        "ipam", 'raise RefusedError(5, f"stdin: {err}") from err', "os.abort()"
    ),
    # -- concurrency --
    "concurrency/add": Mutant(
        "ipam",
        "fcntl.flock(file, fcntl.LOCK_EX)\n",
        'mode = fcntl.LOCK_NB if call.command == "ADD" else 0\n'
        "        fcntl.flock(file, fcntl.LOCK_EX | mode)\n"
        "        select.select([], [], [], 0.03 if mode else 0)\n",
    ),
    "concurrency/delete": Mutant(
        "ipam",
        "fcntl.flock(file, fcntl.LOCK_EX)\n",
        'mode = fcntl.LOCK_NB if call.command == "DEL" else 0\n'
        "        fcntl.flock(file, fcntl.LOCK_EX | mode)\n"
        "        select.select([], [], [], 0.03 if mode else 0)\n",
    ),
    # -- kill --
    "kill/any-time": Mutant(
        "ipam",
        "        take(path, free[0], owner(call))\n",
        '        take(path, free[0], "somebody")\n'
        "        select.select([], [], [], 0.03)\n"
        "        take(path, free[0], owner(call))\n",
    ),
    "kill/at-a-write": Mutant(
        "ipam",
        '    with open(f"{path}/new", "w") as file:\n'
        "        file.write(who)\n"
        '    os.rename(f"{path}/new", f"{path}/{address}")\n',
        '    with open(f"{path}/{address}", "w") as file:\n        file.write(who)\n',
    ),
}

_CHAINED = {
    "chained/interfaces-passed-on": Mutant(
        "chained",
        'return {**call.prev, "cniVersion": call.version}',
        'return {**call.prev, "interfaces": (call.prev.get("interfaces") or [])[::-1]}',
    ),
    "chained/addresses-passed-on": Mutant(
        "chained",
        'return {**call.prev, "cniVersion": call.version}',
        'return {**call.prev, "ips": []}',
    ),
    "chained/rest-passed-on": Mutant(
        "chained",
        'return {**call.prev, "cniVersion": call.version}',
        'return {**call.prev, "dns": {}}',
    ),
}

_INTERFACE = {
    "parameters/ifname-unusable": Mutant(
        "interface", 'environ.get("CNI_IFNAME", "")', 'environ.get("CNI_IFNAME", "")[:15]'
    ),
    # -- ADD --
    "add/interface-exists": Mutant(
        "interface",
        "        return configure(call, name, bridge)\n",
        "        wire = configure(call, name, bridge)\n"
        '        inside(call, f"link set {call.ifname} down name other")\n'
        "        return wire\n",
    ),
    "add/interface-up": Mutant(
        "interface",
        "        return configure(call, name, bridge)\n",
        "        wire = configure(call, name, bridge)\n"
        '        inside(call, f"link set {call.ifname} down")\n'
        "        return wire\n",
    ),
    "add/result-names-interface": Mutant(
        "interface",
        '{"name": call.ifname, "mac": mac(name, 2), "sandbox"',
        '{"name": "other", "mac": mac(name, 2), "sandbox"',
    ),
    "add/result-sandbox-is-netns": Mutant(
        "interface", '"sandbox": call.netns', '"sandbox": call.id'
    ),
    "add/result-interface-is-true": Mutant(
        "interface", '"mac": mac(name, 2), "sandbox"', '"mac": mac(name, 3), "sandbox"'
    ),
    "add/result-host-interfaces-are-true": Mutant(
        "interface", '"mac": mac(name, 1)}', '"mac": mac(name, 3)}'
    ),
    "add/addresses-are-true": Mutant(
        "interface", "    return address\n", '    return address.replace("/16", "/32")\n'
    ),
    "add/address-index": Mutant("interface", 'ip["interface"] = 2', 'ip["interface"] = None'),
    "add/routes-are-true": Mutant(
        "interface", "    return network\n", '    return network.replace("10.1", "11.1")\n'
    ),
    "add/existing-interface": Mutant(
        "interface",
        "    connect(call, name, bridge)\n    try:",
        '    run("ip", "-n", netns(call), "link", "del", call.ifname, fail=False)\n'
        "    connect(call, name, bridge)\n    try:",
    ),
    "add/netns-missing": Mutant(
        "interface",
        'raise RefusedError(4, f"CNI_NETNS does not exist: {call.netns}")',
        'return {"cniVersion": call.version}',
    ),
    "add/second-interface": Mutant(
        "interface", 'f"{identifier} {ifname}".encode()', 'f"{identifier}".encode()'
    ),
    "add/retry": Mutant(
        "interface",
        "        remove_link(name)\n        with contextlib",
        "        with contextlib",
    ),
    # -- CHECK --
    "check/interface-removed": Mutant(
        "interface", 'raise RefusedError(101, f"{call.ifname} is gone")', "return"
    ),
    "check/address-removed": Mutant(
        "interface",
        'if cidr(ip["address"]) not in there:',
        'if ip["address"][:5] not in [address[:5] for address in there]:',
    ),
    "check/prev-result-consulted": Mutant(
        "interface",
        'if cidr(ip["address"]) not in there:',
        'if ip["address"].startswith("10.") and ip["address"] not in there:',
    ),
    "check/route-removed": Mutant("interface", "if dst(route) not in ways:", "if not ways:"),
    "check/link-down": Mutant("interface", 'if "UP" not in link["flags"]:', "if not link:"),
    "check/master-removed": Mutant(
        "interface",
        'if link.get("master") != call.config.get("bridge", "tiny0"):',
        "if not link:",
    ),
    "check/firewall-removed": Mutant(
        "interface", 'raise RefusedError(101, "the firewall rules are gone")', "return"
    ),
    "check/later-changes": Mutant(
        "interface",
        '    for ip in call.prev.get("ips") or ():\n',
        '    if len([address for address in there if "." in address]) > 1:\n'
        '        raise RefusedError(101, "one address too many")\n'
        '    for ip in call.prev.get("ips") or ():\n',
    ),
    "check/without-ipam": Mutant(
        "interface", "    if not plugin:\n", '    if not plugin and command != "CHECK":\n'
    ),
    # -- DEL --
    "delete/leaves-nothing": Mutant(
        "interface",
        '    remove_link(name)\n    if call.config.get("ipMasq"):',
        '    remove_link(name)\n    if call.config.get("ipMasq") and not call.netns:',
    ),
    "delete/without-netns-leaves-nothing": Mutant(
        "interface",
        '    remove_link(name)\n    if call.config.get("ipMasq"):',
        '    remove_link(name)\n    if call.config.get("ipMasq") and call.netns:',
    ),
    "delete/after-failed-add": Mutant(
        "interface",
        "        remove_link(name)\n        with contextlib",
        "        remove_link(name)\n"
        '        run("ip", "link", "add", f"l{name[1:]}", "type", "bridge")\n'
        "        with contextlib",
    ),
    "delete/other-interface": Mutant(
        "interface",
        '    remove_link(name)\n    if call.config.get("ipMasq"):',
        '    remove_link(name)\n    remove_link(host_end(call.id, "eth0"))\n'
        '    if call.config.get("ipMasq"):',
    ),
    # -- GC --
    "gc/removes-stale": Mutant("interface", "and rules[8:] not in keep:", "and not keep:"),
    "gc/keeps-valid": Mutant("interface", "and rules[8:] not in keep:", "and keep:"),
    # -- delegation --
    "delegation/add": Mutant(
        "interface",
        'granted = delegate(call, "ADD")',
        "n = int(name[1:], 16)\n"
        '    own = f"10.1.{n % 251}.{n // 251 % 251 + 2}/16"\n'
        '    granted: Object = {"ips": [{"address": own}]}',
    ),
    "delegation/environment": Mutant(
        "interface",
        '{**os.environ, "CNI_COMMAND": command}',
        '{k: command if k == "CNI_COMMAND" else v for k, v in os.environ.items() if "CNI" in k}',
    ),
    "delegation/configuration": Mutant(
        "interface", "input=call.stdin", 'input=json.dumps({**call.config, "name": "n"}).encode()'
    ),
    "delegation/stderr": Mutant(
        "interface", "stdout=-1, check=False", "stdout=-1, stderr=-3, check=False"
    ),
    "delegation/result": Mutant(
        "interface",
        '        ip["interface"] = 2\n',
        '        ip["interface"] = 2\n        ip.pop("gateway")\n',
    ),
    "delegation/check": Mutant("interface", '    delegate(call, "CHECK")\n', ""),
    "delegation/del": Mutant(
        "interface",
        '    delegate(call, "DEL")\n\n\n',
        '    if not call.netns:\n        delegate(call, "DEL")\n\n\n',
    ),
    "delegation/del-error": Mutant(
        "interface",
        '    delegate(call, "DEL")\n\n\n',
        '    with contextlib.suppress(RefusedError):\n        delegate(call, "DEL")\n\n\n',
    ),
    "delegation/del-without-netns": Mutant(
        "interface",
        '    delegate(call, "DEL")\n\n\n',
        '    if call.netns:\n        delegate(call, "DEL")\n\n\n',
    ),
    "delegation/gc": Mutant("interface", '    delegate(call, "GC")\n', ""),
    "delegation/status": Mutant("interface", '    delegate(call, "STATUS")\n', ""),
    "delegation/add-error": Mutant(
        "interface",
        "    if done.returncode != 0:",
        '    if done.returncode != 0 and command == "ADD":\n'
        "        return {}\n"
        "    if done.returncode != 0:",
    ),
    "delegation/add-error-undone": Mutant(
        "interface",
        '        with contextlib.suppress(RefusedError):\n            delegate(call, "DEL")\n',
        "",
    ),
    "delegation/missing": Mutant(
        "interface", 'raise RefusedError(4, f"{plugin} is not in CNI_PATH")', "return {}"
    ),
    # -- kill --
    "kill/while-delegating": Mutant(
        "interface",
        '    granted = delegate(call, "ADD")\n',
        '    run("ip", "link", "add", f"k{name[1:]}", "type", "bridge")\n'
        "    try:\n"
        '        granted = delegate(call, "ADD")\n'
        "    finally:\n"
        '        remove_link(f"k{name[1:]}")\n',
    ),
}

MUTANTS = {**_IPAM, **_CHAINED, **_INTERFACE}
