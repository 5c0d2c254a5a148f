"""Reads one response into a ticket: errors, streams, and whole bodies, within the limits."""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec
import trio

from nexus3.actors.attempt.watch import Watch
from nexus3.actors.limits import Limits
from nexus3.actors.slot.slot import Slot
from nexus3.actors.ticket import Ticket
from nexus3.actors.transport import Response, TransportFault
from nexus3.wire.catalog import Target
from nexus3.wire.classify import request_id_of, response_failure
from nexus3.wire.codecs import Codec, Decoder, Reply
from nexus3.wire.events import UNDECLARED_TOOL, Notice, StreamComplete, StreamEvent
from nexus3.wire.failures import Failure, fail


class Answer:
    """One attempt's answer. Settles the ticket as soon as it is complete, before the rest of the response is read."""

    def __init__(self, slot: Slot, ticket: Ticket, codec: Codec, target: Target, limits: Limits, watch: Watch) -> None:
        self._slot = slot
        self.ticket = ticket
        """Whom the answer is for: the ticket itself, once it is known which of two attempts speaks for it."""
        self._stake = ticket.stake
        self._codec = codec
        self._target = target
        self._limits = limits
        self._watch = watch
        self._request_id: str | None = None
        self._status: int | None = None
        self._decoder: Decoder | None = None

    def sent(self) -> None:
        """The request is on its way; again, where the connection that it was sent on turned out to be dead."""
        if self.ticket.sent:
            self._slot.gates.replayed(trio.current_time())
        self.ticket.sent = True
        self._watch.sent()

    async def read(self, response: Response, *, stream: bool, wall_clock: Callable[[], float]) -> Failure | None:
        """Read until the answer is complete (``None``) or has failed.

        Raises:
            TransportFault: the body was cut off; :meth:`cut_off` says what that means.
            SlowConsumer: the ticket's reader does not read.
        """
        self._watch.head_came()
        self._status = response.status
        self._request_id = request_id_of(response.headers)
        if self._stake is not None:
            self._slot.gates.learn(self._stake, response.headers, wall_now=wall_clock(), now=trio.current_time())
        if not 200 <= response.status < 300:
            body, truncated = await self._error_body(response)
            return self._described(
                response_failure(response.status, response.headers, body, wall_now=wall_clock(), truncated=truncated)
            )
        # In a list, from which it is taken: a name here would keep it for as long as the answer lasts.
        first = [await response.receive_some()]
        match _kind_of_body(response.headers.get("content-type", ""), first[0], asked_for_stream=stream):
            case "events":
                return await self._read_events(response, first)
            case "json":
                return await self._read_body(response, first)
            case "other":
                shown = response.headers.get("content-type", "")[:80]
                problem = f"The server answered with {shown!r}, which is no answer of this API; check base_url."
                return self._described(fail("protocol", "wrong_content_type", problem, phase="headers"))

    async def _read_events(self, response: Response, first: list[bytes]) -> Failure | None:
        decoder = self._codec.open_decoder(self._target, request_id=self._request_id, limits=self._limits.decode)
        self._decoder = self.ticket.decoder = decoder
        watch = self._watch
        left = self._limits.max_stream_bytes
        data = first.pop()
        while True:
            if not data:
                events = decoder.end()
            else:
                left -= len(data)
                if left < 0:
                    limit = self._limits.max_stream_bytes
                    events = decoder.end(
                        fail("limit", "max_stream_bytes", f"The stream is longer than {limit} bytes.", phase="stream")
                    )
                else:
                    events = decoder.feed(data)
                    if decoder.outcome is not None:
                        events += self._undeclared(decoder.outcome)
                    watch.bytes_came(content=decoder.emitted and bool(events))
            if events:
                if not self.ticket.emitted:
                    self._speak(decoder.emitted)
                if not self.ticket.offer(events):
                    # The reader is behind; that is not the provider's fault.
                    watch.pause()
                    await self.ticket.deliver(events, self._limits.stall_timeout)
                    watch.resume()
            if decoder.outcome is not None:
                return self._conclude(decoder.outcome)
            if decoder.proven:
                watch.answer_is_complete()
            del data, events  # a thousand streams that wait must not hold a read each
            data = await response.receive_some()

    async def _read_body(self, response: Response, first: list[bytes]) -> Failure | None:
        limit = self._limits.max_body_bytes
        pieces, left = first, limit - len(first[0])
        while left >= 0 and not response.is_at_end and (data := await response.receive_some()):
            pieces.append(data)
            left -= len(data)
            self._watch.bytes_came(content=False)
        if left < 0:
            problem = f"The answer is longer than {limit} bytes."
            return self._described(fail("limit", "max_body_bytes", problem, phase="stream"))
        events, outcome = self._codec.decode_body(
            b"".join(pieces), self._target, request_id=self._request_id, limits=self._limits.decode
        )
        events += self._undeclared(outcome)
        if events:
            self._speak(isinstance(outcome, Reply))
            self._watch.pause()
            await self.ticket.deliver(events, self._limits.stall_timeout)
        return self._conclude(outcome)

    async def _error_body(self, response: Response) -> tuple[bytes, bool]:
        """At most ``max_error_body_bytes`` within ``error_body_timeout``, and whether there was more."""
        body = bytearray()
        with trio.move_on_after(self._limits.error_body_timeout):
            try:
                while data := await response.receive_some():
                    body += data
                    if len(body) > self._limits.max_error_body_bytes:
                        return bytes(body[: self._limits.max_error_body_bytes]), True
                return bytes(body), False
            except TransportFault:
                pass  # the status has said enough
        return bytes(body), True

    async def cut_off(self, failure: Failure) -> Failure | None:
        """The exchange broke, or a deadline passed: ``None`` where the answer was proven complete before that."""
        failure = self._described(failure)
        decoder = self._decoder
        if decoder is None:
            return failure
        events = decoder.end(failure)
        if events:
            self._speak(decoder.emitted)
            await self.ticket.deliver(events, self._limits.stall_timeout)
        return self._conclude(decoder.outcome or failure)

    async def drain(self, response: Response) -> None:
        """Read a short rest after the end marker, so that the connection can be used again."""
        if response.is_at_end:
            return
        self._watch.drain()
        left = self._limits.max_drain_bytes
        with suppress(TransportFault):  # nobody waits for these bytes
            while left > 0 and (data := await response.receive_some()):
                left -= len(data)

    def _described(self, failure: Failure) -> Failure:
        """With what the response's head said, and with the phase that the caller's view decides."""
        return msgspec.structs.replace(
            failure,
            status=failure.status or self._status,
            request_id=failure.request_id or self._request_id,
            phase="first_event" if failure.phase == "stream" and not self.ticket.emitted else failure.phase,
        )

    def _speak(self, emitted: bool) -> None:
        """Something is about to be handed over. What is noted here is noted before: a crash in between must not lead to
        a repetition."""
        self._claim()
        if emitted and not self.ticket.emitted:
            now = trio.current_time()
            self.ticket.emitted = True
            self.ticket.first_event_at = now
            if self._stake is not None:
                self._slot.gates.answered(self._stake, now)

    def _claim(self) -> None:
        """From here on the answer is the ticket's own, or it is outrun by that of a second attempt."""
        if self.ticket.claim is not None:
            self.ticket = self.ticket.claim()

    def _undeclared(self, outcome: Reply | Failure) -> list[StreamEvent]:
        """Told before the terminal: whoever runs calls by their names should know."""
        tools = self.ticket.request.tools
        if isinstance(outcome, Failure) or not (tools and outcome.message.tool_calls):
            return []
        names = {tool.name for tool in tools}
        return [
            Notice(UNDECLARED_TOOL, f"The model called {call.name[:64]!r}, which the request does not have.")
            for call in outcome.message.tool_calls
            if call.name not in names
        ]

    def _conclude(self, outcome: Reply | Failure) -> Failure | None:
        if isinstance(outcome, Failure):
            return self._described(outcome)
        self._claim()
        ticket, target = self.ticket, self._target
        ticket.scope = None  # settling must not cancel what is left to do: the drain of the connection
        ticket.settle(
            StreamComplete(
                message=outcome.message,
                stop_reason=outcome.stop_reason,
                usage=self._slot.gates.priced(ticket.ask, outcome.usage),
                provider=target.provider,
                model=outcome.model or target.model,
                response_id=outcome.response_id,
                request_id=self._request_id,
                attempts=ticket.attempts,
                raw_stop_reason=outcome.raw_stop_reason,
            )
        )
        return None


def _kind_of_body(content_type: str, first: bytes, *, asked_for_stream: bool) -> Literal["events", "json", "other"]:
    """What the body is read as. A server may ignore what was asked, and may forget to say what it sends."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return "events"
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    if kind:
        return "other"
    if not first:
        return "events" if asked_for_stream else "json"
    return "json" if first.lstrip().startswith((b"{", b"[")) else "events"
