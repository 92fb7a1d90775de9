"""Verbs of a network as a whole: ``gc`` and ``status``."""

import os
from typing import TYPE_CHECKING

import click

from cnisdk.cli.options import Settings, with_settings

if TYPE_CHECKING:
    from cnisdk.call import AttachmentKey


@click.command()
@click.argument("network")
@click.option(
    "--valid",
    metavar="CONTAINERID[:IFNAME]",
    multiple=True,
    help="An attachment that is still in use; without IFNAME all of the container's.  Repeat it.",
)
@click.option("--all", "all_", is_flag=True, help="Nothing is in use any more: release everything.")
@with_settings
def gc(network: str, valid: tuple[str, ...], settings: Settings, *, all_: bool) -> None:
    """Release what NETWORK holds for attachments other than those named by --valid."""
    if bool(valid) == all_:
        raise click.UsageError(
            "say what is still in use with --valid, or --all if nothing is"
            if not valid
            else "--valid says that something is in use, --all that nothing is"
        )
    config = settings.network(network)
    if config.disable_gc:
        click.echo(f"Note: network {network!r} has disableGC, nothing was released", err=True)
    keys = {key for text in valid for key in _valid(network, text, settings)}
    settings.runtime().gc(config, keys)


def _valid(network: str, text: str, settings: Settings) -> "list[AttachmentKey]":
    """Return the attachments that one --valid names; of a container alone, every one known.

    eth0, or CNI_IFNAME, is named as well: an attachment may be unknown to the cache.
    """
    from cnisdk import names
    from cnisdk.call import AttachmentKey

    container_id, colon, ifname = text.partition(":")
    if problem := names.container_id_problem(container_id):
        raise click.BadParameter(f"container ID {container_id!r} {problem}", param_hint="--valid")
    if colon:
        if problem := names.ifname_problem(ifname):
            raise click.BadParameter(f"interface {ifname!r} {problem}", param_hint="--valid")
        return [AttachmentKey(container_id, ifname)]
    known = settings.cache().attachments(container_id, network)
    usual = AttachmentKey(container_id, os.environ.get("CNI_IFNAME") or "eth0")
    return [usual, *(attachment.key for attachment in known)]


@click.command()
@click.argument("network")
@with_settings
def status(network: str, settings: Settings) -> None:
    """Ask the plugins of NETWORK whether they could attach a container now."""
    from cnisdk import versions

    config = settings.network(network)
    if not config.at_least(versions.STATUS_SINCE):
        click.echo(
            f"Note: version {config.cni_version} has no STATUS, no plugin was asked", err=True
        )
    settings.runtime().status(config)
