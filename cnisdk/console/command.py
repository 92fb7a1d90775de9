"""The command that a plugin executable is when it is given a verb; with click.

stdout has the result and nothing else, stderr what a person wants to know beside it.  Status 0 is
success, 1 a failure, 2 that it was typed wrongly.
"""

from dataclasses import replace

import click

from cnisdk import names
from cnisdk.call import AttachmentKey
from cnisdk.console import attachments, choice as choices, netns, table
from cnisdk.console.advice import Situation, explain
from cnisdk.console.attachments import Known
from cnisdk.console.choice import Choice
from cnisdk.console.options import (
    Typed,
    human_option,
    netns_path,
    note,
    noted,
    with_attachment,
    with_settings,
)
from cnisdk.console.subject import Subject, listed
from cnisdk.errors import CNIError
from cnisdk.runtime.attachment import AttachmentParameters
from cnisdk.runtime.defaults import CONFIG_DIR
from cnisdk.types import _json


class Explained(click.Group):
    """Verbs whose failure is explained on stderr, with status 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except CNIError as err:
            click.echo(explain(err, _situation(ctx)), err=True)
        raise click.exceptions.Exit(1)


def _situation(ctx: click.Context) -> Situation:
    """Return what is known of the command that failed, as far as it came."""
    return Situation(ctx.obj, ctx.invoked_subcommand or "", **noted(ctx))


def command_of(subject: Subject) -> click.Group:
    """Return the command of a plugin."""
    doc = (subject.plugin.__doc__ or "").strip().partition("\n")[0]
    group = Explained(
        name=subject.name,
        help=f"{doc}\n\nA CNI plugin (versions {', '.join(subject.plugin.versions)}); these verbs "
        "do what a container runtime does with it.",
        epilog="NETNS is a path, a name as in 'ip netns', pid:NUMBER, docker:NAME or podman:NAME.  "
        f"Without --config the first network of {CONFIG_DIR} that uses {subject.name} is "
        "taken, else its documented default.",
        context_settings={"help_option_names": ["-h", "--help"], "obj": subject},
    )
    for command in (add, check, delete, gc, schema, status, version):
        group.add_command(command)
    return group


# -- verbs of one attachment -------------------------------------------------------------------


@click.command()
@with_settings
@with_attachment
@click.argument("netns_", metavar="NETNS")
@human_option
def add(typed: Typed, netns_: str, wanted: AttachmentParameters, *, human: bool) -> None:
    """Attach the container CID in NETNS and print the result.

    The attachment is remembered, where runtimes remember theirs, for check and del.
    """
    note(attachment=_named(wanted, netns_))
    wanted = replace(wanted, netns=netns_path(netns_))
    choice = _declaring(typed, typed.choose(), wanted)
    note(where=choice.where)
    wire = attachments.add(typed.subject, typed.cache, choice, wanted, typed.say)
    click.echo(table.of_result(wire) if human else _json.dumps(wire, indent=4))


@click.command()
@with_settings
@with_attachment
@click.argument("netns_", metavar="[NETNS]", default="")
@human_option
def check(typed: Typed, netns_: str, wanted: AttachmentParameters, *, human: bool) -> None:
    """Check that the container CID is attached as add left it.

    Uses the namespace, the configuration and the arguments of add where nothing else is typed.
    """
    note(attachment=_named(wanted, netns_))
    if netns_:
        wanted = replace(wanted, netns=netns_path(netns_))
    choice = typed.choose() if typed.config else None
    known = attachments.find(typed.cache, wanted.key, choice.network.name if choice else "")
    if choice is None and known is not None:
        _tell(typed, known)
    note(where=choice.where if choice else known.path if known else "")
    recalled = attachments.recalled(known, wanted)
    if known is not None and not recalled.netns:  # of a process, which may be there still
        recalled = replace(recalled, netns=known.parameters.netns)
    attachments.check(typed.subject, known, choice, recalled)
    if human:
        click.echo(f"{wanted.ifname} of {wanted.container_id} is as add left it")


@click.command("del")
@with_settings
@with_attachment
@click.argument("netns_", metavar="[NETNS]", default="")
@human_option
def delete(typed: Typed, netns_: str, wanted: AttachmentParameters, *, human: bool) -> None:
    """Detach the container CID; succeeds if it is not attached.

    Uses the namespace, the configuration and the arguments of add where nothing else is typed.
    The namespace may be gone.
    """
    note(attachment=_named(wanted, netns_))
    if netns_:
        try:
            wanted = replace(wanted, netns=netns_path(netns_))
        except netns.GoneError as err:
            typed.say(f"{err.msg}: going on without")
    choice = typed.choose() if typed.config else None
    known = _remembered(typed, wanted.key, choice)
    if choice is None and known is not None and known.made_by(typed.subject):
        _tell(typed, known)
        note(where=known.path)
    else:
        typed.say(f"not known to be attached by {typed.subject.name}: deleting all the same")
        for other in typed.cache.attachments(wanted.container_id):
            if other.key != wanted.key:
                typed.say(f"{other.key.container_id} is attached with --ifname {other.key.ifname}")
        choice = choice or typed.choose()
        note(where=choice.where)
    recalled = attachments.recalled(known, wanted)
    if netns_:
        recalled = replace(recalled, netns=wanted.netns)
    elif known is not None and known.parameters.netns and not recalled.netns:
        typed.say(
            f"going on without a namespace: {known.parameters.netns} may be another's by now; "
            "type it if it is not"
        )
    attachments.delete(typed.subject, typed.cache, known, choice, recalled, typed.say)
    if human:
        click.echo(f"{wanted.ifname} of {wanted.container_id} is detached")


def _remembered(typed: Typed, key: AttachmentKey, choice: Choice | None) -> Known | None:
    try:
        return attachments.find(typed.cache, key, choice.network.name if choice else "")
    except CNIError as err:
        typed.say(f"what is remembered cannot be used: {err}")
        return None


def _tell(typed: Typed, known: Known) -> None:
    typed.say(f"configuration: network {known.network.name!r} as add used it, of {known.path}")
    others = [part for part in known.network.plugins if part.type != typed.subject.name]
    if others:
        typed.say(f"attached by other plugins too, which are not called: {listed(others)}")


def _named(wanted: AttachmentParameters, netns_: str) -> tuple[str, ...]:
    """Return the arguments that name an attachment again."""
    usual = wanted.ifname == "eth0"
    named = (wanted.container_id, *([netns_] if netns_ else []))
    return named if usual else (*named, "--ifname", wanted.ifname)


def _declaring(typed: Typed, choice: Choice, wanted: AttachmentParameters) -> Choice:
    """Return the choice with the capabilities declared that were typed.

    A runtime tells a plugin only what its configuration asks for; a person asks by typing.
    """
    missing = [name for name in wanted.capability_args if name not in choice.part.capabilities]
    if not missing:
        return choice
    typed.say(
        f"passing {', '.join(missing)} though the configuration declares no such capability: a "
        "runtime would not"
    )
    declared = {**(choice.part.raw.get("capabilities") or {}), **dict.fromkeys(missing, True)}
    part = replace(choice.part, raw={**choice.part.raw, "capabilities": declared})
    return choice._replace(network=choices.alone(choice.network, [part]))


# -- verbs of a network ------------------------------------------------------------------------


@click.command()
@with_settings
@click.option(
    "--valid",
    metavar="CID[:IFNAME]",
    multiple=True,
    help="An attachment that is still in use; without IFNAME, eth0.  Repeat it.",
)
@click.option("--known", is_flag=True, help="Those that are remembered are still in use.")
@click.option("--all", "all_", is_flag=True, help="Nothing is in use any more: release everything.")
@human_option
def gc(typed: Typed, valid: tuple[str, ...], *, known: bool, all_: bool, human: bool) -> None:
    """Release what the network holds for attachments that are not in use.

    What is not named by --valid or --known loses its network, so one of them, or --all, has to be
    typed: a runtime may remember its attachments elsewhere.
    """
    if all_ == bool(valid or known):
        raise click.UsageError(
            "say what is still in use with --valid or --known, or --all if nothing is"
        )
    keys = {_valid(text) for text in valid}
    choice = typed.choose()
    note(where=choice.where)
    if known:
        keys |= {found.key for found in typed.cache.attachments(network=choice.network.name)}
    kept = ", ".join(f"{key.container_id}:{key.ifname}" for key in sorted(keys))
    typed.say(f"still in use: {kept or 'nothing'}")
    attachments.gc(typed.subject, typed.cache, choice, keys)
    if human:
        click.echo(f"{choice.network.name} holds nothing else any more")


def _valid(text: str) -> AttachmentKey:
    container_id, _, ifname = text.partition(":")
    ifname = ifname or "eth0"
    problem = names.container_id_problem(container_id) or names.ifname_problem(ifname)
    if problem:
        raise click.BadParameter(f"{text!r} {problem}", param_hint="--valid")
    return AttachmentKey(container_id, ifname)


@click.command()
@with_settings
@human_option
def status(typed: Typed, *, human: bool) -> None:
    """Ask the plugin whether it could attach a container now."""
    choice = typed.choose()
    note(where=choice.where)
    attachments.status(typed.subject, choice)
    if human:
        click.echo(f"{typed.subject.name} can attach containers to {choice.network.name}")


# -- verbs of the plugin -----------------------------------------------------------------------


@click.command()
@click.pass_obj
@human_option
def version(subject: Subject, *, human: bool) -> None:
    """Print the versions of the specification that the plugin speaks."""
    spoken = list(subject.plugin.versions)
    answer = {"cniVersion": spoken[-1], "supportedVersions": spoken}
    click.echo(f"{subject.name}: CNI {', '.join(spoken)}" if human else _json.dumps(answer))


@click.command()
@click.option(
    "--strict",
    is_flag=True,
    help="Forbid keys that the plugin does not declare: editors show typos.",
)
@click.pass_obj
@human_option
def schema(subject: Subject, *, strict: bool, human: bool) -> None:
    """Print the JSON Schema of the plugin's configuration.

    Keys that are not declared are allowed, as the specification wants it, unless --strict.
    """
    from cnisdk.types.schema import closed, plugin_schema

    about = subject.plugin.__doc__ or ""
    made = plugin_schema(subject.plugin.config_type, name=subject.name, about=about)
    made = closed(made) if strict else made
    click.echo(table.of_schema(made) if human else _json.dumps(made, indent=2))
