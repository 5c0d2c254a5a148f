"""The literal reply channel: events of a request are copied to a channel that the caller brought.

A thin reader on top of the one true reply stream. It costs a task and a task switch per event, and its terminal is the
one that can be lost: a full channel of somebody else cannot be forced.
"""

from collections.abc import Callable

import trio

from nexus3.actors.reply.stream import ReplyStream
from nexus3.actors.ticket import Ticket
from nexus3.wire.events import StreamComplete, StreamEvent, StreamFailed
from nexus3.wire.failures import fail


@trio.lowlevel.enable_ki_protection
async def forward(
    ticket: Ticket,
    stream: ReplyStream,
    reply_to: trio.MemorySendChannel[StreamEvent],
    *,
    stall_timeout: float,
    on_dead_letter: Callable[[Ticket, str], None],
) -> None:
    """Copy the stream to ``reply_to`` and close it after the terminal. Owns ``reply_to`` from the first moment.

    A channel that stays full for ``stall_timeout`` seconds, or is full when this is cancelled, is closed without a
    terminal, which is told as a dead letter. A receiver that has left ends the request.
    """
    delivered = False
    in_hand: list[StreamEvent] = []
    with reply_to:
        try:
            async for event in stream:
                in_hand = [event]
                is_sent = await _send(reply_to, event, stall_timeout)
                in_hand = []
                if not is_sent:
                    seconds = f"{stall_timeout:g} s"
                    ticket.fail(
                        fail("slow_consumer", "reply_full", f"reply_to was full for {seconds}.", phase="stream")
                    )
                    break
            else:
                delivered = True
        except trio.BrokenResourceError:
            ticket.fail(fail("cancelled", "caller_left", "The receiver of reply_to was closed.", retryable=False))
        except trio.Cancelled:
            delivered = _flush([*in_hand, *stream.rest()], reply_to)
            raise
        finally:
            stream.close()
            if not delivered:
                on_dead_letter(ticket, "reply_full")


async def _send(channel: trio.MemorySendChannel[StreamEvent], event: StreamEvent, stall_timeout: float) -> bool:
    try:
        channel.send_nowait(event)
    except trio.WouldBlock:
        with trio.move_on_after(stall_timeout) as stall:
            await channel.send(event)
        return not stall.cancelled_caught
    return True


def _flush(events: list[StreamEvent], channel: trio.MemorySendChannel[StreamEvent]) -> bool:
    """The block ends: hand over what fits without waiting; whether the terminal was among it."""
    try:
        for event in events:
            channel.send_nowait(event)
    except (trio.WouldBlock, trio.BrokenResourceError):
        return False
    return bool(events) and isinstance(events[-1], StreamComplete | StreamFailed)
