"""The hooks of the application: what they are called with, and how they are called so that none can hurt another."""

import inspect
import math
from collections import Counter
from collections.abc import Callable
from contextvars import Context, ContextVar
from time import monotonic
from typing import NamedTuple, Protocol

from nexus3.actors.tap import AttemptId
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.messages import JsonObject


class RawLogCallback(Protocol):
    """The four hooks of the original. Any of them may be missing; those that are inherited from here count as missing.

    They are plain functions, called in a thread of ours, one at a time, in the order of the wire; each in a copy of the
    context in which the request was made, so that a caller's context variables (structlog's included) tell whose it is,
    and :func:`logged_attempt` which it is. What they are given is theirs. One that raises is counted and logged; where
    they raise ten times in a row, none is called for half a minute. One that blocks delays other hooks only.

    Each attempt is one ``on_request``, and then one of two ends: ``on_response`` for an answer in one piece, or any
    number of ``on_chunk`` and an ``on_stream_complete`` for everything else, no answer at all included.
    """

    def on_request(self, endpoint: str, payload: JsonObject) -> None:  # noqa: ARG002 - for who overrides it
        """An attempt begins. ``endpoint`` is the URL without its query."""
        return

    def on_response(self, status: int, body: JsonObject) -> None:  # noqa: ARG002 - for who overrides it
        """An answer in one piece: of an error, or where no stream was asked for, or given."""
        return

    def on_chunk(self, chunk: JsonObject) -> None:  # noqa: ARG002 - for who overrides it
        """The data of one event of a stream."""
        return

    def on_stream_complete(self, summary: JsonObject) -> None:  # noqa: ARG002 - for who overrides it
        """The end of a stream, however it came; see ``docs/raw-log.md`` for the keys."""
        return


STRIKES = 10
"""A callback whose hooks raise so many times in a row is given a rest."""

REST = 30.0
"""Seconds in which it is not called: it would cost the run more than it gives."""

HOOKS = ("on_request", "on_response", "on_chunk", "on_stream_complete")


class LoggedAttempt(NamedTuple):
    """What a hook is being told about."""

    request: str
    """Unique within a supervisor, and on all log lines of the request."""
    attempt: int
    provider: str
    model: str
    time: float
    """Of what is told, as Unix time in seconds; the hook may be called later."""


_BEING_LOGGED: ContextVar[LoggedAttempt | None] = ContextVar("nexus3 logged attempt", default=None)


def logged_attempt() -> LoggedAttempt:
    """Which attempt the hook that asks is being told about.

    Raises:
        LookupError: no hook is being called here.
    """
    attempt = _BEING_LOGGED.get()
    if attempt is None:
        raise LookupError("logged_attempt() is for hooks of a raw log, while they are called")
    return attempt


class Hooks:
    """Calls those hooks that a callback has."""

    def __init__(self, callback: RawLogCallback, log: Log, counters: Counter[str]) -> None:
        """
        Raises:
            TypeError: it has none of the hooks, or one that is not a plain function.
        """
        self._hooks = {name: hook for name in HOOKS if (hook := _own_hook(callback, name)) is not None}
        if not self._hooks:
            raise TypeError(f"a raw log callback has one of {', '.join(HOOKS)}; {type(callback).__name__} has none")
        self._log = log
        self._counters = counters
        self._said: set[str] = set()
        self._strikes = 0
        self._rest_until = -math.inf

    def wants(self, name: str) -> bool:
        """The hook is there, and is not resting. Whoever asks has something for it."""
        if name not in self._hooks:
            return False
        if self.are_resting:
            self._counters["raw_log.skipped"] += 1
            return False
        return True

    @property
    def are_resting(self) -> bool:
        """None is called now. From any thread."""
        return self._rest_until > monotonic()

    def call(self, context: Context, about: AttemptId, time: float, name: str, *args: object) -> None:
        """Call one hook, where it is there. Never raises."""
        if not self.wants(name):
            return
        try:
            context.run(_call, self._hooks[name], LoggedAttempt(*about, time), args)
            self._strikes = 0
        except BaseException as error:  # noqa: BLE001 - SystemExit, too, would end the thread for the other hooks
            self._counters["raw_log.raised"] += 1
            self._strikes += 1
            if self._strikes >= STRIKES:
                self._rest_until = monotonic() + REST
            if name not in self._said:
                self._said.add(name)
                # The type alone: the message of a foreign exception may quote what was logged.
                self._log(catalog.RAW_LOG_RAISED, {"hook": name, "error": type(error).__name__})


def _call(hook: Callable[..., object], attempt: LoggedAttempt, args: tuple[object, ...]) -> None:
    _BEING_LOGGED.set(attempt)
    hook(*args)


def _own_hook(callback: object, name: str) -> Callable[..., object] | None:
    hook: object = getattr(callback, name, None)
    if hook is None or getattr(hook, "__func__", None) is getattr(RawLogCallback, name):
        return None
    if not callable(hook) or inspect.iscoroutinefunction(hook):
        raise TypeError(f"{type(callback).__name__}.{name} must be a plain function: it is called in a thread")
    return hook
