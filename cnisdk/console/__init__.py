"""What a person types: every plugin executable with a verb, ``bridge add 2e34dcf34 NETNS``.

A person has no runtime to set variables, keep results and write configurations, so this does what
one would: `choice` finds the configuration, `netns` the namespace, `attachments` remembers in the
cache that runtimes use, and `process` makes the call exactly as if one had executed the plugin.

``cnisdk.runner.main`` comes here when it was given a verb.  On the path of a runtime's call
nothing of this is imported.
"""

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from cnisdk.call import Served
    from cnisdk.plugin import Plugin


def main(plugin: "type[Plugin[Any]]", served: "Served | None" = None) -> "NoReturn":
    """Do what sys.argv says with ``plugin`` and exit; ``served`` is as in `cnisdk.call.Call`."""
    import sys

    from cnisdk.console.command import command_of
    from cnisdk.console.subject import Subject, name_of

    subject = Subject(plugin, name_of(sys.argv[0]), sys.argv[0], served)
    command_of(subject).main(prog_name=subject.name)
    raise AssertionError("click exits")
