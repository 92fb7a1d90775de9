"""Run the plugins of a network; SPEC section 3, "Execution of Network Configurations".

A `Runtime` says where plugins and the cache are.  Plugins run one after the other in the
caller's network namespace, their stderr goes to ``stderr_fd`` as they write it.  Every failure
is a `CNIError`; a plugin's own keeps its code.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from cnisdk import cancel, invoke, names, versions
from cnisdk.call import AttachmentKey, Call
from cnisdk.errors import (
    CNIError,
    IncompatibleVersionError,
    InvalidEnvironmentError,
    InvalidNetworkConfigError,
)
from cnisdk.runtime import existing, result
from cnisdk.runtime.attachment import AttachmentParameters, variables
from cnisdk.runtime.cache import Cache, CachedAttachment
from cnisdk.runtime.config import NetworkConfig, PluginObject
from cnisdk.runtime.errors import (
    AlreadyAttachedError,
    ExecutionError,
    GCError,
    NotAttachedError,
    PluginNotFoundError,
)
from cnisdk.runtime.request import derive


class Runtime:
    """Where a runtime finds its plugins, and what it remembers.

    ``environ`` is what plugins inherit beside the CNI variables; the process's own if None.
    ``timeout`` is how many seconds one plugin may take.  ``log`` is told what goes wrong
    without being a failure; it writes to ``stderr_fd`` if None.
    """

    def __init__(
        self,
        plugin_dirs: Sequence[str],
        *,
        cache: Cache | None = None,
        environ: Mapping[str, str] | None = None,
        stderr_fd: int = 2,
        timeout: float | None = None,
        log: Callable[[str], object] | None = None,
    ) -> None:
        self.plugin_dirs = tuple(plugin_dirs)
        self.cache = cache or Cache()
        self.environ = os.environ if environ is None else environ
        self.stderr_fd = stderr_fd
        self.timeout = timeout
        self.log = log or Call(command="", stderr_fd=stderr_fd).log

    # -- attachments -----------------------------------------------------------------------

    def add(
        self, network: NetworkConfig, attachment: AttachmentParameters, *, rollback: bool = True
    ) -> dict[str, Any]:
        """Attach a container and return the result, a JSON object in the network's version.

        Nothing is run before the parameters are checked, the attachment is known to be new and
        every plugin is found.  When a plugin fails, or the result cannot be remembered, all
        plugins are run with DEL in reverse: SPEC wants every ADD followed by a DEL "even if it
        fails".  That DEL goes on after failures, which `ExecutionError.rollback` has.  Without
        ``rollback`` it is the caller's to do.

        Where the container had an interface of that name before, somebody else made it, and DEL
        would remove it: then only the plugins before the one that failed are run with DEL.
        """
        _check_network(network)
        attachment.check()
        with self.cache.lock(create=True), self.cache.lock_attachment(attachment.key):
            self._check_new(network, attachment)
            executables = [self.find(plugin.type) for plugin in network.plugins]
            others = existing.has_interface(attachment.netns, attachment.ifname)
            wire: dict[str, Any] | None = None
            done = 0
            try:
                for plugin, executable in zip(network.plugins, executables, strict=True):
                    cancel.checkpoint()
                    wire = self._add(network, plugin, executable, attachment, wire)
                    done += 1
                wire = wire or {"cniVersion": network.cni_version}
                self.cache.write(network, attachment, wire)
            except BaseException as err:
                if rollback:
                    begun = executables[:done] if others else executables
                    failures = self._roll_back(network, begun, attachment, wire)
                    if isinstance(err, ExecutionError):
                        err.rollback = tuple(failures)
                    else:
                        for failure in failures:
                            self.log(f"undoing ADD: {failure}")
                raise
        return wire

    def check(self, network: NetworkConfig, attachment: AttachmentParameters) -> None:
        """Raise what the first plugin finds wrong with an attachment.

        Does nothing where the configuration has ``disableCheck``.  An attachment without a
        remembered result is NotAttachedError: "the runtime must not call CHECK for a container
        that has not been ADDed".
        """
        if network.disable_check:
            return
        if not network.at_least(versions.CHECK_SINCE):
            raise IncompatibleVersionError(
                f"version {network.cni_version} of the specification has no CHECK",
                f"network {network.name!r} needs cniVersion {versions.CHECK_SINCE} or newer",
            )
        wire = self.cache.result(network, attachment.key)
        if wire is None:
            raise NotAttachedError(
                "no result of an ADD is known",
                f"network {network.name!r}, container {attachment.container_id!r}, "
                f"interface {attachment.ifname!r}",
            )
        for plugin in network.plugins:
            request = derive(
                network, plugin, prev_result=wire, capability_args=attachment.capability_args
            )
            self._execute("CHECK", network, plugin, request, attachment)

    def delete(self, network: NetworkConfig, attachment: AttachmentParameters) -> None:
        """Detach a container: all plugins in reverse, and forget the attachment.

        Stops at the first failure, SPEC section 3, and remembers the attachment then.  One that
        is not known is deleted all the same, without ``prevResult``.
        """
        with self.cache.lock(), self.cache.lock_attachment(attachment.key):
            self._delete(network, attachment)

    # -- networks --------------------------------------------------------------------------

    def gc(self, network: NetworkConfig, valid: Collection[AttachmentKey]) -> None:
        """Release everything that the network holds for attachments other than ``valid``.

        First every remembered attachment that is not valid is deleted with the configuration
        and the parameters of its ADD (`AttachmentParameters.later`), in any version; then, from
        1.1.0 on, each plugin is run with GC.  Goes on after failures and raises them together as
        GCError.  An empty ``valid`` means that all of the network is to go.  Does nothing where
        the configuration has ``disableGC``.
        """
        if network.disable_gc:
            return
        valid = frozenset(valid)
        failures: list[CNIError] = []
        with self.cache.lock(exclusive=True):
            try:
                stale = self._stale(network.name, valid)
            except CNIError as err:
                stale = []
                failures.append(err)
            for attachment in stale:
                try:
                    parameters = attachment.parameters.later()
                    self._delete(_config_of(attachment, network), parameters)
                except CNIError as err:
                    failures.append(err)
            if network.at_least(versions.GC_SINCE):
                for plugin in network.plugins:
                    try:
                        self._execute("GC", network, plugin, derive(network, plugin, valid=valid))
                    except CNIError as err:
                        failures.append(err)
        if failures:
            raise GCError(network.name, failures)

    def _stale(self, network: str, valid: Collection[AttachmentKey]) -> list[CachedAttachment]:
        """Return the remembered attachments of a network that a GC with ``valid`` deletes."""
        return [a for a in self.cache.attachments(network=network) if a.key not in valid]

    def status(self, network: NetworkConfig) -> None:
        """Raise why the first plugin that is not ready could not serve an ADD.

        Versions before 1.1.0 have no STATUS; nothing is run for them.
        """
        if not network.at_least(versions.STATUS_SINCE):
            return
        for plugin in network.plugins:
            self._execute("STATUS", network, plugin, derive(network, plugin))

    # -- plugins ---------------------------------------------------------------------------

    def find(self, plugin: str) -> str:
        """Return the path of a plugin's executable; PluginNotFoundError says where it is not."""
        try:
            return invoke.find(plugin, self.plugin_dirs)
        except InvalidEnvironmentError as err:
            raise PluginNotFoundError(plugin, err.msg, err.details) from err

    def version(self, plugin: str) -> invoke.VersionInfo:
        """Ask a plugin which versions of the specification it speaks."""
        return invoke.version_info(
            self.find(plugin),
            environ=self.environ,
            cni_version=versions.CURRENT,
            stderr_fd=self.stderr_fd,
            timeout=self.timeout,
        )

    # -- steps -----------------------------------------------------------------------------

    def _check_new(self, network: NetworkConfig, attachment: AttachmentParameters) -> None:
        """SPEC section 2, ADD: not "twice (without an intervening DEL)" for one interface.

        The DEL that follows a failed ADD would take the existing attachment down.
        """
        path = self.cache.path(network.name, attachment.key)
        known = [self.cache.at(path), *self.cache.attachments(attachment.container_id)]
        for other in known:
            if other is not None and (other.path == path or other.key == attachment.key):
                raise AlreadyAttachedError(
                    f"interface {other.parameters.ifname!r} of container "
                    f"{other.parameters.container_id!r} is attached to network "
                    f"{other.network!r} already",
                    f"according to {other.path}",
                )

    def _add(
        self,
        network: NetworkConfig,
        plugin: PluginObject,
        executable: str,
        attachment: AttachmentParameters,
        before: dict[str, Any] | None,
    ) -> dict[str, Any]:
        request = derive(
            network, plugin, prev_result=before, capability_args=attachment.capability_args
        )
        stdout = self._execute("ADD", network, plugin, request, attachment, executable)
        try:
            return result.read(stdout, network.cni_version)
        except CNIError as err:
            raise ExecutionError("ADD", network.name, plugin.type, err) from err

    def _roll_back(
        self,
        network: NetworkConfig,
        executables: Iterable[str],
        attachment: AttachmentParameters,
        wire: dict[str, Any] | None,
    ) -> list[CNIError]:
        """Run the plugins of ``executables``, the network's first, with DEL, whatever fails.

        The last one goes first.  ``wire`` is the result as far as the ADD came: there is no final
        one.
        """
        failures: list[CNIError] = []
        if not network.at_least(versions.CHECK_SINCE):
            wire = None
        with cancel.shielded():
            for plugin, executable in reversed([*zip(network.plugins, executables, strict=False)]):
                request = derive(
                    network, plugin, prev_result=wire, capability_args=attachment.capability_args
                )
                try:
                    self._execute("DEL", network, plugin, request, attachment, executable)
                except CNIError as err:
                    failures.append(err)
        return failures

    def _delete(self, network: NetworkConfig, attachment: AttachmentParameters) -> None:
        wire = None
        # ``prevResult`` came to DEL with 0.4.0, as CHECK did.
        if network.at_least(versions.CHECK_SINCE):
            try:
                wire = self.cache.result(network, attachment.key)
            except CNIError as err:
                self.log(f"DEL goes on without prevResult: {err}")
        for plugin in reversed(network.plugins):
            request = derive(
                network, plugin, prev_result=wire, capability_args=attachment.capability_args
            )
            self._execute("DEL", network, plugin, request, attachment)
        self.cache.remove(network.name, attachment.key)

    def _execute(
        self,
        command: str,
        network: NetworkConfig,
        plugin: PluginObject,
        request: bytes,
        attachment: AttachmentParameters | None = None,
        executable: str = "",
    ) -> bytes:
        try:
            return invoke.execute(
                executable or self.find(plugin.type),
                environ={**self.environ, **variables(command, attachment, self.plugin_dirs)},
                stdin=request,
                stderr_fd=self.stderr_fd,
                timeout=self.timeout,
            )
        except CNIError as err:
            raise ExecutionError(command, network.name, plugin.type, err) from err


def _check_network(network: NetworkConfig) -> None:
    """Refuse what no plugin could make sense of, before any of them has run."""
    if problem := names.network_name_problem(network.name):
        raise InvalidNetworkConfigError(
            "invalid network name", f"$.name: {network.name!r} {problem}"
        )
    if network.cni_version not in versions.SUPPORTED:
        raise IncompatibleVersionError(
            f"version {network.cni_version!r} of the specification is not supported",
            f"network {network.name!r} may have {', '.join(versions.SUPPORTED)}",
        )


def _config_of(attachment: CachedAttachment, network: NetworkConfig) -> NetworkConfig:
    """Return the configuration that made an attachment, else the network's present one."""
    try:
        made_by = attachment.network_config()
    except CNIError:
        return network
    return made_by.with_drop_ins_of(network) if made_by.name == network.name else network
