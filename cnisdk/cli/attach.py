"""Verbs of one attachment: ``add``, ``check``, ``del``."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from cnisdk.cli.options import Settings, Wanted, with_attachment, with_settings
from cnisdk.runtime.defaults import NETNS_DIR

if TYPE_CHECKING:
    from cnisdk.runtime.attachment import AttachmentParameters
    from cnisdk.runtime.config import NetworkConfig

_current = click.option(
    "--current",
    is_flag=True,
    help="Use the configuration as it is in --config-dir now, not the one that ADD used.",
)


@click.command()
@click.argument("network")
@with_attachment(netns_required=True)
@with_settings
@click.option("--no-rollback", is_flag=True, help="Leave a failed ADD as it is, without DEL.")
def add(network: str, wanted: Wanted, settings: Settings, *, no_rollback: bool) -> None:
    """Attach the container in NETNS to NETWORK and print the result.

    NETNS is a path, or a name as in 'ip netns'.  When a plugin fails, what the others did is
    undone.
    """
    from cnisdk.errors import InvalidEnvironmentError
    from cnisdk.types import _json

    config = settings.network(network)
    if not os.path.exists(wanted.netns):
        directory, name = os.path.split(wanted.netns)
        how = f"'ip netns add {name}' makes one" if directory == NETNS_DIR else ""
        raise InvalidEnvironmentError(f"no network namespace {wanted.netns}", how)
    with _stoppable():
        result = settings.runtime().add(config, wanted.parameters(), rollback=not no_rollback)
    click.echo(_json.dumps(result, indent=4))


@click.command()
@click.argument("network")
@with_attachment(netns_required=False)
@with_settings
@_current
def check(network: str, wanted: Wanted, settings: Settings, *, current: bool) -> None:
    """Check that the attachment of the container to NETWORK is as ADD made it.

    Uses the configuration and the arguments of the ADD where nothing else is said.
    """
    config, parameters = _known(network, wanted, settings, current=current)
    if not parameters.netns:
        raise click.UsageError("NETNS is not known, or was a process's: say where the container is")
    if config.disable_check:
        click.echo(f"Note: network {network!r} has disableCheck, nothing was checked", err=True)
    settings.runtime().check(config, parameters)


@click.command("del")
@click.argument("network")
@with_attachment(netns_required=False)
@with_settings
@_current
def delete(network: str, wanted: Wanted, settings: Settings, *, current: bool) -> None:
    """Detach the container from NETWORK; succeeds if it is not attached.

    Uses the configuration and the arguments of the ADD where nothing else is said, so that
    everything it made goes away even if the file was changed since.
    """
    from cnisdk.errors import CNIError
    from cnisdk.runtime.directory import scan

    config, parameters = _known(network, wanted, settings, current=current)
    with suppress(CNIError):  # it may be there no more
        config = config.with_drop_ins_of(scan(settings.config_dir).find(config.name))
    settings.runtime().delete(config, parameters)


def _known(
    network: str, wanted: Wanted, settings: Settings, *, current: bool
) -> "tuple[NetworkConfig, AttachmentParameters]":
    """Return configuration and parameters as the ADD had them, as far as that is known."""
    from cnisdk.call import AttachmentKey
    from cnisdk.runtime.errors import BrokenConfigError

    key = AttachmentKey(wanted.container_id, wanted.ifname)
    known = settings.cache().find(network, key)
    if known is not None and not current:
        try:
            return known.network_config(), wanted.parameters(known.parameters)
        except BrokenConfigError as err:
            click.echo(f"Warning: {err}; using the one of {settings.config_dir}", err=True)
    parameters = wanted.parameters(known.parameters if known else None)
    return settings.network(network), parameters


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let a signal end an ADD in order: what was begun is undone."""
    from cnisdk import cancel

    token = cancel.Token()

    def stop(signum: int, frame: object) -> None:
        token.cancel(signal.Signals(signum).name)
        if token.interruptible and not token.shielded:
            token.check()

    stops = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {signum: signal.signal(signum, stop) for signum in stops}
    try:
        with cancel.cancellable(token):
            yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
