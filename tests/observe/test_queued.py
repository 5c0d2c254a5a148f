"""A sink that stalls costs lines, counted ones, and nothing else."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog

from nexus3 import CompletionRequest, Message, Role, open_supervisor
from nexus3.observe import QueuedStream, configure


class Stalled(io.StringIO):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.go_on.wait(30)
        return super().write(text)


@pytest.fixture
def stalled() -> Iterator[Stalled]:
    stream = Stalled()
    yield stream
    stream.go_on.set()


def test_lines_arrive_in_order() -> None:
    sink = io.StringIO()
    stream = QueuedStream(sink)
    for number in range(100):
        assert stream.write(f"{number}\n") == len(f"{number}\n")
    stream.close()
    assert sink.getvalue() == "".join(f"{number}\n" for number in range(100))


def test_a_full_queue_drops_and_counts(stalled: Stalled) -> None:
    stream = QueuedStream(stalled, lines=3)
    stream.write("0")
    assert stalled.reached.wait(30)  # the thread has taken it and hangs
    for number in range(1, 10):
        stream.write(str(number))
    assert stream.dropped == 6
    stalled.go_on.set()
    stream.close(30)
    assert stalled.getvalue() == "0123"


def test_closing_does_not_wait_for_a_sink_that_hangs(stalled: Stalled) -> None:
    stream = QueuedStream(stalled)
    stream.write("a")
    stream.close(timeout=0.01)
    assert stream.write("late") == 4
    assert stream.dropped == 1


def test_a_broken_sink_costs_its_lines_only() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("disk full")

    stream = QueuedStream(Broken())
    stream.write("a")
    stream.write("b")
    stream.close(30)
    assert stream.dropped == 2


def test_a_pipe_is_written_past_python_s_buffers() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding="ascii") as pipe:
        stream = QueuedStream(pipe)
        stream.write("a ä\n")
        stream.close(30)
        assert os.read(read, 100) == b"a \\xe4\n"
    os.close(read)


def test_a_process_ends_though_nobody_reads_its_log() -> None:
    program = (
        "import sys\n"
        "from nexus3.observe import QueuedStream, configure\n"
        "import structlog\n"
        "configure('json', stream=QueuedStream(sys.stderr))\n"
        "for number in range(3000):\n"
        "    structlog.get_logger().info('x' * 100, number=number)\n"
        "print('done')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == b"done\n"
        held = process.stderr.read()  # what the pipe took before it was full
        assert b"Fatal" not in held
        assert 0 < held.count(b"\n") < 3000
    finally:
        process.kill()
        process.communicate()


async def test_a_stalled_sink_does_not_hold_up_a_request(stalled: Stalled) -> None:
    stream = QueuedStream(stalled, lines=2)
    configure("json", level="debug", stream=stream)
    try:
        async with open_supervisor("loopback") as sup:
            done = await sup.complete(CompletionRequest(messages=(Message(role=Role.USER, content="hi"),)))
    finally:
        structlog.reset_defaults()
    assert done.message.content
    assert stream.dropped > 0
