"""``python -m demo [DIRECTORY]``: tell the story with the plugins in ``DIRECTORY``."""

import sys
from pathlib import Path

import click

from cnisdk.conformance import private
from cnisdk.errors import CNIError
from demo import story

BUILT = Path(__file__).parents[1] / "dist" / "bin"


def main() -> int:
    """Return 0 if every step went well and nothing is left, 1 if not."""
    plugins = Path(sys.argv[1]) if len(sys.argv) > 1 else BUILT
    try:
        if not private.inside():
            private.enter(["-m", "demo", str(plugins.resolve())], what="The demo")
        story.tell(plugins)
    except private.RefusedError as err:
        click.echo(str(err), err=True)
        return 1
    except (CNIError, OSError, story.WrongError) as err:
        click.echo(f"\nThe demo failed: {err}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
