"""The verbs of ``nexus3`` and their options. Thin: each imports what it runs when it runs."""

import click

from nexus3._version import __version__

_EXAMPLES = """\b
Examples:
  nexus3 demo                  watch six supervised actors stream, fail and recover
  nexus3 demo --plain | less   the same as text, line by line
  nexus3 loopback --port 8080  a local provider for any OpenAI or Anthropic client
"""


@click.group(epilog=_EXAMPLES, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def nexus3(context: click.Context) -> None:
    """The LLM runtime for trio: every provider a supervised actor, every request exactly one terminal event."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@nexus3.command(
    short_help="Watch actors stream, fail and recover.",
    epilog="""\b
Examples:
  nexus3 demo
  NO_COLOR=1 nexus3 demo
  nexus3 demo --plain > demo.txt
  NEXUS3_TRANSCRIPTS=recordings/ nexus3 demo
""",
)
@click.option(
    "--plain", is_flag=True, help="Text line by line, without colours; the default where stdout is no terminal."
)
def demo(plain: bool) -> int:
    """Stream from six providers at once, call a tool, retry, crash an actor, cancel a stream.

    It takes about six seconds. Everything talks to the bundled local provider over real sockets: no key, no network
    beyond this machine. Each act checks its own facts. Exit code 0 says that all of them held; else it is 1, and the
    failed ones are named.

    Where NEXUS3_TRANSCRIPTS names a folder of recorded provider answers, five of them are replayed as well.
    """
    import os

    import trio

    from nexus3.cli.demo.recordings import choose, find_folder
    from nexus3.cli.demo.run import run_demo
    from nexus3.cli.demo.screen import open_screen

    recordings = choose(find_folder(os.environ.get("NEXUS3_TRANSCRIPTS")))
    checks = trio.run(run_demo, open_screen(plain=plain), recordings)
    return 0 if checks.all_passed else 1


@nexus3.command(
    short_help="Run the bundled local provider.",
    epilog="""\b
Examples:
  nexus3 loopback
  nexus3 loopback --port 8080
  curl http://127.0.0.1:8080/v1/chat/completions \\
    -d '{"model": "local-echo", "messages": [{"role": "user", "content": "Hello"}]}'
""",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0, the default, takes a free one.")
def loopback(port: int) -> None:
    """Run the bundled local provider in the foreground and print its URL; Ctrl-C stops it.

    It speaks the dialects of OpenAI and Anthropic and repeats what it is told. Some model ids select a fault, for
    example status-529, cut-3 or stall-2; python -m pydoc nexus3.loopback.echo lists them.
    """
    import trio

    from nexus3.cli.serve import serve

    try:
        trio.run(serve, port)
    except BrokenPipeError:  # of standard output, and not ours to explain
        raise
    except OSError as error:
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
