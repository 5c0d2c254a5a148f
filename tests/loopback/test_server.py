"""The server on real sockets: what clients see, and what the server says it saw."""

import contextlib
import gc
import os
import socket
import stat
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3.loopback import (
    Answer,
    Cut,
    Endless,
    Exchange,
    HangUp,
    InformationalFlood,
    Loopback,
    Raw,
    Received,
    Stall,
    StallHeaders,
    open_loopback,
)
from nexus3.loopback.connection import MAX_REQUEST_BYTES
from tests.loopback.raw import CHAT, ask, body_of, chat, chat_body, connect, post, read_to_end, read_until, reset

CLOSE = {"connection": "close"}
END = b"0\r\n\r\n"


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with open_loopback() as loopback:
        yield loopback


async def all_connections_closed(loopback: Loopback) -> None:
    """Wait until the server has let go of every connection; the test's own must be closed."""
    with trio.fail_after(5):
        while loopback.open_connections:
            await wait_all_tasks_blocked()


async def test_an_answer_arrives_whole(server: Loopback) -> None:
    response = await ask(server.port, chat(headers=CLOSE))
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert msgspec.json.decode(body)["choices"][0]["message"]["content"].endswith("You said: hi")


async def test_what_the_server_saw(server: Loopback) -> None:
    before = trio.current_time()
    await ask(server.port, chat(headers=CLOSE, stream=True))
    (exchange,) = server.exchanges
    assert exchange.ended is not None
    assert before <= exchange.started <= exchange.ended <= trio.current_time()
    assert msgspec.structs.replace(exchange, headers={}, started=0.0, ended=0.0) == Exchange(
        number=0,
        connection=0,
        method="POST",
        path=CHAT,
        headers={},
        body=chat_body(stream=True),
        status=200,
        events_sent=12,
        pieces_sent=9,
        started=0.0,
        ended=0.0,
    )
    assert exchange.headers["connection"] == "close"


async def test_repeated_headers_are_joined(server: Loopback) -> None:
    async with await connect(server.port) as stream:
        await stream.send_all(b"GET /x HTTP/1.1\r\nhost: a\r\nX-Two: a\r\nx-two: b\r\nconnection: close\r\n\r\n")
        await read_to_end(stream)
    assert server.exchanges[0].headers["x-two"] == "a, b"


async def test_a_connection_takes_one_request_after_the_other(server: Loopback) -> None:
    async with await connect(server.port) as stream:
        for _ in range(3):
            await stream.send_all(chat(stream=True))
            await read_until(stream, END)
    assert [exchange.connection for exchange in server.exchanges] == [0, 0, 0]
    async with await connect(server.port) as stream:
        await stream.send_all(chat(stream=True))
        await read_until(stream, END)
    assert server.exchanges[3].connection == 1


async def test_pipelined_requests_are_answered_in_order(server: Loopback) -> None:
    async with await connect(server.port) as stream:
        await stream.send_all(chat("one") + chat("two") + chat("three", headers=CLOSE))
        data = await read_to_end(stream)
    assert data.count(b"HTTP/1.1 200 OK") == 3
    assert [data.index(b'"model":"%b"' % name) for name in (b"one", b"two", b"three")] == sorted(
        data.index(b'"model":"%b"' % name) for name in (b"one", b"two", b"three")
    )


async def test_requests_may_come_byte_by_byte(server: Loopback) -> None:
    async with await connect(server.port) as stream:
        for byte in chat(headers=CLOSE):
            await stream.send_all(bytes([byte]))
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_chunked_request_and_one_that_waits_for_100(server: Loopback) -> None:
    body = msgspec.json.encode(chat_body())
    async with await connect(server.port) as stream:
        await stream.send_all(
            b"POST %b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n" % CHAT.encode()
        )
        await stream.send_all(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 200 OK\r\n")
    async with await connect(server.port) as stream:
        await stream.send_all(
            b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
            % (CHAT.encode(), len(body))
        )
        assert await read_until(stream, b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        await stream.send_all(body)
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 200 OK\r\n")


JUNK = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET\r\n\r\n", b"\x00" * 100, b"GET / HTTP/1.1\r\nno colon\r\n\r\n"]


@pytest.mark.parametrize("junk", JUNK)
async def test_what_is_no_http_is_refused_and_disturbs_nobody(server: Loopback, junk: bytes) -> None:
    answer = await ask(server.port, junk + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert server.exchanges == []
    assert (await ask(server.port, chat(headers=CLOSE))).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_junk_behind_a_request_is_refused_after_its_answer(server: Loopback) -> None:
    data = await ask(server.port, chat(stream=True) + b"junk junk\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"0\r\n\r\nHTTP/1.1 400 Bad Request\r\n" in data


async def test_too_large_a_request_is_refused(server: Loopback) -> None:
    async with await connect(server.port) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (MAX_REQUEST_BYTES * 2))
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(MAX_REQUEST_BYTES // 2**19):
                await stream.send_all(b"x" * 2**20)
    await all_connections_closed(server)


async def test_a_client_that_leaves_in_the_middle_of_its_request_leaves_no_trace(server: Loopback) -> None:
    async with await connect(server.port) as stream:
        await stream.send_all(chat()[:-5])
        await wait_all_tasks_blocked()
        assert server.open_connections == 1
    await all_connections_closed(server)
    assert server.exchanges == []


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("fault", [Stall(2), StallHeaders(), Endless(2), InformationalFlood()])
async def test_a_client_that_leaves_in_the_middle_of_an_answer_is_noticed(
    fault: Stall | StallHeaders | Endless | InformationalFlood, how: str
) -> None:
    async with open_loopback(script=[Answer(["a", "b", "c"], fault=fault)]) as server:
        async with await connect(server.port) as stream:
            await stream.send_all(chat(stream=True))
            if fault != StallHeaders():
                await stream.receive_some()
            while not server.exchanges:
                await trio.lowlevel.checkpoint()
            left = trio.current_time()
            if how == "reset":
                reset(stream)
        await all_connections_closed(server)
        (exchange,) = server.exchanges
        assert exchange.client_left
        assert exchange.client_left_at is not None
        assert exchange.ended is not None
        assert left <= exchange.client_left_at <= exchange.ended
        assert exchange.client_left_at - left < 0.5


async def test_a_client_that_has_heard_all_has_not_left(server: Loopback) -> None:
    async with await connect(server.port) as stream:
        await stream.send_all(chat(stream=True))
        await read_until(stream, END)
    await all_connections_closed(server)
    assert not server.exchanges[0].client_left


async def test_a_client_that_does_not_read_stops_the_server_s_writing_and_nothing_else() -> None:
    script = [Answer("x", fault=Endless()), Answer("y")]
    async with open_loopback(script=script) as server, await connect(server.port) as deaf:
        await deaf.send_all(chat(stream=True))
        await wait_all_tasks_blocked(0.01)
        held = server.exchanges[0].events_sent
        assert (await ask(server.port, chat(headers=CLOSE))).startswith(b"HTTP/1.1 200 OK\r\n")
        await wait_all_tasks_blocked(0.01)
        assert server.exchanges[0].events_sent == held


async def test_cuts_are_what_they_are_called() -> None:
    answers = [Answer("Hello", fault=cut) for cut in (Cut(1), Cut(1, "truncate"), Cut(1, "end"), Cut(1, "reset"))]
    async with open_loopback(script=answers) as server:
        for how in ("eof", "truncate"):
            data = await ask(server.port, chat(stream=True))
            assert b"Hello" in data, how
            assert not data.endswith(END), how
        async with await connect(server.port) as stream:
            await stream.send_all(chat(stream=True))
            body = body_of(await read_until(stream, END))
            assert body.endswith(b"\n\n")
            assert b"[DONE]" not in body
            # The connection was kept; now it is reset.
            await stream.send_all(chat(stream=True))
            with pytest.raises(trio.BrokenResourceError):
                await read_to_end(stream)
        assert [exchange.client_left for exchange in server.exchanges] == [False] * 4
        assert [exchange.pieces_sent for exchange in server.exchanges] == [1] * 4


async def test_hanging_up_without_a_word() -> None:
    async with open_loopback(script=[Answer(fault=HangUp())]) as server:
        assert await ask(server.port, chat()) == b""
        assert server.exchanges[0].status is None


async def test_raw_bytes() -> None:
    async with open_loopback(script=[Raw([b"HTTP/1.1 200 OK\r\n", b"\r\n\x00"])]) as server:
        assert await ask(server.port, chat()) == b"HTTP/1.1 200 OK\r\n\r\n\x00"


async def test_pauses_are_of_trio_s_clock(autojump_clock: MockClock) -> None:
    async with open_loopback(script=[Answer(["a", "b", "c"], first_delay=60.0, delay=600.0)]) as server:
        async with await connect(server.port) as stream:
            await stream.send_all(chat(stream=True, headers=CLOSE))
            await read_to_end(stream)
        (exchange,) = server.exchanges
        assert exchange.ended is not None
        assert exchange.ended - exchange.started == pytest.approx(1260.0)


async def test_a_sequence_is_served_in_order_and_its_last_repeats() -> None:
    async with open_loopback(script=[Answer(status=503), None, Answer("last")]) as server:
        said = [await ask(server.port, chat(headers=CLOSE)) for _ in range(4)]
    assert [data.split(b" ")[1] for data in said] == [b"503", b"200", b"200", b"200"]
    assert [b"You said" in data for data in said] == [False, True, False, False]
    assert [b'"last"' in data for data in said] == [False, False, True, True]


async def test_a_script_sees_the_request_and_may_wait() -> None:
    seen: list[Received] = []

    async def decide(request: Received) -> Answer:
        seen.append(request)
        await trio.lowlevel.checkpoint()
        return Answer(f"you are number {request.number}")

    async with open_loopback(script=decide) as server:
        assert b"number 0" in await ask(server.port, chat("m1", headers=CLOSE))
        assert b"number 1" in await ask(server.port, chat("m2", headers=CLOSE))
    assert [(request.model, request.asked.user_text) for request in seen] == [("m1", "hi"), ("m2", "hi")]


async def test_a_client_that_leaves_while_the_script_waits_is_noticed() -> None:
    async def never(_: Received) -> Answer:
        await trio.sleep_forever()
        raise AssertionError

    async with open_loopback(script=never) as server:
        async with await connect(server.port) as stream:
            await stream.send_all(chat())
            await wait_all_tasks_blocked()
        await all_connections_closed(server)
        assert server.exchanges[0].client_left


async def test_a_failing_script_is_the_request_s_fault_not_the_server_s() -> None:
    def fail(request: Received) -> Answer:
        if request.model == "bad":
            raise LookupError("a \udcff surrogate")
        return Answer("fine")

    async with open_loopback(script=fail) as server:
        data = await ask(server.port, chat("bad"))
        assert data.startswith(b"HTTP/1.1 500 ")
        assert b"LookupError" in data
        assert "LookupError" in (server.exchanges[0].error or "")
        assert b"fine" in await ask(server.port, chat("good", headers=CLOSE))
        listed = await ask(server.port, b"GET /_loopback/exchanges HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert [item["error"] is None for item in msgspec.json.decode(listed.partition(b"\r\n\r\n")[2])] == [
            False,
            True,
        ]


async def test_an_answer_that_cannot_be_spelled_fails_alone() -> None:
    wrong = Answer(["a", 7])  # type: ignore[list-item]  # on purpose
    async with open_loopback(script=[wrong, Answer("fine")]) as server:
        assert (await ask(server.port, chat(stream=True))).startswith(b"HTTP/1.1 500 ")
        assert b"fine" in await ask(server.port, chat(headers=CLOSE))


async def test_an_answer_that_breaks_off_in_its_body_resets_the_connection() -> None:
    wrong = Answer(body=[b"a", 7], framing="chunked")  # type: ignore[list-item]  # on purpose
    async with open_loopback(script=[wrong]) as server:
        with pytest.raises(trio.BrokenResourceError):
            await ask(server.port, chat())
        (exchange,) = server.exchanges
        assert (exchange.status, exchange.client_left, "TypeError" in (exchange.error or "")) == (200, False, True)


async def test_the_exchanges_can_be_asked_for_over_http(server: Loopback) -> None:
    await ask(server.port, chat(headers=CLOSE))
    data = await ask(server.port, b"GET /_loopback/exchanges HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert msgspec.json.decode(data.partition(b"\r\n\r\n")[2], type=list[Exchange]) == server.exchanges
    assert len(server.exchanges) == 1


async def test_head_requests_do_no_harm(server: Loopback) -> None:
    assert (await ask(server.port, b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")).startswith(b"HTTP/1.1 404 ")


async def test_leaving_closes_everything_at_once() -> None:
    script = [Answer("x", fault=fault) for fault in (Stall(1), StallHeaders(), Endless())]
    streams: list[trio.SocketStream] = []
    async with open_loopback(script=script) as server:
        for _ in range(3):
            streams.append(await connect(server.port))
            await streams[-1].send_all(chat(stream=True))
        streams.append(await connect(server.port))
        await wait_all_tasks_blocked(0.01)
        assert server.open_connections == 4
        left = trio.current_time()
    assert trio.current_time() - left < 2
    assert server.open_connections == 0
    assert [exchange.client_left for exchange in server.exchanges] == [False] * 3
    assert None not in [exchange.ended for exchange in server.exchanges]
    for stream in streams:
        # Closed with bytes unread is RST, else FIN; both are an end.
        with contextlib.suppress(trio.BrokenResourceError):
            await read_to_end(stream)
        await stream.aclose()
    with pytest.raises(OSError, match="all attempts to connect"):
        await connect(server.port)


async def test_nothing_is_left_behind() -> None:
    """With the cycle collector off: sockets are closed, not collected."""
    gc.disable()
    try:
        before = sockets()
        async with open_loopback(script=[Answer("x", fault=Stall(1)), Answer("y")]) as server:
            stream = await connect(server.port)
            await stream.send_all(chat(stream=True))
            await wait_all_tasks_blocked()
            await ask(server.port, chat(headers=CLOSE))
        await stream.aclose()
        assert sockets() == before
    finally:
        gc.enable()


def sockets() -> int:
    """Open sockets of this process."""
    found = 0
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            found += stat.S_ISSOCK(os.fstat(int(name)).st_mode)
    return found


async def test_the_body_s_exception_leaves_as_the_same_object() -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with open_loopback():
            raise error
    assert caught.value is error


async def test_a_cancelled_body_is_cancelled() -> None:
    with trio.move_on_after(0) as scope:
        async with open_loopback():
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_the_body_s_exception_wins_over_a_cancellation() -> None:
    with pytest.raises(ValueError, match="mine"), trio.CancelScope() as scope:
        async with open_loopback():
            scope.cancel()
            raise ValueError("mine")


async def test_a_taken_port_is_an_os_error(server: Loopback) -> None:
    with pytest.raises(OSError, match="in use"):
        async with open_loopback(port=server.port):
            pass


async def test_it_listens_on_loopback_only(server: Loopback) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}"
    with socket.socket() as other:
        other.settimeout(1)
        with pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", server.port))


async def test_many_connections_at_once(server: Loopback) -> None:
    async def one(answers: list[bytes]) -> None:
        answers.append(await ask(server.port, chat(headers=CLOSE, stream=True)))

    answers: list[bytes] = []
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(one, answers)
    assert {body_of(answer).count(b"data: ") for answer in answers} == {12}
    await all_connections_closed(server)


async def test_the_configuration_names_every_type_at_this_server(server: Loopback) -> None:
    assert server.config == {
        "default_model": "local",
        "providers": {
            "openrouter": _provider("openrouter", f"{server.url}/api/v1"),
            "openai": _provider("openai", f"{server.url}/v1"),
            "ollama": _provider("ollama", f"{server.url}/ollama/v1"),
            "vllm": _provider("vllm", f"{server.url}/vllm/v1"),
            "azure": {**_provider("azure", server.url), "deployment": "local", "api_version": "2024-10-21"},
            "anthropic": _provider("anthropic", server.url),
        },
        "models": {
            "local": {"provider": "openai", "model_id": "local-echo"},
            **{
                f"local-{name}": {"provider": name, "model_id": "local-echo"}
                for name in ("openrouter", "openai", "ollama", "vllm", "azure", "anthropic")
            },
        },
    }


def _provider(name: str, base_url: str) -> dict[str, object]:
    return {"type": name, "base_url": base_url, "api_key": "loopback-key", "allow_loopback": True}


async def test_post_goes_to_any_prefix(server: Loopback) -> None:
    for path in ("/chat/completions", "/a/b/chat/completions", "/openai/v1/chat/completions"):
        assert (await ask(server.port, post(path, chat_body(), CLOSE))).startswith(b"HTTP/1.1 200 OK\r\n")
