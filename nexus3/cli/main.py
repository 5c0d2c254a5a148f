"""The console script ``nexus3``: what every way in and out of the command line has in common.

Click and rich come with the extra ``cli``; nothing is imported from them before :func:`main` runs.

Exit codes: 0 as told; 1 failed; 2 wrong usage, or the extra is missing; 130 interrupted.
"""

import os
import sys

# By their own names: what the extra is to be asked of is a clone's folder here, a wheel's path there.
MISSING = "The command line needs click and rich, which the extra 'cli' brings: pip install click rich"


def main() -> None:
    """Run the command line and exit with its code."""
    code = 0
    try:
        code = _run()
    # Groups too: trio's nurseries wrap what is raised while they are open.
    except* KeyboardInterrupt:
        print(file=sys.stderr)
        code = 130
    except* BrokenPipeError:
        # Whoever read us has left; what the interpreter still flushes at exit must not hit the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def _run() -> int:
    try:
        import click
        import rich  # noqa: F401 - the demo's; asked for here, before anything has begun
    except ModuleNotFoundError:
        print(MISSING, file=sys.stderr)
        return 2
    from nexus3.cli.commands import nexus3

    try:
        # Not click's standalone mode: that would end an interrupt with "Aborted!" and code 1.
        code: object = nexus3.main(prog_name="nexus3", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    return code if isinstance(code, int) else 0
