"""JSON and results as hypothesis makes them, and the calls that real runtimes made."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from cnisdk.types.result import DNS, Interface, IPConfig, Result, Route

RECORDED = Path(__file__).parents[2] / "data" / "recorded-calls"

words = st.text("abcdefgh0123456789.-", min_size=1, max_size=8)
uints = st.integers(1, 2**32 - 1)

texts = st.text(st.characters(codec="utf-8"), max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | floats | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)

addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@st.composite
def cidrs(draw: st.DrawFn) -> str:
    address = draw(addresses)
    return f"{address}/{draw(st.integers(0, address.max_prefixlen))}"


unknown = st.dictionaries(st.sampled_from(["x-vendor", "cniExtra", "é"]), json_values, max_size=1)


Object = dict[str, Any]


def objects(required: Object, optional: Object) -> st.SearchStrategy[Object]:
    known = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda one, other: {**other, **one}, known, unknown)


interfaces = objects(
    {"name": words},
    {"mac": words, "sandbox": words, "mtu": uints, "socketPath": words, "pciID": words},
).map(Interface.model_validate)
ips = objects({"address": cidrs()}, {"gateway": addresses, "interface": st.integers(0, 9)}).map(
    IPConfig.model_validate
)
routes = objects(
    {"dst": cidrs()},
    {
        "gw": addresses,
        **dict.fromkeys(("mtu", "advmss", "priority", "table"), uints),
        "scope": st.integers(0, 255),
    },
).map(Route.model_validate)
lists_of_words = st.lists(words, max_size=2)
dns = objects(
    {},
    {
        "nameservers": lists_of_words,
        "domain": words,
        "search": lists_of_words,
        "options": lists_of_words,
    },
).map(DNS.model_validate)
results = objects(
    {},
    {
        "interfaces": st.lists(interfaces, max_size=3),
        "ips": st.lists(ips, max_size=3),
        "routes": st.lists(routes, max_size=3),
        "dns": dns,
    },
).map(Result.model_validate)


class Recorded(NamedTuple):
    """One call of a plugin as it was recorded."""

    label: str
    args: str
    stdin: str
    stdout: str


def recorded_calls() -> list[Recorded]:
    calls = []
    for path in sorted(RECORDED.glob("*/*.json")):
        call = json.loads(path.read_text())
        if call["command"] != "VERSION" and call["stdin"]:
            label = f"{path.parent.name}/{path.stem}"
            args = call["env"].get("CNI_ARGS", "")
            calls.append(Recorded(label, args, call["stdin"], call["stdout"]))
    return calls
