"""Options that a plugin's executable has in common with ``cnisdk``.

What cnitool or a runtime has in a variable is read from it too; what is typed wins.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cnisdk.runtime import defaults

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

config_dir_option = click.option(
    "--config-dir",
    metavar="DIR",
    envvar="NETCONFPATH",
    default=defaults.CONFIG_DIR,
    show_default=True,
    show_envvar=True,
    help="Directory of network configurations.",
)

cache_dir_option = click.option(
    "--cache-dir",
    metavar="DIR",
    default=defaults.CACHE_DIR,
    show_default=True,
    help="Directory in which attachments are remembered.",
)

ifname_option = click.option(
    "-i",
    "--ifname",
    envvar="CNI_IFNAME",
    default="eth0",
    show_default=True,
    show_envvar=True,
    help="Name of the interface in the container.",
)


def cni_path_option(text: str) -> Callable[[CommandT], CommandT]:
    """Return the option for directories of plugins; ``text`` says of which, and the default.

    The command gets ``""`` where nothing was said.
    """
    return click.option(
        "--cni-path", metavar="DIRS", envvar="CNI_PATH", default="", show_envvar=True, help=text
    )
