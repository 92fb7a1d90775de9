"""What a runtime remembers of its attachments, in the Go library's own files.

``<directory>/results/<network>-<container>-<ifname>`` holds one attachment: how it was made and
what came of it.  Files of the Go library are read, and it reads ours.  They are written to a
temporary name and renamed, since a node that lost power has left the Go library with empty
files (containernetworking/cni#1055); an empty file is read as none.

The directory is also what excludes GC from ADD and DEL, by flock(2) on itself.  A plugin that
runs plugins by this library must have a cache directory of its own.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from cnisdk import cancel
from cnisdk.call import AttachmentKey
from cnisdk.errors import CNIError, DecodingError, InvalidEnvironmentError, IOFailureError
from cnisdk.runtime import result
from cnisdk.runtime.attachment import AttachmentParameters
from cnisdk.runtime.config import NetworkConfig
from cnisdk.runtime.defaults import CACHE_DIR
from cnisdk.types import _json

KIND = "cniCacheV1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAttachment:
    """One attachment as its ADD left it."""

    network: str
    """Name of the network."""
    parameters: AttachmentParameters
    """What the ADD was given."""
    config: bytes = b""
    """The network configuration that it used."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What it answered."""
    path: str = ""
    """The file that says so."""

    @property
    def key(self) -> AttachmentKey:
        """What identifies the attachment within its network."""
        return self.parameters.key

    def network_config(self) -> NetworkConfig:
        """Return the configuration of the ADD, drop-ins as they were; BrokenConfigError if none."""
        try:
            is_list = "plugins" in _json.loads(self.config)
        except (ValueError, TypeError):
            is_list = True
        read = NetworkConfig.parse if is_list else NetworkConfig.parse_single
        return read(self.config, self.path)


class Cache:
    """The attachments of one runtime."""

    def __init__(self, directory: str = CACHE_DIR) -> None:
        self.directory = directory
        self.results = os.path.join(directory, "results")

    def path(self, network: str, key: AttachmentKey) -> str:
        """Return the file of an attachment, existing or not."""
        parts = {"network name": network, "container ID": key.container_id}
        parts["interface name"] = key.ifname
        for what, text in parts.items():
            if not text or "/" in text or "\0" in text:
                raise InvalidEnvironmentError(f"invalid {what} for a cache file", repr(text))
        return os.path.join(self.results, "-".join(parts.values()))

    def write(
        self, network: NetworkConfig, parameters: AttachmentParameters, wire: Mapping[str, Any]
    ) -> None:
        """Remember an attachment; all of it is on disk when this returns."""
        path = self.path(network.name, parameters.key)
        config = base64.b64encode(network.dumps().encode()).decode()
        entry: dict[str, Any] = {"kind": KIND, "containerId": parameters.container_id}
        entry |= {"config": config, "ifName": parameters.ifname, "networkName": network.name}
        if parameters.netns:
            entry["netns"] = parameters.netns
        if parameters.args:
            entry["cniArgs"] = [list(pair) for pair in parameters.args]
        if parameters.capability_args:
            entry["capabilityArgs"] = dict(parameters.capability_args)
        entry["result"] = wire
        try:
            self._make()
            _replace(path, _json.dumps(entry).encode())
        except OSError as err:
            raise IOFailureError(f"cannot write {path}", str(err.strerror)) from err

    def result(self, network: NetworkConfig, key: AttachmentKey) -> dict[str, Any] | None:
        """Return the result of an attachment's ADD in the network's version; None if unknown.

        A file that holds a bare result, as the Go library once wrote it, is read too.  Raises
        DecodingError for a file that is no result.
        """
        path = self.path(network.name, key)
        entry = _read(path)
        if entry is None:
            return None
        wire: Any = entry
        if entry.get("kind") == KIND:
            if not _is_of(entry, network.name, key):
                return None
            wire = entry.get("result")
            if wire is None:
                return None
        try:
            if not isinstance(wire, dict):
                raise DecodingError("the result is not a JSON object", repr(wire)[:200])
            return result.in_version(wire, network.cni_version)
        except CNIError as err:
            raise DecodingError(f"no usable result in {path}", str(err)) from err

    def find(self, network: str, key: AttachmentKey) -> CachedAttachment | None:
        """Return an attachment, None if there is none or its file is not to be understood."""
        found = self.at(self.path(network, key))
        return found if found and (found.network, found.key) == (network, key) else None

    def at(self, path: str) -> CachedAttachment | None:
        """Return the attachment a file holds: names with ``-`` in them can share a file."""
        try:
            entry = _read(path)
        except CNIError:
            return None
        return None if entry is None else _attachment(entry, path)

    def attachments(self, container_id: str = "", network: str = "") -> list[CachedAttachment]:
        """Return the attachments of a container, of a network, or all, ordered by file name.

        Files that are not to be understood are passed over.
        """
        try:
            listed = sorted(os.listdir(self.results))
        except FileNotFoundError:
            return []
        except OSError as err:
            raise IOFailureError(f"cannot read {self.results}", str(err.strerror)) from err
        found = []
        for name in listed:
            if name.startswith(".") or f"-{container_id}" not in name:
                continue
            entry = self.at(os.path.join(self.results, name))
            if (
                entry is not None
                and container_id in ("", entry.parameters.container_id)
                and network in ("", entry.network)
            ):
                found.append(entry)
        return found

    def remove(self, network: str, key: AttachmentKey) -> None:
        """Forget an attachment; one that is not known is forgotten already."""
        path = self.path(network, key)
        holder = self.at(path)
        if holder is not None and (holder.network, holder.key) != (network, key):
            return
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as err:
            raise IOFailureError(f"cannot remove {path}", str(err.strerror)) from err

    @contextmanager
    def lock(self, *, exclusive: bool = False, create: bool = False) -> Iterator[None]:
        """Keep GC (``exclusive``) and everything else apart; see flock(2).

        SPEC section 3: "the runtime must ensure that no other operation (e.g. ADD or DEL) is in
        progress" during GC.  Without ``create`` a directory that does not exist, or that the
        caller may not read, is not locked.
        """
        import fcntl

        try:
            if create:
                self._make()
            fd = os.open(self.results, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as err:
            if create:
                raise IOFailureError(f"cannot use {self.results}", str(err.strerror)) from err
            yield
            return
        try:
            with cancel.interruptible():
                fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def lock_attachment(self, key: AttachmentKey) -> Iterator[None]:
        """Keep the ADDs and DELs of one attachment apart, within `lock`.

        Of two ADDs at once one fails, and the DEL that follows would take away what the other
        made.  The lock is a file that is gone afterwards; where none can be made, because nothing
        was ever remembered here or may be, nothing is locked.
        """
        import fcntl

        name = hashlib.sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()
        path = os.path.join(self.results, f".{name[:32]}.lock")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            try:
                fd = os.open(path, flags, 0o600)
            except OSError:
                yield
                return
            try:
                with cancel.interruptible():
                    fcntl.flock(fd, fcntl.LOCK_EX)
                if _is_at(fd, path):
                    break
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # whoever had it has taken it away
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(path)
            os.close(fd)

    def _make(self) -> None:
        os.makedirs(self.results, mode=0o700, exist_ok=True)


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _read(path: str) -> dict[str, Any] | None:
    """Return the object in a cache file, None if there is none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as err:
        raise IOFailureError(f"cannot read {path}", str(err.strerror)) from err
    if not data.strip():
        return None
    try:
        entry = _json.loads(data)
    except ValueError as err:
        raise DecodingError(f"{path} is not JSON", str(err)) from err
    if not isinstance(entry, dict):
        raise DecodingError(f"{path} is not a JSON object")
    return entry


def _is_of(entry: Mapping[str, Any], network: str, key: AttachmentKey) -> bool:
    """Say whether a file is this attachment's; a key that it lacks does not tell it apart."""
    said = {"networkName": network, "containerId": key.container_id, "ifName": key.ifname}
    return all(entry.get(name) in (None, "", text) for name, text in said.items())


def _attachment(entry: Mapping[str, Any], path: str) -> CachedAttachment | None:
    """Return what a cache file says, None where the Go library would not take it."""
    if entry.get("kind") != KIND:
        return None
    texts = [entry.get(key) or "" for key in ("networkName", "containerId", "ifName", "netns")]
    pairs = entry.get("cniArgs") or []
    capability_args = entry.get("capabilityArgs") or {}
    wire = entry.get("result") or {}
    if not (
        all(isinstance(text, str) for text in texts)
        and all(texts[:3])
        and isinstance(pairs, list)
        and all(isinstance(p, list) and len(p) == 2 for p in pairs)
        and all(isinstance(text, str) for pair in pairs for text in pair)
        and isinstance(capability_args, dict)
        and isinstance(wire, dict)
    ):
        return None
    try:
        config = base64.b64decode(entry.get("config") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None
    network, container_id, ifname, netns = texts
    parameters = AttachmentParameters(
        container_id=container_id,
        ifname=ifname,
        netns=netns,
        args=tuple((key, value) for key, value in pairs),
        capability_args=capability_args,
    )
    return CachedAttachment(
        network=network, parameters=parameters, config=config, result=wire, path=path
    )


def _replace(path: str, data: bytes) -> None:
    """Put ``data`` into a file that a reader sees in full or not at all, whatever happens."""
    directory = os.path.dirname(path)
    # No reader takes a name with a leading dot, nor does the Go library's match "-<id>-".
    temporary = os.path.join(directory, f".{os.getpid()}.{os.urandom(6).hex()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)
