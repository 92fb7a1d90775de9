"""The command line: ``cnisdk add|del|check|gc|status|version|validate|list``.

A superset of the Go project's cnitool, with the same environment variables.  Results go to
stdout, errors and what to do about them to stderr; the exit status is 1 for a failure and 2 for
a command that was typed wrongly.
"""


def main() -> None:
    """Run the command that ``sys.argv`` says, and exit."""
    from cnisdk.cli.group import cnisdk

    cnisdk(prog_name="cnisdk")
