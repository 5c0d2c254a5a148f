"""The verbs of ``nexus3`` and their options. Thin: each imports what it runs when it runs."""

import math
from pathlib import Path

import click

from nexus3._version import __version__
from nexus3.wire.nearest import did_you_mean, quoted

_EXAMPLES = """\b
Examples:
  nexus3 demo                  watch six supervised actors stream, fail and recover
  nexus3 demo --plain | less   the same as text, line by line
  nexus3 check nexus3.toml     what a configuration means, and which keys are missing
  nexus3 loopback --port 8080  a local provider for any OpenAI or Anthropic client
  nexus3 record tape.jsonl     write down what your app and its provider say
  nexus3 replay tape.jsonl     and have it said again, offline
"""


class _Verbs(click.Group):
    """A group that knows what a mistyped verb was meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        verb = args[0]
        if not verb.startswith("-") and verb not in self.commands:
            raise click.UsageError(f"no such command: {quoted(verb)}{did_you_mean(verb, self.commands)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Verbs, epilog=_EXAMPLES, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
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

    It takes about eight seconds. Everything talks to the bundled local provider over real sockets: no key, no network
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
    short_help="Say what a configuration means.",
    epilog="""\b
Examples:
  nexus3 check
  nexus3 check nexus3.toml --strict
  nexus3 check --json | jq .providers
""",
)
@click.argument("file", required=False)
@click.option("--strict", is_flag=True, help="A missing key is a mistake, too.")
@click.option("--json", "as_json", is_flag=True, help="The same as data, for scripts.")
def check(file: str | None, strict: bool, as_json: bool) -> int:
    """Read a configuration as open_supervisor would, and print what it means; nothing is sent, no key is shown.

    FILE is JSON or TOML; without it, what NEXUS3_CONFIG names, else your own configuration. For each provider: where
    its requests go, where its key is found or what is missing, and which settings let requests go where they may not
    go by default. For each alias: what it leads to, and its fallbacks.

    Exit code 1 says that there is a mistake, which is named; with --strict, also that a key is missing.
    """
    from nexus3.cli.check import check as run
    from nexus3.errors import ConfigError

    try:
        return run(file, strict=strict, as_json=as_json)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


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


@nexus3.command(
    short_help="Record real traffic into a cassette.",
    epilog="""\b
Examples:
  nexus3 record tape.jsonl
  nexus3 record tape.jsonl --provider anthropic --port 8080
  nexus3 record tape.jsonl --config nexus3.toml
""",
)
@click.argument("cassette", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON or TOML; the default is your own configuration.",
)
@click.option("--provider", metavar="NAME", help="Which one; the default is the default model's, or the only one.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0, the default, takes a free one.")
def record(cassette: Path, config: Path | None, provider: str | None, port: int) -> None:
    """Stand between an application and a configured provider, and append what they say to CASSETTE; Ctrl-C stops.

    Prints the line to set in the application's environment. Completions are forwarded with the provider's configured
    key, so that the application needs none, or with the application's own where none is configured; answers come back
    piece by piece as they come.

    No key is ever stored: few headers are, and secrets are taken out of the rest. What your prompts and the answers
    say, is: the file is for your eyes only (mode 0600) until you decide otherwise.
    """
    import trio

    from nexus3.cli.record import choose_provider
    from nexus3.cli.record import record as run
    from nexus3.errors import ConfigError
    from nexus3.loopback import CassetteError

    try:
        trio.run(run, cassette, choose_provider(config, provider), port)
    except (ConfigError, CassetteError) as error:
        raise click.ClickException(str(error)) from None
    except BrokenPipeError:  # of standard output, and not ours to explain
        raise
    except OSError as error:
        raise click.ClickException(f"cannot record to {cassette} on 127.0.0.1:{port}: {error.strerror}") from None


def _speed(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    try:
        speed = 0.0 if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not 0 <= speed < math.inf:
        raise click.BadParameter(f"{text!r} is no factor: 1 as recorded, 2 twice as fast, 0 or max without waiting.")
    return speed


@nexus3.command(
    short_help="Replay a cassette, offline.",
    epilog="""\b
Examples:
  nexus3 replay tape.jsonl
  nexus3 replay tape.jsonl --port 8080 --speed max
  nexus3 replay tape.jsonl --strict-order
""",
)
@click.argument("cassette", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0, the default, takes a free one.")
@click.option(
    "--speed",
    metavar="FACTOR",
    default="1",
    callback=_speed,
    help="1, the default, is as recorded, 2 twice as fast; 0 or max does not wait.",
)
@click.option("--strict-order", is_flag=True, help="Each exchange once and in its turn; anything else is a miss.")
def replay(cassette: Path, port: int, speed: float, strict_order: bool) -> int:
    """Serve CASSETTE in the place of the provider that it was recorded from, and print the URL; Ctrl-C stops.

    A request is answered by the first recording with the same method, path and body that was not played yet, or else
    by the last of them. One that was not recorded gets an error that names the nearest recording and the first
    difference; where there was any, the exit code is 1.
    """
    import trio

    from nexus3.cli.replay import replay as run
    from nexus3.loopback import CassetteError

    async def serve() -> int:
        return await run(cassette, port, speed, strict_order=strict_order)

    try:
        return 1 if trio.run(serve) else 0
    except CassetteError as error:
        raise click.ClickException(str(error)) from None
    except BrokenPipeError:  # of standard output, and not ours to explain
        raise
    except OSError as error:
        raise click.ClickException(f"cannot replay {cassette} on 127.0.0.1:{port}: {error.strerror}") from None
