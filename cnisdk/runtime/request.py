"""What a plugin is given on stdin; SPEC section 3, "Deriving execution configuration".

The plugin configuration object as it was read, minus what is the runtime's to say, plus what the
runtime has to say.
"""

from collections.abc import Collection, Mapping
from typing import Any

from cnisdk.call import AttachmentKey
from cnisdk.runtime.config import NetworkConfig, PluginObject
from cnisdk.types import _json

# Never taken from a file.  Go plugins match keys case-insensitively: the spelling
# "PrevResult" would reach them as well.
_RUNTIMES_OWN = frozenset({"capabilities", "prevresult", "runtimeconfig"})
_RUNTIMES_PREFIX = "cni.dev/"

VALID_ATTACHMENTS = "cni.dev/valid-attachments"
_VALID_ATTACHMENTS_OF_THE_TAG = "cni.dev/attachments"
"""What the text tagged spec-v1.1.0 called it; plugins written to that text read it."""


def is_runtimes_own(key: str) -> bool:
    """Say whether ``key`` in a file is dropped, since it is the runtime's to set."""
    folded = key.lower()
    return folded in _RUNTIMES_OWN or folded.startswith(_RUNTIMES_PREFIX)


def derive(
    network: NetworkConfig,
    plugin: PluginObject,
    *,
    prev_result: Mapping[str, Any] | None = None,
    capability_args: Mapping[str, Any] | None = None,
    valid: Collection[AttachmentKey] | None = None,
) -> bytes:
    """Return the request configuration of ``plugin``.

    ``prev_result`` is passed as it is.  Of ``capability_args`` the plugin gets what it declares
    a capability for, and no ``runtimeConfig`` at all where that is nothing.  ``valid`` is GC's:
    an empty one is sent as an empty list.
    """
    request = {key: value for key, value in plugin.raw.items() if not is_runtimes_own(key)}
    # Set last: where a file has "CNIVersion" as well, Go takes the key that comes last.
    for key in ("cniVersion", "name"):
        request.pop(key, None)
    request["cniVersion"] = network.cni_version
    request["name"] = network.name
    if supplied := _supplied(plugin, capability_args or {}):
        request["runtimeConfig"] = supplied
    if prev_result is not None:
        request["prevResult"] = prev_result
    if valid is not None:
        listed = [{"containerID": key.container_id, "ifname": key.ifname} for key in sorted(valid)]
        request[VALID_ATTACHMENTS] = listed
        request[_VALID_ATTACHMENTS_OF_THE_TAG] = listed
    return _json.dumps(request).encode()


def _supplied(plugin: PluginObject, capability_args: Mapping[str, Any]) -> dict[str, Any]:
    return {name: capability_args[name] for name in plugin.capabilities if name in capability_args}
