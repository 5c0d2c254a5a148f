"""Runs one schedule in virtual time and writes down everything that can be seen from outside."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest import mock

import structlog
import trio
import trio._core._run
import trio.testing

import nexus3.actors.reply.stream
import nexus3.runtime
from nexus3 import (
    CompletionRequest,
    ConfigError,
    Message,
    ProviderConfig,
    ProviderError,
    Role,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
    Supervisor,
    SupervisorEscalated,
    open_supervisor,
)
from nexus3.actors.provider import ActorFault
from nexus3.actors.reply.stream import ReplyStream
from nexus3.actors.slot.snapshot import Snapshot
from nexus3.loopback import Answer, ErrorEvent
from nexus3.supervisor.child import ChildStopped
from nexus3.testing import Chunk, Exchange, ScriptedNetwork, Sent, Step, crash
from nexus3.testing.spoken import spoken
from tests.schedules.plan import Attempt, Operation, Request, Schedule
from tests.schedules.watchdog import real_time_limit

EPSILON = 1e-6
"""Virtual seconds. The virtual clock stands still while anything can run, so that on time is exact."""
HORIZON = 2_000.0
"""Virtual seconds after which a run has hung."""
WATCHDOG = 10.0
"""Real seconds for one schedule, which takes a tenth of one."""

PROBE = "probe"

SETTLED = ("outcome", "reason", "attempts", "queue_s", "first_event_s", "total_s")
"""Keys of the wide line that are looked at, without their prefix; ``None`` where they are left out."""


@dataclass
class Line:
    """A log line, and when it was written."""

    name: str
    at: float
    tag: object
    """Bound by the caller in its own context."""
    keys: dict[str, Any]


@dataclass
class Seen:
    """What one caller saw."""

    events: list[StreamEvent] = field(default_factory=list)
    began: float | None = None
    """When it submitted."""
    terminal_at: float | None = None
    left_at: float | None = None
    """It went away before the end."""
    refused: str | None = None
    """It could not even submit."""
    ended_properly: bool = False
    """After the terminal came the end of the channel."""
    trouble: BaseException | None = None
    """An exception that no caller should ever see."""
    finished: bool = False
    stalled_until: float | None = None
    read_after_stall: int = 0
    ends: list[Any] = field(default_factory=list)
    """The endpoints of its channels."""


class Boom(Exception):  # noqa: N818 - it is no error of anybody's
    """The body's own exception."""


class World:
    """One run."""

    def __init__(self, plan: Schedule) -> None:
        self.plan = plan
        self.seen = [Seen() for _ in plan.requests]
        self.lines: list[Line] = []
        self.broken: list[str] = []
        """What was found wrong while it ran."""
        self.network = ScriptedNetwork(self.script, opening=self.opening)
        self.supervisor: Supervisor | None = None
        self.opened = trio.Event()
        self.callers_done = trio.Event()
        self.leaving_at = float("inf")
        self.left_at = float("inf")
        self.left_by: BaseException | None = None
        self.boom = Boom()
        self.cancelled = False
        self.at_rest: Snapshot | None = None
        self.at_the_end: Snapshot | None = None
        self.probes_together: dict[str, int] = {}
        self.probe_trouble: list[str] = []
        self.hung = False
        self.reconfigured: set[str] = set()
        self.proven: set[int] = set()
        """Exchanges to which something happens only after the provider said that the answer is complete."""
        self.held: Counter[str] = Counter()
        """Pauses and drains of a provider that hold now."""
        self.ever_drained: set[str] = set()
        self.restarted: dict[str, list[float]] = {provider.name: [] for provider in plan.providers}
        """When an operator asked for a restart."""
        self.absent: dict[str, list[tuple[float, float]]] = {provider.name: [] for provider in plan.providers}
        """From when to when a provider was removed, in the operator's mind: from the word to the next one."""
        self.throttled: set[str] = set()
        """Providers with a model that was told to slow down: it begins slowly, and nothing says when that is over."""
        self._live: dict[str, set[str]] = {provider.name: set() for provider in plan.providers}
        self._stirred: dict[str, float] = {provider.name: 0.0 for provider in plan.providers}
        """When a place last became free, or could have."""

    # -- the providers

    def opening(self, provider: str, incarnation: int) -> tuple[Step, ...]:
        if provider in self.reconfigured:
            return ()  # only a child's start has a start timeout
        openings = self.plan.providers[int(provider[1:])].openings
        return openings[incarnation - 1] if incarnation <= len(openings) else ()

    def script(self, exchange: Exchange) -> list[Step]:
        self.watch(exchange.provider)
        open_here = sum(other.provider == exchange.provider for other in self.network.open_exchanges)
        limit = self.plan.providers[int(exchange.provider[1:])].max_connections
        if open_here > limit:
            self.broken.append(f"{open_here} exchanges at once on {exchange.provider}, {limit} places")
        asked = number_of(exchange)
        if asked is None:
            self.probes_together[exchange.provider] = max(self.probes_together.get(exchange.provider, 0), open_here)
            return steps_of(Attempt(delay=0.5), ["first ", "second"], exchange)
        request = self.plan.requests[asked]
        before = sum(number_of(other) == asked for other in self.network.exchanges[:-1])
        attempt = request.attempts[min(before, len(request.attempts) - 1)]
        steps = steps_of(attempt, request.parts, exchange)
        if attempt.action in steps and attempt.status == 200 and attempt.streamed and attempt.error_after is None:
            given = b"".join(s.data for s in steps[: steps.index(attempt.action)] if isinstance(s, Chunk))
            if b'"finish_reason":"stop"' in given or b'"stop_reason":"end_turn"' in given:
                self.proven.add(exchange.number)
        return steps

    # -- what is written down while it runs

    def take_line(self, _: object, __: str, keys: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        keys = dict(keys)
        name, tag = str(keys.pop("event")), keys.pop("tag", None)
        if name == "request.settled":
            keys = {short: keys.get(f"nexus3.{short}") for short in SETTLED} | keys
        line = Line(name, trio.current_time(), tag, keys)
        self.lines.append(line)
        actor, request = keys.get("actor"), str(keys.get("request"))
        if isinstance(actor, str):
            if name == "request.accepted":
                self._live[actor].add(request)
            elif name == "request.settled":
                self._live[actor].discard(request)
                self._judge_refusal(actor, line)
            elif name == "cooldown.set":
                self.throttled.add(actor)
            self.watch(actor)
            self._stirred[actor] = line.at
        raise structlog.DropEvent

    def _judge_refusal(self, actor: str, line: Line) -> None:
        if self.supervisor is None or line.keys["reason"] not in ("mailbox_full", "deadline_queued", "parked"):
            return
        child = self.supervisor.snapshot().children.get(actor)
        if child is None:
            return
        provider = self.plan.providers[int(actor[1:])]
        match line.keys["reason"]:
            case "mailbox_full" if child.queued < provider.mailbox_capacity:
                self.broken.append(f"{actor} refused a request with {child.queued} queued")
            case "deadline_queued" if (
                not self.held[actor]
                and actor not in self.throttled
                and child.state == "ready"
                and child.in_flight < provider.max_connections
            ):
                freed = max((e.ended_at or 0 for e in self.network.exchanges if e.provider == actor), default=0)
                if max(freed, self._stirred[actor]) < line.at - EPSILON:
                    self.broken.append(f"{actor} let a request wait to its deadline with {child.in_flight} in flight")
            case "parked" if child.state != "parked":
                self.broken.append(f"{actor} said parked while {child.state}")
            case _:
                pass

    def was_absent(self, actor: str, at: float) -> bool:
        """It was removed, or being removed."""
        return any(begins - EPSILON <= at <= ends + EPSILON for begins, ends in self.absent[actor])

    def watch(self, actor: str) -> None:
        """What must hold at every moment."""
        if self.supervisor is None:
            return
        child = self.supervisor.snapshot().children.get(actor)
        if child is None:
            return
        provider = self.plan.providers[int(actor[1:])]
        room = provider.mailbox_capacity + provider.max_connections
        if child.queued > room and provider.on_full != "wait":
            self.broken.append(f"{actor}: {child.queued} queued with room for {room}")
        if child.in_flight > provider.max_connections:
            self.broken.append(f"{actor}: {child.in_flight} in flight with {provider.max_connections} places")
        if child.queued > len(self._live[actor]):
            self.broken.append(f"{actor}: {child.queued} queued with {len(self._live[actor])} alive")

    # -- the callers

    async def caller(self, plan: Request) -> None:
        await self.opened.wait()
        seen = self.seen[plan.number]
        await trio.sleep(plan.at)
        structlog.contextvars.bind_contextvars(tag=f"q{plan.number}")
        if self.supervisor is None:  # it escalated while it started
            seen.refused, seen.finished = "never_opened", True
            return
        seen.began = trio.current_time()
        try:
            await self._ask(self.supervisor, plan, seen)
        except ProviderError as error:
            if error.kind == "unavailable":
                seen.refused = error.reason
            else:
                seen.trouble = error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            # The channel of submissions broke: the block was left, the request was never accepted.
            seen.refused = type(error).__name__
        except Exception as error:
            seen.trouble = error
        finally:
            seen.finished = True

    async def _ask(self, supervisor: Supervisor, plan: Request, seen: Seen) -> None:
        provider = self.plan.providers[plan.provider]
        request = CompletionRequest(
            model=f"{provider.name}:m",
            messages=(Message(role=Role.USER, content=f"q{plan.number}"),),
            timeout=plan.timeout,
            caller=plan.caller,
            priority=plan.priority,
        )
        match plan.way:
            case "stream" | "bound":
                if plan.way == "stream":
                    stream = supervisor.stream(request)
                else:
                    stream = supervisor.provider(request.model).stream(request.messages)
                seen.ends = ends_of(stream)
                if plan.reader.habit == "drops":
                    await drop(stream, plan, seen)
                    stream = None  # type: ignore[assignment] # the last reference
                    seen.left_at = None if seen.terminal_at is not None else trio.current_time()
                else:
                    await read(stream, plan, seen)
            case "complete":
                with trio.move_on_after(plan.reader.seconds if plan.reader.habit == "gives_up" else HORIZON) as scope:
                    try:
                        seen.events.append(await supervisor.complete(request))
                    except ProviderError as error:
                        seen.events.append(StreamFailed(error, error.partial))
                    seen.terminal_at = trio.current_time()
                    seen.ended_properly = True
                if scope.cancelled_caught:
                    seen.left_at = trio.current_time()
            case "channel":
                submission = Submission(request)
                async with supervisor.submissions() as submit:
                    await submit.send(submission)
                seen.ends = ends_of(submission.events)
                await read(submission.events, plan, seen)
            case "reply_to":
                send, receive = trio.open_memory_channel[StreamEvent](plan.reply_buffer)
                try:
                    async with supervisor.submissions() as submit:
                        submission = Submission(request, reply_to=send)
                        await submit.send(submission)
                except BaseException:
                    send.close()
                    receive.close()
                    raise
                seen.ends = [receive, *ends_of(submission._events)]
                await read(receive, plan, seen)

    # -- the owner of the block

    def config(self) -> dict[str, Any]:
        return {
            "providers": {
                provider.name: {
                    "type": provider.type,
                    "base_url": f"http://127.0.0.1:9/{'vllm/' if provider.type == 'vllm' else ''}v1",
                    "api_key": "k",
                    "allow_loopback": True,
                    "max_connections": provider.max_connections,
                    "mailbox_capacity": provider.mailbox_capacity,
                    "max_retries": provider.max_retries,
                    "retry_unsafe": provider.retry_unsafe,
                    "stall_timeout": provider.stall_timeout,
                    "idle_timeout": provider.idle_timeout,
                    "reply_buffer": self.plan.reply_batches,
                    # Open, it would refuse nearly all of these requests: providers here do little but fail.
                    "breaker": "observe",
                    "on_full": provider.on_full,
                    "request_timeout": 60.0,
                }
                for provider in self.plan.providers
            },
            "supervisor": self.plan.supervisor,
        }

    async def own(self) -> None:
        with trio.CancelScope() as outer:
            try:
                async with open_supervisor(self.config(), open_transport=self.network.open) as supervisor:
                    self.supervisor = supervisor
                    self.opened.set()
                    try:
                        await self._live_in(supervisor, outer)
                    finally:
                        self.leaving_at = trio.current_time()
            except (Boom, SupervisorEscalated) as error:
                self.left_by = error
        self.cancelled = outer.cancelled_caught
        self.left_at = trio.current_time()
        self.opened.set()
        if self.supervisor is not None:
            self.at_the_end = self.supervisor.snapshot()

    async def _live_in(self, supervisor: Supervisor, outer: trio.CancelScope) -> None:
        if self.plan.ending == "at_rest":
            await self.callers_done.wait()
            # The receiver of a reply_to may have been closed without a word: such a request goes on to its deadline.
            quiet = (s.began + p.timeout for p, s in zip(self.plan.requests, self.seen, strict=True) if s.began)
            await trio.sleep_until(max(quiet, default=0.0))
            await trio.sleep(10)
            self.at_rest = supervisor.snapshot()
            await self.probe(supervisor)
            return
        await trio.sleep(self.plan.ends_at)
        if self.plan.ending == "exception":
            raise self.boom
        if self.plan.ending == "cancel":
            outer.cancel()
            await trio.lowlevel.checkpoint()

    async def probe(self, supervisor: Supervisor) -> None:
        """Every place can still be used: as many requests as there are places are served at once."""

        async def one(name: str) -> None:
            messages = (Message(role=Role.USER, content=PROBE),)
            began = trio.current_time()
            try:
                await supervisor.complete(CompletionRequest(model=f"{name}:m", messages=messages, timeout=30.0))
            except ProviderError as error:
                self.probe_trouble.append(f"{name}: {error.reason}")
            if trio.current_time() - began > 1 and name not in self.throttled:
                self.probe_trouble.append(f"{name} took {trio.current_time() - began}")

        async with trio.open_nursery() as nursery:
            for provider in self.plan.providers:
                with trio.move_on_after(120):
                    while supervisor.snapshot().children[provider.name].state != "ready":  # noqa: ASYNC110 - virtual
                        await trio.sleep(0.5)
                for _ in range(min(provider.max_connections, provider.mailbox_capacity)):
                    nursery.start_soon(one, provider.name)

    async def crasher(self) -> None:
        await self.opened.wait()
        began = trio.current_time()
        for at, name in self.plan.crashes:
            await trio.sleep_until(began + at)
            if self.supervisor is not None:
                with suppress(LookupError):  # an operator has removed it
                    crash(self.supervisor, name)

    async def operator(self, deed: Operation) -> None:
        """Control, as an operator uses it."""
        await self.opened.wait()
        await trio.sleep(deed.at)
        name, supervisor = self.plan.providers[deed.provider].name, self.supervisor
        if supervisor is None or trio.current_time() >= self.leaving_at:
            return
        self.held[name] += 1
        try:
            await self._do(supervisor, deed, name)
        except LookupError:
            pass  # somebody else has removed it meanwhile
        finally:
            self.held[name] -= 1
            self._stirred[name] = trio.current_time()
        if not self.held[name] and trio.current_time() < self.leaving_at:
            with suppress(LookupError):
                supervisor.resume(name)

    async def _do(self, supervisor: Supervisor, deed: Operation, name: str) -> None:
        settings = ProviderConfig.model_validate(self.config()["providers"][name])
        match deed.what:
            case "reconfigure":
                self.reconfigured.add(name)
                await supervisor.reconfigure(name, settings)
            case "pause":
                supervisor.pause(name)
                await trio.sleep(deed.seconds)
            case "drain":
                self.ever_drained.add(name)
                with trio.move_on_after(deed.seconds):
                    await supervisor.drain(name)
            case "restart":
                self.restarted[name].append(trio.current_time())
                with suppress(ActorFault, ChildStopped, TimeoutError):  # the start failed
                    await supervisor.restart(name)
            case "remove":
                began = trio.current_time()
                self.absent[name].append((began, float("inf")))
                with trio.move_on_after(deed.seconds):
                    await supervisor.remove_provider(name)
                    await trio.sleep_until(began + deed.seconds)
                if trio.current_time() < self.leaving_at:
                    self.absent[name][self.absent[name].index((began, float("inf")))] = (began, trio.current_time())
                # Somebody else has added it meanwhile; or the supervisor has escalated.
                with suppress(ConfigError, ProviderError):
                    await supervisor.add_provider(name, settings)

    async def main(self) -> None:
        with trio.move_on_after(HORIZON) as horizon:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.own)
                async with trio.open_nursery() as callers:
                    callers.start_soon(self.crasher)
                    for deed in self.plan.operations:
                        callers.start_soon(self.operator, deed)
                    for request in self.plan.requests:
                        callers.start_soon(self.caller, request)
                self.callers_done.set()
        self.hung = horizon.cancelled_caught


def number_of(exchange: Exchange) -> int | None:
    """The request behind an exchange; ``None`` for a probe."""
    found = re.search(rb'"q(\d+)"', exchange.body)
    return int(found[1]) if found else None


def steps_of(attempt: Attempt, parts: list[str], exchange: Exchange) -> list[Step]:
    """What the provider will do, with the action at its place."""
    answer = Answer(
        parts,
        status=attempt.status,
        delay=attempt.delay,
        headers={} if attempt.retry_after is None else {"retry-after-ms": f"{attempt.retry_after * 1000:.0f}"},
        fault=() if attempt.error_after is None else ErrorEvent(after=attempt.error_after),
        stream=None if attempt.streamed else False,
    )
    told = spoken(answer, number=exchange.number, url=exchange.url, headers=exchange.headers, body=exchange.body)
    steps: list[Step] = [Sent()]
    run = 0
    for step in told:
        last = steps[-1]
        if isinstance(step, Chunk) and isinstance(last, Chunk) and run < attempt.merge:
            steps[-1] = Chunk(last.data + step.data)
            run += 1
        else:
            steps.append(step)
            run = 1
    if attempt.action is not None:
        steps.insert(round(attempt.place * len(steps)), attempt.action)
    return steps


def ends_of(stream: ReplyStream) -> list[Any]:
    return [stream._pipe]


def take(event: StreamEvent, seen: Seen) -> None:
    seen.events.append(event)
    seen.read_after_stall += seen.stalled_until is not None
    if isinstance(event, StreamComplete | StreamFailed):
        seen.terminal_at = trio.current_time()


async def receive_into(channel: trio.abc.ReceiveChannel[StreamEvent], seen: Seen) -> bool:
    """One more event; false at the end."""
    try:
        take(await channel.receive(), seen)
    except trio.EndOfChannel:
        seen.ended_properly = True
        return False
    except ProviderError as error:
        take(StreamFailed(error, error.partial), seen)
    return True


async def read(channel: trio.abc.ReceiveChannel[StreamEvent], plan: Request, seen: Seen) -> None:
    """Read as the plan's reader does, and close the channel."""
    reader = plan.reader
    async with channel:
        with trio.move_on_after(reader.seconds if reader.habit == "gives_up" else HORIZON) as scope:
            while await receive_into(channel, seen):
                match reader.habit:
                    case "slow":
                        await trio.sleep(reader.seconds)
                    case "stalls" if len(seen.events) == reader.after + 1:
                        await trio.sleep(reader.seconds)
                        seen.stalled_until = trio.current_time()
                    case "leaves" if len(seen.events) > reader.after:
                        break
                    case _:
                        pass
        if (
            seen.terminal_at is None
            and not seen.ended_properly
            and (scope.cancelled_caught or reader.habit == "leaves")
        ):
            seen.left_at = trio.current_time()


async def drop(stream: ReplyStream, plan: Request, seen: Seen) -> None:
    """Begin to read, and forget about it."""
    await stream.__aenter__()
    for _ in range(plan.reader.after):
        if not await receive_into(stream, seen) or seen.terminal_at is not None:
            break


@contextmanager
def lines_go_to(world: World) -> Iterator[None]:
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, world.take_line])
    try:
        yield
    finally:
        structlog.reset_defaults()


def run(plan: Schedule) -> World:
    """Run the schedule; equal schedules run equally, down to the order in which trio's tasks are run."""
    world = World(plan)
    # trio runs the tasks of a batch in an order of its own dice.
    trio._core._run._r.seed(f"{plan.seed}/{plan.index}")
    with (
        warnings.catch_warnings(),
        lines_go_to(world),
        real_time_limit(WATCHDOG),
        mock.patch.object(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
        mock.patch.object(nexus3.runtime, "Random", return_value=Random(plan.seed)),
    ):
        warnings.simplefilter("ignore", ResourceWarning)
        trio.run(world.main, clock=trio.testing.MockClock(autojump_threshold=0))
    return world
