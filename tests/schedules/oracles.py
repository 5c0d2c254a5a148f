"""What must be true after any schedule. Looks from outside only: events, log lines, the network's record, snapshots."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from nexus3 import ContentDelta, Notice, RetryScheduled, StreamComplete, StreamFailed, SupervisorEscalated
from nexus3.testing import BrokenPromise, Exchange, check_at_rest, check_events
from nexus3.wire.events import MAYBE_BILLED_TWICE
from tests.schedules.plan import Provider, Request
from tests.schedules.world import EPSILON, PROBE, Line, Seen, World, number_of

DRAIN = 0.05
"""Seconds for which the connection of a complete answer may be read on."""
_CLEAN = ("at_rest", "cleanly")
BOUND_TIMEOUT = 60.0
"""Of requests through the bound provider, which has no timeout of its own."""


def problems(world: World) -> list[str]:
    """Everything that is wrong with a run; empty where all held."""
    return list(_problems(world))


def _problems(world: World) -> Iterator[str]:
    if world.hung:
        waiting = [number for number, seen in enumerate(world.seen) if not seen.finished]
        yield f"hung: {waiting} never ended"
        return
    yield from sorted(set(world.broken))
    accepted = {line.tag: line for line in world.lines if line.name == "request.accepted" and line.tag is not None}
    by_request: dict[str, list[Line]] = defaultdict(list)
    for line in world.lines:
        if "request" in line.keys:
            by_request[line.keys["request"]].append(line)
    exchanges: dict[int | None, list[Exchange]] = defaultdict(list)
    for exchange in world.network.exchanges:
        exchanges[number_of(exchange)].append(exchange)
        if exchange.ending is None:
            yield f"{exchange} goes on"
    for request, seen in zip(world.plan.requests, world.seen, strict=True):
        entry = accepted.get(f"q{request.number}")
        lines = by_request[entry.keys["request"]] if entry is not None else []
        case = _Case(world, request, seen, exchanges[request.number], lines)
        for problem in case.problems():
            yield f"q{request.number} ({request.way}, {request.reader.habit}): {problem}"
    yield from _ledger(world, by_request)
    yield from _block(world)
    yield from _parking(world, by_request)
    yield from _order(world, by_request)


class _Case:
    """One request: what was planned, what its caller saw, what the network and the log say."""

    def __init__(self, world: World, plan: Request, seen: Seen, exchanges: list[Exchange], lines: list[Line]) -> None:
        self.world = world
        self.plan = plan
        self.seen = seen
        self.exchanges = exchanges
        self.lines = lines
        self.provider: Provider = world.plan.providers[plan.provider]
        self.timeout = BOUND_TIMEOUT if plan.way == "bound" else plan.timeout
        self.settled = next((line for line in lines if line.name == "request.settled"), None)

    def problems(self) -> Iterator[str]:
        seen = self.seen
        if seen.trouble is not None:
            yield f"the caller met {seen.trouble!r}"
        if not seen.finished:
            yield "its caller never ended"
        yield from self._seen()
        yield from self._endpoints()
        if not self.lines:
            if self.exchanges:
                yield "was sent without being accepted"
            yield from self._refused()
            return
        yield from self._log()
        yield from self._work()

    def _terminals(self) -> list[StreamComplete | StreamFailed]:
        return [event for event in self.seen.events if isinstance(event, StreamComplete | StreamFailed)]

    def _seen(self) -> Iterator[str]:
        seen, terminals = self.seen, self._terminals()
        if len(terminals) > 1:
            yield f"{len(terminals)} terminals"
        text = "".join(event.text for event in seen.events if isinstance(event, ContentDelta))
        if not self.plan.answer.startswith(text):
            yield f"the text {text!r} repeats, loses or mixes"
        for terminal in terminals:
            if isinstance(terminal, StreamComplete) and terminal.message.content != self.plan.answer:
                yield f"complete with {terminal.message.content!r}"
            if isinstance(terminal, StreamFailed) and text and not terminal.error.emitted:
                yield "failed as if nothing had been seen"
        if self.plan.way != "complete":
            try:
                check_events(seen.events, to_the_end=False)
            except BrokenPromise as broken:
                yield f"grammar: {broken}"
        left = seen.left_at is not None or seen.refused is not None
        if terminals and not seen.ended_properly and self.plan.reader.habit not in ("drops", "leaves", "gives_up"):
            yield "the channel went on after its terminal"
        if not terminals and not left and self.plan.way != "reply_to":
            yield "no terminal"
        if self.plan.way == "reply_to" and not left and self.lines:
            letters = self._named("dead_letter")
            if len(terminals) + len(letters) != 1:
                yield f"{len(terminals)} terminals and {len(letters)} dead letters on reply_to"
            roomy = self.plan.reader.habit == "reads" and self.plan.reply_buffer > 2 * self.plan.pieces + 20
            drained = self.world.plan.ending in _CLEAN and self.world.left_by is None
            gentle = self.plan.reader.habit == "slow" and self.plan.reader.seconds < self.provider.stall_timeout
            if letters and (roomy or (drained and gentle)):
                yield "a dead letter, although its reader reads"

    def _endpoints(self) -> Iterator[str]:
        for end in self.seen.ends:
            now = end.statistics()
            # The inlet of a stream that was dropped after its terminal is left to the garbage collector, as it is.
            if now.open_send_channels or (now.open_receive_channels and self.plan.reader.habit != "drops"):
                yield f"open ends of its channel: {now}"

    def _refused(self) -> Iterator[str]:
        """It found the supervisor closed."""
        seen = self.seen
        if seen.began is None or seen.left_at is not None:
            return
        absent = self.world.was_absent(self.provider.name, seen.began)
        if seen.began < self.world.leaving_at - EPSILON and not absent:
            yield f"was not accepted, although the supervisor was open ({seen})"
        for terminal in self._terminals():
            kinds = ("unavailable", "not_found") if absent else ("unavailable",)
            if not isinstance(terminal, StreamFailed) or terminal.error.kind not in kinds:
                yield f"ended with {terminal} without being accepted"

    def _named(self, name: str) -> list[Line]:
        return [line for line in self.lines if line.name == name]

    def _log(self) -> Iterator[str]:
        plan, seen, settled = self.plan, self.seen, self.settled
        if len(self._named("request.accepted")) != 1 or len(self._named("request.settled")) != 1 or settled is None:
            yield f"lines: {[line.name for line in self.lines]}"
            return
        tags = {line.tag for line in self.lines if line.name.startswith("request.")}
        if tags != {f"q{plan.number}"}:
            yield f"the caller's context is {tags} on its lines"
        accepted = self._named("request.accepted")[0]
        order = [line.name for line in self.lines if line.name.startswith("request.")]
        if order[0] != "request.accepted" or order[-1] != "request.settled":
            yield f"lines in the wrong order: {order}"
        keys = settled.keys
        queue, first, total = keys["queue_s"], keys["first_event_s"], keys["total_s"]
        if not (0 <= queue <= total + EPSILON and (first is None or 0 <= first <= total + EPSILON)):
            yield f"durations: {queue=} {first=} {total=}"
        if abs(settled.at - accepted.at - total) > EPSILON:
            yield f"took {settled.at - accepted.at}, and says {total}"
        if total > self.timeout + EPSILON or abs(accepted.keys["deadline"] - self.timeout) > EPSILON:
            yield f"settled after {total} with a deadline of {self.timeout}"
        if seen.began is not None and abs(accepted.at - seen.began) > EPSILON:
            yield f"accepted at {accepted.at}, submitted at {seen.began}"
        yield from self._outcome(settled)

    def _outcome(self, settled: Line) -> Iterator[str]:
        seen, keys = self.seen, settled.keys
        outcome, reason = keys["outcome"], keys["reason"]
        for terminal in self._terminals():
            told = "completed" if isinstance(terminal, StreamComplete) else terminal.error.kind
            told_reason = None if isinstance(terminal, StreamComplete) else terminal.error.reason
            if (told, told_reason) != (outcome, reason):
                yield f"the caller saw {told}/{told_reason}, the log says {outcome}/{reason}"
            if isinstance(terminal, StreamFailed):
                error = terminal.error
                if (error.provider, error.attempts) != (self.provider.name, keys["attempts"]):
                    yield f"says {error.provider} and {error.attempts} attempts, the log {keys['attempts']}"
        if seen.terminal_at is not None and seen.left_at is None and self.plan.reader.habit in ("reads", "leaves"):
            prompt = self.plan.way != "reply_to" or self.plan.reply_buffer > 0
            if prompt and seen.terminal_at > settled.at + EPSILON:
                yield f"settled at {settled.at}, seen at {seen.terminal_at}"
        # trio tells nobody that a receiver was closed: the next event does, or the deadline.
        if seen.left_at is not None and settled.at > seen.left_at + EPSILON and self.plan.way != "reply_to":
            yield f"its caller left at {seen.left_at}, settled at {settled.at}"
        stalled, limit = seen.stalled_until, self.provider.stall_timeout
        given_up = self.plan.way == "reply_to" and stalled is not None and settled.at < stalled - limit - EPSILON
        if given_up and seen.read_after_stall > self.plan.reply_buffer:
            # All was there for longer than that; what did not fit into the channel had to be given up.
            yield f"{seen.read_after_stall} events after a stall, with {self.plan.reply_buffer} places"
        match outcome, reason:
            case "internal", _:
                yield f"internal: {reason}"
            case "timeout", "deadline" | "deadline_queued":
                if abs(keys["total_s"] - self.timeout) > EPSILON:
                    yield f"timed out after {keys['total_s']} of {self.timeout}"
                if reason == "deadline_queued" and self.exchanges and not self._named("request.requeued"):
                    yield "was sent and says it was queued"
            case "transport" | "protocol", _ if self.exchanges and self.exchanges[-1].number in self.world.proven:
                yield f"{outcome}/{reason}, although its answer was complete"
            case "cancelled", "stream_dropped" if self.plan.reader.habit != "drops":
                yield "its stream was closed, and is said to have been dropped"
            case "cancelled", _:
                if seen.left_at is None:
                    yield f"{reason}, although its caller stayed"
            case "slow_consumer", _:
                if self.plan.reader.habit not in ("slow", "stalls", "leaves", "gives_up") and self.plan.reply_buffer:
                    yield "slow_consumer, although it reads"
            case "unavailable", "closed" if self.world.left_by is None and self.world.plan.ending in _CLEAN:
                yield "was cut off, although the block was left cleanly"
            case "unavailable", "closed" | "draining":
                drained = reason == "draining" and self.provider.name in self.world.ever_drained
                early = settled.at < self.world.leaving_at - EPSILON
                if early and not drained and not isinstance(self.world.left_by, SupervisorEscalated):
                    yield f"{reason} at {settled.at}, left at {self.world.leaving_at}"
            case "unavailable", "removed":
                if not self.world.was_absent(self.provider.name, settled.at):
                    yield f"removed at {settled.at}, and it was not"
            case "actor_crashed", _:
                restarted = self.world.restarted[self.provider.name]
                if not restarted and not any(line.name == "actor.crashed" for line in self.world.lines):
                    yield "no actor has crashed"
            case _:
                pass

    def _work(self) -> Iterator[str]:
        settled = self.settled
        if settled is None:
            return
        completed = settled.keys["outcome"] == "completed"
        grace = DRAIN if completed else 0.0
        accepted = self._named("request.accepted")[0]
        last_end = float("-inf")
        for exchange in self.exchanges:
            if not accepted.at - EPSILON <= exchange.began <= settled.at + EPSILON:
                yield f"{exchange} began outside of its life from {accepted.at} to {settled.at}"
            if exchange.ended_at is not None and exchange.ended_at > settled.at + grace + EPSILON:
                yield f"settled at {settled.at}, and {exchange} went on"
            if exchange.longest_unread > self.provider.stall_timeout + EPSILON:
                yield f"{exchange} was left unread, with a stall timeout of {self.provider.stall_timeout}"
            if exchange.began < last_end - EPSILON:
                yield f"{exchange} overlaps another"
            last_end = exchange.ended_at if exchange.ended_at is not None else float("inf")
        crashes = self._named("request.requeued")
        lives = {exchange.incarnation for exchange in self.exchanges}
        # One that waits between two attempts waits in the mailbox, whatever becomes of the actor meanwhile.
        if len(lives) > 2 + len(self._named("request.retrying")) or len(crashes) > 1:
            yield f"ran on {len(lives)} incarnations, requeued {len(crashes)} times"
        crashed = [exchange for exchange in self.exchanges if exchange.ending == "crashed"]
        poisoned = settled.keys["reason"] in ("poison_request", "mid_stream")
        if len(crashed) == 2 and not poisoned and not self._excused_at_crash(settled):
            yield f"crashed its actor twice, and ended {settled.keys['outcome']}/{settled.keys['reason']}"
        if len(self.exchanges) > self.provider.max_retries + 1 + len(crashes):
            yield f"{len(self.exchanges)} exchanges with {self.provider.max_retries} retries"
        if len(self.exchanges) > settled.keys["attempts"]:
            yield f"{len(self.exchanges)} exchanges, {settled.keys['attempts']} attempts"
        for one, other in itertools.pairwise(self.exchanges):
            yield from self._again(one, other)
        retries = [event for event in self.seen.events if isinstance(event, RetryScheduled)]
        if self.plan.way not in ("complete",) and len(retries) > len(self._named("request.retrying")):
            yield "more retries than the log says"
        for line in self._named("request.retrying"):
            if line.at + line.keys["delay"] > accepted.at + self.timeout + EPSILON:
                yield f"waits from {line.at} for {line.keys['delay']} s, to beyond its deadline"
        yield from self._billed()

    def _excused_at_crash(self, settled: Line) -> bool:
        """Something else ended it at the very moment of the crash."""
        last = self.exchanges[-1]
        return last.ended_at is not None and abs(settled.at - last.ended_at) <= EPSILON

    def _again(self, one: Exchange, other: Exchange) -> Iterator[str]:
        """``other`` follows ``one``."""
        if one.incarnation == other.incarnation:
            retry_after = self._retry_after(self.exchanges.index(one))
            if retry_after is not None and other.began < (one.ended_at or 0) + retry_after - EPSILON:
                yield f"the provider asked for {retry_after} s, and got {other.began - (one.ended_at or 0)}"
            return
        in_flight = one.sent_at is not None and one.ending in ("left", "crashed")
        if in_flight and not self.provider.retry_unsafe and not self._named("request.retrying"):
            yield "was sent twice, although retry_unsafe is off"

    def _retry_after(self, number: int) -> float | None:
        attempt = self.plan.attempts[min(number, len(self.plan.attempts) - 1)]
        return attempt.retry_after if attempt.status != 200 else None

    def _billed(self) -> Iterator[str]:
        """A caller that read on was told if it may pay twice."""
        assert self.settled is not None
        last = self.exchanges[-1] if self.exchanges else None
        if self.settled.keys["reason"] == "sent" and last is not None and last.sent_at is None:
            yield "failed as sent, and was not"
        if self.seen.left_at is not None or self.plan.way in ("complete", "reply_to"):
            return
        twice = any(
            one.incarnation != other.incarnation and one.sent_at is not None and one.ending in ("left", "crashed")
            for one, other in itertools.pairwise(self.exchanges)
        )
        # A retry may run on another incarnation, too; this is about the one attempt that a crash has cut off.
        put_back = [line.at for line in self._named("request.requeued")]
        unsent = any(
            one.incarnation != other.incarnation
            and one.sent_at is None
            and any(one.ended_at is not None and abs(one.ended_at - at) <= EPSILON for at in put_back)
            for one, other in itertools.pairwise(self.exchanges)
        )
        notices = [
            event for event in self.seen.events if isinstance(event, Notice) and event.code == MAYBE_BILLED_TWICE
        ]
        if unsent and notices:
            yield "is told of a double billing, and was never sent"
        if len(notices) > 1 or (twice and not notices and not self._named("request.retrying") and self._reads_all()):
            yield f"{len(notices)} notices of double billing"

    def _reads_all(self) -> bool:
        return self.settled is not None and self.settled.keys["outcome"] != "slow_consumer"


def _ledger(world: World, by_request: dict[str, list[Line]]) -> Iterator[str]:
    for request, lines in by_request.items():
        accepted = sum(line.name == "request.accepted" for line in lines)
        settled = sum(line.name == "request.settled" for line in lines)
        if not accepted == settled == 1 and any(line.name != "dead_letter" for line in lines):
            yield f"{request}: accepted {accepted} times, settled {settled} times"
    last = world.at_the_end
    if last is None:
        if not isinstance(world.left_by, SupervisorEscalated):
            yield "the block was never entered"
        return
    for snapshot in filter(None, (world.at_rest, last)):
        try:
            check_at_rest(snapshot)
        except BrokenPromise as broken:
            yield f"not at rest: {broken}"
    for counter, line_name in (("accepted", "request.accepted"), ("requeued", "request.requeued")):
        told = sum(line.name == line_name for line in world.lines)
        if last.counters.get(counter, 0) != told:
            yield f"{counter} is {last.counters.get(counter, 0)}, with {told} lines"
    if last.counters.get("log.raised", 0):
        yield "a log line was lost on its way here"
    if any(line.name in ("kernel.backstop", "request.bug") for line in world.lines):
        yield "a bug: " + next(
            str(line.keys) for line in world.lines if line.name in ("kernel.backstop", "request.bug")
        )
    crashed = [exchange for exchange in world.network.exchanges if exchange.ending == "crashed"]
    told = sum(line.name == "actor.crashed" for line in world.lines)
    lives = len({(exchange.provider, exchange.incarnation) for exchange in crashed})
    if told < lives and all((e.ended_at or 0) < world.leaving_at - EPSILON for e in crashed):
        yield f"{lives} incarnations crashed, {told} were reported"


def _block(world: World) -> Iterator[str]:
    ending, by = world.plan.ending, world.left_by
    took = world.left_at - world.leaving_at
    if isinstance(by, SupervisorEscalated):
        if world.plan.supervisor["on_exhausted"] != "escalate":
            yield "escalated although it shall park"
        last_crash = max((line.at for line in world.lines if line.name == "actor.crashed"), default=float("-inf"))
        if world.left_at > last_crash + EPSILON:
            yield f"escalated at {last_crash}, and left at {world.left_at}"
        return
    match ending:
        case "at_rest":
            if by is not None:
                yield f"left by {by!r}"
            if took > EPSILON:
                yield f"left at rest, after {took} s"
            if world.probe_trouble:
                yield f"probes: {sorted(set(world.probe_trouble))}"
            for provider in world.plan.providers:
                places = min(provider.max_connections, provider.mailbox_capacity)
                together = world.probes_together.get(provider.name, 0)
                if provider.name in world.throttled:
                    continue  # its models may still begin slowly
                if together != places and not any(provider.name in trouble for trouble in world.probe_trouble):
                    yield f"{provider.name}: {PROBE}s found {together} of {places} places"
        case "cleanly":
            if by is not None:
                yield f"left by {by!r}"
            # The longest deadline, then a reply channel that is never read.
            if took > 91:
                yield f"drained for {took} s"
        case "exception":
            if by is not world.boom:
                yield f"left by {by!r}, not by the body's own exception"
            if took > EPSILON:
                yield f"left by an exception, after {took} s"
        case "cancel":
            if not world.cancelled:
                yield "the cancellation was lost"
            if took > EPSILON:
                yield f"left by a cancellation, after {took} s"


def _parking(world: World, by_request: dict[str, list[Line]]) -> Iterator[str]:
    """A parked actor leaves nobody waiting."""
    rest = world.plan.supervisor["park_for"]
    assert isinstance(rest, float)
    parked = [(line.keys["actor"], line.at) for line in world.lines if line.name == "actor.parked"]
    for request, lines in by_request.items():
        if lines[0].name != "request.accepted":
            continue
        actor, accepted = lines[0].keys["actor"], lines[0].at
        settled = next((line.at for line in lines if line.name == "request.settled"), float("inf"))
        for name, at in parked:
            if name == actor and accepted < at - EPSILON and settled > at + EPSILON:
                yield f"{request} waited on while {actor} was parked at {at}"
            # An operator may bring it back before its time.
            brought_back = [*world.restarted[actor], *(until for _, until in world.absent[actor])]
            if any(at - EPSILON <= when <= accepted + EPSILON for when in brought_back):
                continue
            if name == actor and at + EPSILON < accepted < at + rest - EPSILON and settled > accepted + EPSILON:
                yield f"{request} was taken at {accepted} by {actor}, which was parked at {at}"


class _Begun(NamedTuple):
    """A request that was served, and never thrown back by a crash."""

    request: Request
    number: int
    accepted: float
    began: float


def _order(world: World, by_request: dict[str, list[Line]]) -> Iterator[str]:
    """One caller's requests begin in the order in which they came; higher priorities come first."""
    by_provider: dict[int, list[_Begun]] = defaultdict(list)
    first: dict[int | None, float] = {}
    for exchange in world.network.exchanges:
        first.setdefault(number_of(exchange), exchange.began)
    tags = {lines[0].tag: lines for lines in by_request.values()}
    for request in world.plan.requests:
        lines = tags.get(f"q{request.number}", [])
        began = first.get(request.number)
        thrown_back = any(line.name == "request.requeued" for line in lines)
        if began is not None and lines and request.way != "bound" and not thrown_back:
            number = int(lines[0].keys["request"][1:])
            by_provider[request.provider].append(_Begun(request, number, lines[0].at, began))
    for served in by_provider.values():
        for one, other in itertools.permutations(served, 2):
            rank, other_rank = _RANKS[one.request.priority], _RANKS[other.request.priority]
            overtaken = other.began > one.began + EPSILON
            same_line = rank == other_rank and one.request.caller == other.request.caller
            if same_line and other.number < one.number and overtaken:
                yield f"q{one.request.number} was served before q{other.request.number}, which came first"
            # It stood in the queue when one of lower priority was taken from it, which had not aged.
            waited = one.began - one.accepted
            if rank > other_rank and other.accepted < one.began - EPSILON and overtaken and waited < PROMOTE_AFTER:
                yield f"q{one.request.number} was served before q{other.request.number}, of higher priority"


_RANKS = {"interactive": 0, "normal": 1, "batch": 2}
PROMOTE_AFTER = 30.0
"""The default of ``promote_after``."""
