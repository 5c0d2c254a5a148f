"""A forwarder that is cut short: what is in its hand goes first, and what has no end is a dead letter."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3 import ContentDelta, StreamEvent, StreamFailed, Submission
from nexus3.actors.reply.forward import forward
from nexus3.actors.ticket import Ticket
from nexus3.wire.failures import fail
from tests.actors.house import ask

GONE = fail("unavailable", "closed", "The supervisor is closed.")
A, B = ContentDelta("a"), ContentDelta("b")


class Forwarder:
    """One request whose events go to a channel with room for ``places``; its work is the test's."""

    def __init__(self, places: int) -> None:
        self.send, self.receive = trio.open_memory_channel[StreamEvent](places)
        self.ticket, self._stream = Submission(ask(), reply_to=self.send).hand_over()
        self.letters: list[str] = []

    async def run(self) -> None:
        def note(_: Ticket, reason: str) -> None:
            self.letters.append(reason)

        await forward(self.ticket, self._stream, self.send, stall_timeout=5.0, on_dead_letter=note)


async def test_what_it_holds_is_handed_over_before_what_came_after_it(nursery: trio.Nursery) -> None:
    way = Forwarder(2)
    nursery.start_soon(way.run)
    way.ticket.offer([A, A, B])
    await wait_all_tasks_blocked()
    nursery.cancel_scope.cancel()
    way.ticket.fail(GONE)
    seen = [way.receive.receive_nowait(), way.receive.receive_nowait()]  # room is made before it looks again
    with trio.CancelScope(shield=True):
        seen += [event async for event in way.receive]
    assert seen == [A, A, B, way.ticket.terminal]
    assert way.letters == []


async def test_without_the_terminal_it_is_a_dead_letter_though_all_else_was_handed_over(nursery: trio.Nursery) -> None:
    way = Forwarder(8)
    nursery.start_soon(way.run)
    way.ticket.offer([A, B])
    await wait_all_tasks_blocked()
    nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        assert [event async for event in way.receive] == [A, B]
    assert way.letters == ["reply_full"]


async def test_a_channel_that_stays_full_ends_its_request_as_too_slow(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    way = Forwarder(1)
    nursery.start_soon(way.run)
    way.ticket.offer([A, B])
    await trio.sleep(6)
    assert isinstance(way.ticket.terminal, StreamFailed)
    error = way.ticket.terminal.error
    assert (error.kind, error.reason, way.letters) == ("slow_consumer", "reply_full", ["reply_full"])
    assert [event async for event in way.receive] == [A]
