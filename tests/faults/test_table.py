"""Every row of the fault table: what fails, how it is told, how often it was tried, how long it took, what is left.

First the rows that one answer makes, as data; then, by their numbers, those that take more: no server, a bad
certificate, a second request, a caller that leaves, an actor that crashes.
"""

import gc
import json
import re
import socket
import sys
import unicodedata
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from nexus3 import (
    CompletionRequest,
    ContentDelta,
    Message,
    Notice,
    RetryScheduled,
    Role,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
    Supervisor,
    Tool,
    ToolCall,
    ToolCallStarted,
)
from nexus3.actors.gates.budget import CAPACITY
from nexus3.actors.ticket import REPLY_BATCHES
from nexus3.loopback.process import LoopbackProcess
from nexus3.testing import check_at_rest, check_events, crash
from nexus3.testing.toxic import ResetPeer, Slicer, open_toxic_proxy_process
from nexus3.wire.events import MAYBE_BILLED_TWICE
from tests.actors.house import until
from tests.actors.http.names import resolving
from tests.actors.http.world import open_tls_front, sockets
from tests.actors.scripted import events_of
from tests.faults.table import ATTEMPTS, INJECTED, LINES, MIB, ODD_IDS, SHORT, Line
from tests.faults.world import (
    LATE,
    REFUSED_WITHIN,
    Fate,
    a_server,
    answered,
    ask,
    asked,
    at_rest,
    exchanges,
    house,
    live,
)


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackProcess]:
    with a_server() as process:
        trio.run(_once, process.url)  # what is imported and made once is made now
        yield process


async def _once(url: str) -> None:
    async with house(url) as sup:
        await sup.complete(ask("openai:hello"))
        await sup.complete(ask("anthropic:hello"))


def complete(events: list[StreamEvent]) -> StreamComplete:
    """The terminal of a request that must succeed."""
    end = check_events(events)
    assert isinstance(end, StreamComplete), f"it failed: {end}"
    return end


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
async def test_row(line: Line, server: LoopbackProcess) -> None:
    settings = dict(line.settings)
    if line.limit is not None:
        settings[line.limit] = SHORT
    async with house(server.url, settings) as sup:
        lived = await live(sup, ask(f"{line.model}:{line.name}"))
        assert complete(await events_of(sup, ask(f"{line.model}:hello"))).attempts == 1, (
            "the provider is as good as ever"
        )
    assert lived.fate == Fate(
        kind=line.kind,
        reason=line.reason,
        phase=line.phase,
        retryable=line.retryable,
        attempts=line.attempts,
        status=line.status,
        retry_after=line.retry_after,
        partial=line.partial,
    )
    assert len(await exchanges(server, line.name)) == line.attempts
    limit = line.attempts * SHORT if line.limit else 0.0
    print(f"{line.name}: {lived.seconds:.3f} s of {limit:.1f} s")
    assert limit <= lived.seconds < limit + LATE
    assert sockets() == 0


# -- 1 to 4: no connection


NAME = "api.example.test"


@contextmanager
def a_listener(backlog: int = 16) -> Iterator[socket.socket]:
    """Accepts nothing; the system does, up to the backlog."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


async def fails_to_connect(
    base_url: str,
    expected: Fate,
    seconds: float,
    settings: Mapping[str, object] | None = None,
    *,
    late: float = LATE,
) -> None:
    """A request ends so, within the limits, and leaves no socket open, though nobody collects garbage."""
    before = sockets()
    gc.disable()
    try:
        async with house(base_url, {"base_url": base_url, **(settings or {})}) as sup:
            lived = await live(sup, ask("openai:any"))
            assert sockets() == before
    finally:
        gc.enable()
    assert lived.fate == expected
    print(f"{lived.seconds:.3f} s of {seconds:.1f} s")
    assert seconds <= lived.seconds < seconds + late


async def test_row_01_the_name_does_not_exist() -> None:
    resolver = resolving(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    await fails_to_connect(f"https://{NAME}/v1", Fate("transport", "dns", "connect", True, ATTEMPTS), 0.0)
    assert resolver.asked == [NAME] * ATTEMPTS, "that it was missing is not remembered"


NO_CONNECTION = Fate("transport", "connect", "connect", True, ATTEMPTS)


async def test_row_02_nobody_listens() -> None:
    with a_listener() as listener:
        port = port_of(listener)
    await fails_to_connect(f"http://127.0.0.1:{port}/v1", NO_CONNECTION, 0.0, late=ATTEMPTS * REFUSED_WITHIN)


async def test_row_02_no_way_leads_there() -> None:
    """In a network of its own, whose loopback is down, the system says "Network is unreachable" to any address."""
    script = Path(__file__).with_name("unreachable.py")
    isolated = ["unshare", "--map-root-user", "--net", sys.executable, str(script)]
    done = await trio.run_process(isolated, capture_stdout=True, capture_stderr=True, check=False)
    if done.stderr.startswith(b"unshare:"):
        pytest.skip(f"no network namespaces here: {done.stderr.decode().strip()}")
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    print(f"{told['seconds']:.3f} s")
    assert Fate(*told["fate"]) == NO_CONNECTION
    assert "unreachable" in told["message"]
    assert told["seconds"] < ATTEMPTS * REFUSED_WITHIN


STALLED = Fate("timeout", "connect", "connect", True, 2)


async def test_row_03_the_name_lookup_stalls() -> None:
    resolving(None)
    await fails_to_connect(f"https://{NAME}/v1", STALLED, 2 * SHORT, {"connect_timeout": SHORT})


async def test_row_03_the_connection_stalls() -> None:
    with a_listener(backlog=0) as listener, ExitStack() as held:
        for _ in range(2):  # the queue of connections is full: the next SYN is not answered
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{port_of(listener)}/v1"
        await fails_to_connect(url, STALLED, 2 * SHORT, {"connect_timeout": SHORT})


async def test_row_03_the_handshake_stalls() -> None:
    resolving("127.0.0.1")
    with a_listener() as listener:
        url = f"https://{NAME}:{port_of(listener)}/v1"
        await fails_to_connect(url, STALLED, 2 * SHORT, {"connect_timeout": SHORT})


@pytest.mark.parametrize("what", ["another-authority", "another-name", "expired"])
async def test_row_04_the_certificate_is_not_accepted(what: str, server: LoopbackProcess, tmp_path: Path) -> None:
    resolving("127.0.0.1")
    ours = trustme.CA()
    match what:
        case "another-authority":
            leaf = trustme.CA().issue_cert(NAME)
        case "another-name":
            leaf = ours.issue_cert("other.example.test")
        case _:
            leaf = ours.issue_cert(NAME, not_after=datetime(2020, 1, 1, tzinfo=UTC))
    await refuses_certificate(ours, leaf, server, tmp_path, Fate("transport", "certificate", "connect", False, 1))


async def refuses_certificate(
    ours: trustme.CA, leaf: trustme.LeafCert, server: LoopbackProcess, folder: Path, expected: Fate
) -> None:
    ours.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    async with open_tls_front(server.port, folder / "server.pem") as port:
        before = len(await server.exchanges())
        await fails_to_connect(f"https://{NAME}:{port}/v1", expected, 0.0, {"ca_file": str(folder / "ca.pem")})
        assert len(await server.exchanges()) == before, "nothing was sent"


async def test_row_04_a_good_certificate_is_accepted(server: LoopbackProcess, tmp_path: Path) -> None:
    resolving("127.0.0.1")
    ours = trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours.issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    async with open_tls_front(server.port, tmp_path / "server.pem") as port:
        settings = {"base_url": f"https://{NAME}:{port}/v1", "ca_file": str(tmp_path / "ca.pem")}
        async with house(server.url, settings) as sup:
            assert complete(await events_of(sup, ask("openai:hello"))).attempts == 1


async def test_row_04_no_tls_at_all(server: LoopbackProcess) -> None:
    resolving("127.0.0.1")
    await fails_to_connect(f"https://{NAME}:{server.port}/v1", Fate("transport", "tls", "connect", False, 1), 0.0)


# -- 5, 6: a connection that was lost


@pytest.mark.parametrize(
    ("model", "attempts", "asked", "paid"),
    [("goes-while-idle", 1, 2, 0), ("stale-fin", 1, 3, 1), ("stale-rst", 1, 3, 1), ("stale-and-then-worse", 2, 4, 2)],
)
async def test_row_05_a_kept_connection_had_died(
    model: str, attempts: int, asked: int, paid: int, server: LoopbackProcess
) -> None:
    async with house(server.url) as sup:
        assert complete(await events_of(sup, ask(f"openai:{model}"))).attempts == 1
        await at_rest(sup)
        if model == "goes-while-idle":
            await answered(server, model)
        began = trio.current_time()
        events = await events_of(sup, ask(f"openai:{model}"))
        assert trio.current_time() - began < LATE
        assert sup.slot("openai").gates.budget(trio.current_time()) == CAPACITY - paid, "of retries"
    # The first loss costs no attempt; one on a new connection does.
    assert complete(events).attempts == attempts
    assert len([event for event in events if isinstance(event, RetryScheduled)]) == attempts - 1
    seen = await exchanges(server, model)
    assert len(seen) == asked
    assert len({exchange.connection for exchange in seen}) == asked - (model != "goes-while-idle")


async def test_row_06_what_may_have_been_received_is_not_repeated_where_that_is_forbidden(
    server: LoopbackProcess,
) -> None:
    name = "06-rst-without-an-answer"
    before = len(await exchanges(server, name))
    async with house(server.url, {"retry_unsafe": False}) as sup:
        lived = await live(sup, ask(f"openai:{name}"))
    assert lived.fate == Fate("transport", "reset", "headers", True, 1)
    assert len(await exchanges(server, name)) == before + 1


async def test_row_06_the_connection_is_reset_while_the_request_is_written(server: LoopbackProcess) -> None:
    async with open_toxic_proxy_process(server.port, ResetPeer(100_000, toward="server")) as proxy:
        async with house(proxy.url) as sup:
            lived = await live(sup, ask("openai:hello", "x" * 8_000_000))
        assert lived.fate == Fate("transport", "reset", "request", True, ATTEMPTS)
        assert lived.seconds < LATE * ATTEMPTS
        assert (await proxy.counts()).cut == ATTEMPTS


# -- 17: errors that are larger than anybody reads


def peak_bytes() -> int:
    """The most memory that this process has held since :func:`forget_peak`."""
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


def forget_peak() -> int:
    """Begin to measure anew; the memory that is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux' /proc")
async def test_row_17_an_endless_error_body_is_neither_read_nor_held(server: LoopbackProcess) -> None:
    name = "17-endless-error-body"
    async with house(server.url) as sup:
        for _ in range(2):  # what grows once has grown
            await live(sup, ask(f"openai:{name}"))
        before = forget_peak()
        lived = await live(sup, ask(f"openai:{name}"))
        grown = peak_bytes() - before
        await answered(server, name)
    print(f"256 MB of error: {grown / MIB:.2f} MB more held, {lived.seconds:.3f} s")
    assert lived.fate == Fate("bad_request", "bad_request", "headers", False, 1, 400)
    assert grown < 2 * MIB
    assert lived.seconds < LATE
    assert (await exchanges(server, name))[-1].client_left
    assert sockets() == 0


async def test_row_17_of_a_long_error_no_more_than_10_kib_are_told(server: LoopbackProcess) -> None:
    async with house(server.url) as sup:
        lived = await live(sup, ask("openai:long-error"))
    assert lived.fate == Fate("bad_request", "invalid_request_error", "headers", False, 1, 400)
    assert 0 < len(lived.failure.message.encode()) <= 10 << 10


# -- 10: redirects


async def test_row_10_where_a_redirect_leads_is_told_without_its_path(server: LoopbackProcess) -> None:
    with a_listener() as elsewhere:
        async with house(server.url) as sup:
            lived = await live(sup, ask("openai:10-redirect-307"))
        assert "http://127.0.0.1:9" in lived.failure.message
        assert "elsewhere" not in lived.failure.message
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


# -- 27, 31, 32, 34, 35, 37 to 39: what must not matter


@pytest.mark.parametrize("model", ["surplus", "late-surplus"])
async def test_row_27_a_second_response_reaches_nobody(model: str, server: LoopbackProcess) -> None:
    async with house(server.url) as sup:
        for _ in range(5):
            assert complete(await events_of(sup, ask(f"openai:{model}"))).message.content == "mine"
            await at_rest(sup)
            await answered(server, model)
            assert complete(await events_of(sup, ask("openai:hello"))).message.content == "Hello"
    seen = await exchanges(server, model)
    assert len({exchange.connection for exchange in seen}) == 5


async def test_row_31_bytes_may_come_one_by_one(server: LoopbackProcess) -> None:
    async with house(server.url) as sup:
        done = complete(await events_of(sup, ask("openai:one-byte-chunks")))
        assert done.message.content == "0123456789" * 1000
    async with open_toxic_proxy_process(server.port, Slicer(1)) as proxy, house(proxy.url) as sup:
        done = complete(await events_of(sup, ask("openai:hello")))
        assert (done.message.content, done.attempts) == ("Hello", 1)


async def test_row_32_an_index_of_a_billion_is_just_a_call(server: LoopbackProcess) -> None:
    async with house(server.url) as sup:
        done = complete(await events_of(sup, ask("openai:index-of-a-billion")))
    assert done.message.tool_calls == (ToolCall(id="c", name="f", arguments={}, raw_arguments="{}"),)


@pytest.mark.parametrize("model", ["lone-surrogate", "no-utf-8-in-text"])
async def test_rows_34_and_35_what_is_no_character_is_replaced(model: str, server: LoopbackProcess) -> None:
    async with house(server.url) as sup:
        done = complete(await events_of(sup, ask(f"openai:{model}")))
    assert done.message.content == "caf\N{REPLACEMENT CHARACTER}"


async def test_row_37_cookies_are_not_kept(server: LoopbackProcess) -> None:
    async with house(server.url) as sup:
        for _ in range(2):
            complete(await events_of(sup, ask("openai:cookie")))
    seen = await exchanges(server, "cookie")
    assert len(seen) == 2
    assert not any("cookie" in exchange.headers for exchange in seen)


async def test_row_38_arguments_are_text_and_data_and_nothing_else(server: LoopbackProcess) -> None:
    async with house(server.url) as sup:
        [call] = complete(await events_of(sup, ask("openai:injected"))).message.tool_calls
    assert (call.name, call.raw_arguments) == (INJECTED.name, INJECTED.arguments)
    assert call.arguments == {"cmd": "$(reboot)", "__class__": "{0.__init__}"}


@pytest.mark.parametrize(
    ("model", "legal"), [("openai", r"[A-Za-z0-9_.:-]{1,128}"), ("anthropic", r"[A-Za-z0-9_-]{1,64}")]
)
async def test_row_38_odd_ids_of_calls_are_replaced_and_calls_and_results_stay_together(
    model: str, legal: str, server: LoopbackProcess
) -> None:
    async with house(server.url) as sup:
        events = await events_of(sup, ask(f"{model}:odd-ids"))
        message = complete(events).message
        ids = [call.id for call in message.tool_calls]
        assert [event.id for event in events if isinstance(event, ToolCallStarted)] == ids
        assert len(set(ids)) == len(ODD_IDS)
        assert [call_id for call_id in ids if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", call_id)] == []
        results = [Message(role=Role.TOOL, tool_call_id=call_id, content=str(n)) for n, call_id in enumerate(ids)]
        question = Message(role=Role.USER, content="hi")
        answered_calls = CompletionRequest(model=f"{model}:hello", messages=(question, message, *results))
        complete(await events_of(sup, answered_calls))
    body = (await exchanges(server, "hello"))[-1].body
    assert isinstance(body, dict)
    sent, returned = calls_and_results(model, body["messages"])
    assert [text for _, text in returned] == [str(n) for n in range(len(ODD_IDS))]
    assert [call_id for call_id, _ in returned] == sent, "each result is of its own call"
    assert [call_id for call_id in sent if not re.fullmatch(legal, call_id)] == []


@pytest.mark.parametrize("model", ["openai", "anthropic"])
async def test_row_38_a_call_of_a_tool_that_the_request_does_not_have_is_told(
    model: str, server: LoopbackProcess
) -> None:
    tools = (Tool(name="declared", parameters={"type": "object", "properties": {}}),)
    async with house(server.url) as sup:
        question = (Message(role=Role.USER, content="hi"),)
        events = await events_of(sup, CompletionRequest(model=f"{model}:odd-ids", messages=question, tools=tools))
        calls = complete(events).message.tool_calls
    told = [event.text for event in events if isinstance(event, Notice) and event.code == "undeclared_tool"]
    assert len(told) == len(calls) > 0
    assert calls[0].name in told[0]


def calls_and_results(dialect: str, messages: list[dict[str, Any]]) -> tuple[list[str], list[tuple[str, str]]]:
    """The ids of the calls in a body, and of the results with their texts, each in its order."""
    if dialect == "openai":
        calls = [call["id"] for message in messages for call in message.get("tool_calls", ())]
        return calls, [(each["tool_call_id"], each["content"]) for each in messages if each["role"] == "tool"]
    blocks = [block for message in messages for block in message["content"] if isinstance(block, dict)]
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    return calls, [(each["tool_use_id"], each["content"]) for each in blocks if each["type"] == "tool_result"]


async def test_row_39_control_characters_are_escaped(
    server: LoopbackProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(server.url) as sup:
        lived = await live(sup, ask("openai:escapes"))
    assert (lived.fate.kind, lived.fate.status) == ("bad_request", 400)
    shown = str(lived.events[-1]) + lived.failure.message
    assert "forged line" in shown
    assert [char for char in shown if unicodedata.category(char) in ("Cc", "Cf")] == []


# -- 40 to 42: callers


@asynccontextmanager
async def busy_with(
    model: str, server: LoopbackProcess
) -> AsyncIterator[tuple[Supervisor, trio.MemoryReceiveChannel[StreamEvent]]]:
    """A request whose answer stalls, on the way to a channel; once the server has it, or more of it."""
    name = model.partition(":")[2]
    before = len(await exchanges(server, name))

    async with house(server.url) as sup, sup.submissions() as submit:
        send, receive = trio.open_memory_channel[StreamEvent](64)
        await submit.send(Submission(ask(model), reply_to=send))
        await asked(server, name, before + 1)
        while name == "held" and not isinstance(await receive.receive(), ContentDelta):
            pass
        assert sockets() == 1
        yield sup, receive


@pytest.mark.parametrize("model", ["held", "held-head"])
async def test_row_40_a_caller_that_is_cancelled_closes_its_connection(model: str, server: LoopbackProcess) -> None:
    before = len(await exchanges(server, model))
    async with house(server.url) as sup:
        with trio.move_on_after(0.2):
            await sup.complete(ask(f"openai:{model}"))
        left = trio.current_time()
        await until(lambda: sockets() == 0)
        assert trio.current_time() - left < 0.05
        assert sup.snapshot().counters["outcome.cancelled"] == 1
        await until(lambda: sup.snapshot().children["openai"].in_flight == 0)
        check_at_rest(sup.snapshot())
    [exchange] = (await exchanges(server, model))[before:]
    assert exchange.client_left


@pytest.mark.parametrize("model", ["held", "held-head"])
async def test_row_41_a_closed_reply_stream_closes_its_connection(model: str, server: LoopbackProcess) -> None:
    async with house(server.url) as sup:
        async with sup.stream(ask(f"openai:{model}")) as stream:
            with trio.move_on_after(0.2):
                async for _ in stream:
                    pass
            assert sockets() == 1
        await until(lambda: sockets() == 0)


async def test_row_41_a_channel_that_its_reader_closed_is_noticed_at_the_next_event(server: LoopbackProcess) -> None:
    async with busy_with("openai:paced", server) as (sup, receive):
        await receive.receive()
        receive.close()
        left = trio.current_time()
        await until(lambda: sockets() == 0)
        assert trio.current_time() - left < 0.02 + 0.05
        assert sup.snapshot().counters["outcome.cancelled"] == 1
        assert complete(await events_of(sup, ask("openai:hello"))).attempts == 1
        assert sup.snapshot().children["openai"].restarts == 0, "the actor lives"


async def test_row_42_a_caller_that_does_not_read_holds_its_own_stream_only(server: LoopbackProcess) -> None:
    async with house(server.url, {"stall_timeout": SHORT}) as sup:
        submission = Submission(ask("openai:flood"))
        async with sup.submissions() as submit:
            await submit.send(submission)
        await until(lambda: submission.events._pipe.statistics().batches >= REPLY_BATCHES)
        began = trio.current_time()
        assert complete(await events_of(sup, ask("openai:hello"))).attempts == 1
        await until(lambda: sup.snapshot().counters.get("outcome.slow_consumer"))
        assert trio.current_time() - began < SHORT + LATE
        async with submission.events as stream:
            events = [event async for event in stream]
        end = check_events(events)
        assert isinstance(end, StreamFailed)
        error = end.error
        assert (error.kind, error.reason, error.phase) == ("slow_consumer", "stall_timeout", "stream")
        assert (error.retryable, error.emitted, error.attempts) == (False, True, 1)
        assert error.partial is not None
    [exchange] = await exchanges(server, "flood")
    assert exchange.client_left
    assert exchange.pieces_sent < 4000, "the server was left unread"


# -- 43 to 45: actors


async def test_row_43_a_full_mailbox_refuses_at_once(server: LoopbackProcess) -> None:
    async with house(server.url, {"max_connections": 1, "mailbox_capacity": 1}) as sup, trio.open_nursery() as nursery:
        nursery.start_soon(events_of, sup, ask("openai:held"))
        await until(lambda: sup.snapshot().children["openai"].in_flight == 1)
        nursery.start_soon(events_of, sup, ask("openai:held"))
        await until(lambda: sup.snapshot().children["openai"].queued == 1)
        refusals = [await live(sup, ask("openai:hello")) for _ in range(21)]
        assert {lived.fate for lived in refusals} == {Fate("unavailable", "mailbox_full", "queued", True, 0)}
        seconds = sorted(lived.seconds for lived in refusals)
        print(f"refused within {seconds[10] * 1000:.2f} ms, at most {seconds[-1] * 1000:.2f} ms")
        assert seconds[10] < 0.001
        assert seconds[-1] < LATE
        nursery.cancel_scope.cancel()


async def test_row_44_what_had_emitted_fails_with_what_was_received(server: LoopbackProcess) -> None:
    async with busy_with("openai:held", server) as (sup, receive):
        crash(sup, "openai")
        end = [event async for event in receive][-1]
    assert isinstance(end, StreamFailed)
    error = end.error
    assert (error.kind, error.reason) == ("actor_crashed", "mid_stream")
    assert (error.retryable, error.emitted, error.attempts) == (True, True, 1)
    assert error.partial is not None
    assert error.partial.content == "Hel"


async def test_row_44_what_had_emitted_nothing_is_served_by_the_next_incarnation(server: LoopbackProcess) -> None:
    async with busy_with("openai:held-once", server) as (sup, receive):
        crash(sup, "openai")
        events = [event async for event in receive]
        assert sup.snapshot().children["openai"].restarts == 1
    done = complete(events)
    assert (done.message.content, done.attempts) == ("Hello", 2)
    assert [event.code for event in events if isinstance(event, Notice)] == [MAYBE_BILLED_TWICE]
    assert len(await exchanges(server, "held-once")) == 2


async def test_row_44_a_request_that_two_crashes_have_met_is_not_tried_again(server: LoopbackProcess) -> None:
    before = len(await exchanges(server, "held-head"))
    async with busy_with("openai:held-head", server) as (sup, receive):
        crash(sup, "openai")
        await asked(server, "held-head", before + 2)
        crash(sup, "openai")
        end = [event async for event in receive][-1]
    assert isinstance(end, StreamFailed)
    error = end.error
    assert (error.kind, error.reason) == ("actor_crashed", "poison_request")
    assert (error.retryable, error.emitted, error.attempts) == (False, False, 2)


async def test_row_45_an_actor_that_crashes_too_often_is_parked_and_the_others_go_on(server: LoopbackProcess) -> None:
    async with house(server.url, supervisor={"max_restarts": 2}) as sup:
        for generation in (1, 2, 3):
            await until(partial(_is_ready, sup, generation))
            crash(sup, "openai")
        await until(lambda: sup.snapshot().children["openai"].state == "parked")
        lived = await live(sup, ask("openai:hello"))
        assert lived.fate == Fate("unavailable", "parked", "queued", True, 0)
        assert lived.seconds < 0.05
        assert complete(await events_of(sup, ask("anthropic:hello"))).attempts == 1


def _is_ready(sup: Supervisor, generation: int) -> bool:
    child = sup.snapshot().children["openai"]
    return (child.state, child.generation) == ("ready", generation)
