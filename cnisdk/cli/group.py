"""The command ``cnisdk``; a verb's module is imported when that verb is typed."""

from importlib import import_module

import click

# Verb: where its command is, and its line in the help.
COMMANDS = {
    "add": ("cnisdk.cli.attach:add", "Attach a container to a network and print the result."),
    "agent": ("cnisdk.cli.agent:agent", "Serve installed plugins from one resident process."),
    "build": ("cnisdk.cli.build:build", "Make executables of plugin projects."),
    "calls": ("cnisdk.cli.calls:calls", "Look at the calls that were recorded."),
    "check": ("cnisdk.cli.attach:check", "Check that an attachment is as ADD made it."),
    "conformance": (
        "cnisdk.cli.conformance:conformance",
        "Hold any plugin to the specification.",
    ),
    "del": ("cnisdk.cli.attach:delete", "Detach a container from a network."),
    "doctor": ("cnisdk.cli.doctor:doctor", "Find what stops a node's plugins from working."),
    "gc": ("cnisdk.cli.network:gc", "Release what a network holds for containers now gone."),
    "install": ("cnisdk.cli.install:install", "Put plugins and networks on a node."),
    "list": ("cnisdk.cli.show:list_", "Show networks and what is attached to them."),
    "new": ("cnisdk.cli.new:new", "Begin a plugin: make its project."),
    "record": ("cnisdk.cli.record:record", "Keep the calls that a runtime makes of a plugin."),
    "replay": ("cnisdk.cli.replay:replay", "Run a recorded call again, on a private host."),
    "schema": ("cnisdk.cli.schema:schema", "Show what a configuration may say, for editors."),
    "show": ("cnisdk.cli.picture:show", "Draw the networks of this node as they are now."),
    "status": ("cnisdk.cli.network:status", "Ask whether a network can take a container."),
    "stories": ("cnisdk.cli.stories:stories", "Play a runtime and see what a plugin leaves."),
    "sweep": ("cnisdk.cli.sweep:sweep", "Interrupt an ADD everywhere and see what DEL leaves."),
    "try": ("cnisdk.cli.try_:try_", "Show a network at work, on a private host."),
    "validate": ("cnisdk.cli.validate:validate", "Find what is wrong with configurations."),
    "version": ("cnisdk.cli.show:version", "Show our version and those that plugins speak."),
}


class LazyGroup(click.Group):
    """Commands out of `COMMANDS`; help needs none of their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of a verb, None for no verb."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs of the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; a failure becomes an explanation on stderr and status 1."""
        from cnisdk.cancel import Cancelled
        from cnisdk.errors import CNIError

        try:
            return super().invoke(ctx)
        except CNIError as err:
            from cnisdk.cli.report import explain

            click.echo(explain(err), err=True)
        except Cancelled as err:
            click.echo(f"Error: stopped by {err}", err=True)
        raise click.exceptions.Exit(1)


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Networks are read from /etc/cni/net.d (NETCONFPATH), plugins from /opt/cni/bin and "
    "/usr/lib/cni (CNI_PATH).",
)
def cnisdk() -> None:
    """Attach containers to CNI networks, as a container runtime does."""
