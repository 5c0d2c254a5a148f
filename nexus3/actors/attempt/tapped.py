"""A transport for one attempt that tells a tap what it carries, and changes nothing of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from nexus3.actors.attempt.credentials import secrets_of
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.tap import AttemptId, Ending, Listener, Tap
from nexus3.actors.ticket import SlowConsumer, Ticket
from nexus3.actors.transport import Response, Transport, TransportFault
from nexus3.wire.codecs import Reply
from nexus3.wire.events import StreamFailed
from nexus3.wire.failures import Failure
from nexus3.wire.provider_text import is_secret_name


def tapped(transport: Transport, tap: Tap, ticket: Ticket, provider: ResolvedProvider) -> Transport:
    """``transport`` for one attempt of ``ticket``, with ``tap`` listening."""
    return _Tapped(transport, tap, ticket, provider)


class _Tapped:
    def __init__(self, transport: Transport, tap: Tap, ticket: Ticket, provider: ResolvedProvider) -> None:
        self._transport = transport
        self._tap = tap
        self._ticket = ticket
        self._provider = provider

    def exchange(
        self, url: str, headers: list[tuple[str, str]], body: bytes, *, on_sent: Callable[[], None]
    ) -> AbstractAsyncContextManager[Response]:
        # A fetched key is known from the header alone. The scheme before it ("Bearer") is no secret.
        keys = [value.rpartition(" ")[2] for name, value in headers if is_secret_name(name)]
        ticket = self._ticket
        about = AttemptId(ticket.id, ticket.attempts, ticket.provider, ticket.model)
        listener = self._tap(about, [*secrets_of(self._provider), *keys])
        return _listened_to(self._transport.exchange(url, headers, body, on_sent=on_sent), listener, ticket, url, body)


@asynccontextmanager
async def _listened_to(
    exchange: AbstractAsyncContextManager[Response], listener: Listener, ticket: Ticket, url: str, body: bytes
) -> AsyncIterator[Response]:
    listener.sent(url, body)
    began = trio.current_time()
    is_whole = False
    outcome = "internal"
    try:
        async with exchange as response:
            listener.head_came(response.status, response.headers.get("content-type", ""))
            heard = _HeardResponse(response, listener)
            try:
                yield heard
            finally:
                is_whole = heard.saw_end or response.is_at_end
        outcome = _outcome(ticket, None)
    except BaseException as error:
        outcome = _outcome(ticket, error)
        raise
    finally:
        listener.ended(_ending(ticket, outcome, trio.current_time() - began, is_whole=is_whole))


class _HeardResponse:
    def __init__(self, response: Response, listener: Listener) -> None:
        self._response = response
        self._listener = listener
        self.saw_end = False

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> dict[str, str]:
        return self._response.headers

    @property
    def is_at_end(self) -> bool:
        return self._response.is_at_end

    async def receive_some(self) -> bytes:
        data = await self._response.receive_some()
        if data:
            self._listener.bytes_came(data)
        else:
            self.saw_end = True
        return data


def _outcome(ticket: Ticket, error: BaseException | None) -> str:
    """As far as it is known when the exchange is left: its failure is classified after that."""
    terminal, decoder = ticket.terminal, ticket.decoder
    if terminal is not None:
        return terminal.error.kind if isinstance(terminal, StreamFailed) else "completed"
    if decoder is not None and isinstance(decoder.outcome, Failure):
        return decoder.outcome.kind
    if decoder is not None and decoder.proven:
        return "completed"
    match error:
        case None:
            return "failed"
        case TransportFault(failure=failure):
            return failure.kind
        case SlowConsumer():
            return "slow_consumer"
        case trio.Cancelled():
            # Its own scope has the deadlines; any other one is that of an actor which ends.
            return "timeout" if ticket.scope is not None and ticket.scope.cancel_called else "cancelled"
        case _:
            return "internal"


def _ending(ticket: Ticket, outcome: str, seconds: float, *, is_whole: bool) -> Ending:
    decoder = ticket.decoder
    reply = decoder.outcome if decoder is not None and isinstance(decoder.outcome, Reply) else None
    message = reply.message if reply is not None else decoder.partial() if decoder is not None else None
    return Ending(
        outcome,
        seconds,
        is_whole=is_whole,
        content_length=len(message.text) if message is not None else 0,
        tool_call_count=len(message.tool_calls) if message is not None else 0,
        finish_reason=reply.raw_stop_reason if reply is not None else None,
    )
