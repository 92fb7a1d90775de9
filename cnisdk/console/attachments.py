"""Attach, check and detach with one plugin, remembering what a runtime would remember.

An attachment is a file of the cache (`cnisdk.runtime.cache`), with the plugins that made it and
their result, whoever ran them.  ``bridge add`` makes one.  A plugin added to it afterwards, such
as ``mtu add`` for the same container and interface, gets that result as ``prevResult`` and is
remembered behind the first, as in a chain.  ``del`` takes its own plugin out; with the last one the
attachment is forgotten.

A failed ADD is not followed by a DEL, though a runtime's would be: the SDK's plugins take back what
they did themselves, and a person may have named an interface that something else made, which the
DEL would remove.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from cnisdk import versions
from cnisdk.call import AttachmentKey
from cnisdk.console.choice import Choice, Say, alone
from cnisdk.console.subject import Subject, listed
from cnisdk.errors import CNIError
from cnisdk.runtime import result
from cnisdk.runtime.attachment import AttachmentParameters
from cnisdk.runtime.cache import Cache
from cnisdk.runtime.config import NetworkConfig, PluginObject
from cnisdk.runtime.errors import AlreadyAttachedError, NotAttachedError
from cnisdk.runtime.request import derive


class Known(NamedTuple):
    """A remembered attachment, read."""

    network: NetworkConfig
    """With the plugins that made it, in their order."""
    parameters: AttachmentParameters
    result: Mapping[str, Any]
    path: str

    def made_by(self, subject: Subject) -> tuple[PluginObject, ...]:
        """Return the plugin configuration objects of a plugin, most often one."""
        return tuple(part for part in self.network.plugins if part.type == subject.name)


def find(cache: Cache, key: AttachmentKey, network: str = "") -> Known | None:
    """Return the attachment of a container's interface, in whatever network unless one is named.

    Raises BrokenConfigError if what is remembered of it is not to be understood.
    """
    for found in cache.attachments(key.container_id, network):
        if found.key == key:
            return Known(found.network_config(), found.parameters, found.result, found.path)
    return None


def add(
    subject: Subject, cache: Cache, choice: Choice, wanted: AttachmentParameters, say: Say
) -> dict[str, Any]:
    """Attach the container and return the result, in the version of the configuration.

    A container that is attached by other plugins gets this one in addition.
    """
    wanted.check()
    cache.path(choice.network.name, wanted.key)  # which has to be possible
    with cache.lock(create=True, exclusive=True):
        known = find(cache, wanted.key)
        network, before = choice.network, None
        if known is not None:
            if known.made_by(subject):
                raise AlreadyAttachedError(
                    f"interface {wanted.ifname!r} of container {wanted.container_id!r} is attached "
                    f"by {subject.name} already",
                    f"to network {known.network.name!r}, according to {known.path}",
                )
            say(
                f"follows {listed(known.network.plugins)} in network {known.network.name!r}, "
                "whose result it is given"
            )
            network = alone(known.network, [*known.network.plugins, choice.part])
            before = result.in_version(known.result, network.cni_version)
            capability_args = {**known.parameters.capability_args, **wanted.capability_args}
            made = replace(known.parameters, capability_args=capability_args)
        else:
            made = wanted
        request = derive(
            network, choice.part, prev_result=before, capability_args=wanted.capability_args
        )
        wire = result.read(subject.call("ADD", request, wanted), network.cni_version)
        try:
            cache.write(network, made, wire)
        except BaseException:
            # Nobody could detach it as it was attached.
            _take_back(subject, network, choice.part, wanted, wire, say)
            raise
    return wire


def _take_back(
    subject: Subject,
    network: NetworkConfig,
    part: PluginObject,
    wanted: AttachmentParameters,
    wire: Mapping[str, Any],
    say: Say,
) -> None:
    request = derive(
        network,
        part,
        prev_result=_recorded(network, wire),
        capability_args=wanted.capability_args,
    )
    try:
        subject.call("DEL", request, wanted)
    except CNIError as err:
        say(f"taking the attachment back: {err}")


def check(
    subject: Subject, known: Known | None, choice: Choice | None, wanted: AttachmentParameters
) -> None:
    """Raise what the plugin finds wrong with an attachment.

    ``choice`` is what was typed; without one the configuration of the ADD is used.
    """
    if known is None or not known.made_by(subject):
        raise NotAttachedError(
            f"interface {wanted.ifname!r} of container {wanted.container_id!r} is not attached by "
            f"{subject.name}",
            f"{known.path}: attached by {listed(known.network.plugins)}" if known else "",
        )
    network, parts = _how(subject, known, choice)
    wire = result.in_version(known.result, network.cni_version)
    for part in parts:
        capability_args = wanted.capability_args
        request = derive(network, part, prev_result=wire, capability_args=capability_args)
        subject.call("CHECK", request, wanted)


def delete(
    subject: Subject,
    cache: Cache,
    known: Known | None,
    choice: Choice | None,
    wanted: AttachmentParameters,
    say: Say,
) -> None:
    """Detach the container, and forget what it had of this plugin.

    ``choice`` says how, or ``known`` does.  What is not known is deleted all the same.
    """
    network, parts = _how(subject, known, choice)
    with cache.lock(exclusive=True):
        wire = None
        if known is not None and known.network.name == network.name:
            try:
                wire = _recorded(network, known.result)
            except CNIError as err:
                say(f"DEL goes on without prevResult: {err}")
        for part in reversed(parts):
            capability_args = wanted.capability_args
            request = derive(network, part, prev_result=wire, capability_args=capability_args)
            subject.call("DEL", request, wanted)
        _forget(subject, cache, network.name, wanted.key)


def _how(
    subject: Subject, known: Known | None, choice: Choice | None
) -> tuple[NetworkConfig, tuple[PluginObject, ...]]:
    if choice is not None:
        return choice.network, (choice.part,)
    if known is None:
        raise ValueError("neither known nor configured")
    return known.network, known.made_by(subject)


def _forget(subject: Subject, cache: Cache, network: str, key: AttachmentKey) -> None:
    """Take the plugin out of a remembered attachment; without any other it is forgotten."""
    try:
        known = find(cache, key, network)
    except CNIError:
        known = None  # of no use to anybody
    rest = [part for part in known.network.plugins if part.type != subject.name] if known else []
    if known is None or not rest:
        cache.remove(network, key)
    elif len(rest) < len(known.network.plugins):
        cache.write(alone(known.network, rest), known.parameters, known.result)


def gc(subject: Subject, cache: Cache, choice: Choice, valid: Collection[AttachmentKey]) -> None:
    """Have the plugin release what its network holds for attachments other than ``valid``."""
    with cache.lock(exclusive=True):
        subject.call("GC", derive(choice.network, choice.part, valid=valid))


def status(subject: Subject, choice: Choice) -> None:
    """Raise why the plugin could not serve an ADD."""
    subject.call("STATUS", derive(choice.network, choice.part))


def recalled(known: Known | None, wanted: AttachmentParameters) -> AttachmentParameters:
    """Return what was typed, with what the ADD was given where nothing was.

    The namespace of a process is not taken from there: its number may be another's by now.
    """
    if known is None:
        return wanted
    before = known.parameters.later()
    return replace(
        wanted,
        netns=wanted.netns or before.netns,
        args=wanted.args or before.args,
        capability_args=wanted.capability_args or before.capability_args,
    )


def _recorded(network: NetworkConfig, wire: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a result as DEL may be given it: ``prevResult`` came to DEL with CHECK."""
    if not network.at_least(versions.CHECK_SINCE):
        return None
    return result.in_version(wire, network.cni_version)
