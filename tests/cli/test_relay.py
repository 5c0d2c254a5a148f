"""Recording through real sockets, and replaying what was recorded: the promise of both commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from nexus3 import CompletionRequest, Message, ProviderError, Role, open_supervisor
from nexus3.cli.relay import open_relay
from nexus3.loopback import Answer, Call, Cut, HangUp, Raw, Received, Reply, Stall, open_loopback
from nexus3.loopback.cassette import read_cassette
from nexus3.wire.catalog import ProviderTypeName
from tests.actors.house import until
from tests.cli.taping import KEY, PATHS, TOOL_CONVERSATION, TYPES, Seen, converse, provider_at, send, taping
from tests.loopback.raw import chat_body, connect, post, read_to_end, read_until
from tests.secrets.canary import PROXY_PASSWORD, hits

CHAT = PATHS["openai"]


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "tape.jsonl"


async def replay(tape: Path, path: str, body: object, speed: float = 0.0) -> Seen:
    async with open_loopback(cassette=tape, speed=speed) as server:
        return await send(server.port, path, body)


@pytest.mark.parametrize("kind", TYPES)
async def test_a_tool_conversation_replays_with_the_same_events_at_any_speed(
    kind: ProviderTypeName, tape: Path
) -> None:
    async with taping(tape, TOOL_CONVERSATION, kind) as taped:
        events = await converse(f"http://127.0.0.1:{taped.relay.port}", kind)
        assert taped.relay.recorded == 2
    assert len(events) > 20
    for speed in (0.0, 1.0, 5.0):
        began = trio.current_time()
        async with open_loopback(cassette=tape, speed=speed) as server:
            assert await converse(server.url, kind) == events, f"at speed {speed}"
            assert server.player is not None
            assert (server.player.misses, server.player.unplayed) == ([], [])
        took = trio.current_time() - began
        recorded = sum(recording.answer.pieces[-1].at for recording in read_cassette(tape))
        assert took > (recorded / speed if speed else 0.0), f"at speed {speed}"


@pytest.mark.parametrize("kind", TYPES)
async def test_the_bytes_of_each_body_are_those_that_the_provider_sent(kind: ProviderTypeName, tape: Path) -> None:
    answer = Answer("Zürich — 雨 \u2028 ", tool_calls=[Call("f", '{"a": 1}')], piece_size=2, chunk_size=3)
    bodies = [{**chat_body(), "max_tokens": 9, "stream": stream} for stream in (True, False)]
    version = {"anthropic-version": "2023-06-01"}
    async with open_loopback(script=[answer]) as provider:
        sent = [await send(provider.port, PATHS[kind], body, version) for body in bodies]
    async with taping(tape, [answer], kind) as taped:
        passed = [await send(taped.relay.port, PATHS[kind], body, version) for body in bodies]
    assert [seen.body for seen in passed] == [seen.body for seen in sent]
    assert [seen.end for seen in passed] == ["end", "end"]
    stored = read_cassette(tape)
    assert [recording.answer.body for recording in stored] == [seen.body for seen in sent]
    for speed in (0.0, 1.0, 5.0):
        async with open_loopback(cassette=tape, speed=speed) as server:
            assert [(await send(server.port, PATHS[kind], body)).body for body in bodies] == [
                seen.body for seen in sent
            ]


async def test_pieces_come_as_they_come_and_not_at_the_end(tape: Path) -> None:
    async with taping(tape, [Answer("one two", piece_size=4, fault=Stall(1))]) as taped:
        port = taped.relay.port
        with trio.fail_after(10):
            async with await connect(port) as stream:
                await stream.send_all(post(CHAT, chat_body(stream=True), {"host": f"127.0.0.1:{port}"}))
                await read_until(stream, b'"one "')  # the provider is silent from here on
    (recording,) = read_cassette(tape)
    assert (recording.answer.end, b'"one "' in recording.answer.body) == ("cut", True)


@pytest.mark.parametrize("how", ["eof", "reset", "truncate"])
async def test_a_stream_that_was_cut_replays_as_cut(how: str, tape: Path) -> None:
    cut = Cut(2, how)  # type: ignore[arg-type]
    async with taping(tape, [Answer("one two three", piece_size=4, fault=cut)]) as taped:
        seen = await send(taped.relay.port, CHAT, chat_body(stream=True))
    assert seen.end == "cut"
    assert seen.body.count(b'"content"') == 3, "the role, and two pieces"
    replayed = await replay(tape, CHAT, chat_body(stream=True))
    assert (replayed.end, replayed.body) == ("cut", seen.body)

    request = CompletionRequest(model="openai:local-echo", messages=(Message(role=Role.USER, content="hi"),))
    failures: list[tuple[object, ...]] = []
    async with taping(tape, [Answer("one two three", piece_size=4, fault=cut)]) as taped:
        failures.append(await failure_of(f"http://127.0.0.1:{taped.relay.port}", request))
    async with open_loopback(cassette=tape, speed=0) as server:
        failures.append(await failure_of(server.url, request))
    assert failures == [("transport", "cut", True, "one two ")] * 2


async def failure_of(url: str, request: CompletionRequest) -> tuple[object, ...]:
    provider = {"type": "openai", "base_url": f"{url}/v1", "api_key": KEY, "allow_loopback": True, "max_retries": 0}
    async with open_supervisor({"providers": {"openai": provider}}) as supervisor:
        with pytest.raises(ProviderError) as failed:
            await supervisor.complete(request)
    error = failed.value
    return error.kind, error.reason, error.emitted, error.partial.content if error.partial else None


async def test_a_provider_that_is_killed_in_mid_answer(tape: Path) -> None:
    provider = await trio.lowlevel.open_process(
        [sys.executable, "-m", "nexus3.loopback"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert provider.stdout is not None
        with trio.fail_after(30):
            url = json.loads(await provider.stdout.receive_some())["url"]
        async with open_relay(tape, provider_at(url), tell=lambda line: None) as relay, trio.open_nursery() as nursery:
            with trio.fail_after(20):
                async with await connect(relay.port) as stream:
                    host = {"host": f"127.0.0.1:{relay.port}"}
                    await stream.send_all(post(CHAT, chat_body("stall-2", stream=True), host))
                    begun = await read_until(stream, b'"content":"')
                    while begun.count(b'"content":"') < 3:
                        begun += await stream.receive_some()
                    provider.kill()
                    nursery.start_soon(provider.wait)
                    assert await read_to_end(stream) == b"", "no end of the body"
    finally:
        provider.kill()
        with trio.CancelScope(shield=True):
            await provider.wait()
    (recording,) = read_cassette(tape)
    assert (recording.answer.end, recording.answer.body.count(b'"content":"')) == ("cut", 3)
    replayed = await replay(tape, CHAT, chat_body("stall-2", stream=True))
    assert (replayed.end, replayed.body) == ("cut", recording.answer.body)


async def test_what_never_answered_is_not_recorded_and_the_application_is_told(tape: Path) -> None:
    async with taping(tape, [Answer(fault=HangUp()), Raw([b"SSH-2.0-nothing\r\n"])]) as taped:
        seen = [await send(taped.relay.port, CHAT, chat_body()) for _ in range(2)]
        assert (taped.relay.recorded, taped.relay.unanswered) == (0, 2)
    assert [answer.status for answer in seen] == [502, 502]
    assert b"The server closed the connection without an answer." in seen[0].body
    assert taped.told[0] == f"POST {CHAT}  502  The server closed the connection without an answer."
    assert read_cassette(tape) == []


async def test_the_address_policy_of_a_provider_holds(tape: Path) -> None:
    provider = provider_at("https://localhost:9/v1", allow_loopback=True)
    forbidden = type(provider)(
        **{name: getattr(provider, name) for name in provider.__slots__} | {"allow_loopback": False}
    )
    async with open_relay(tape, forbidden, tell=lambda line: None) as relay:
        seen = await send(relay.port, CHAT, chat_body())
    assert seen.status == 502
    assert b"is the local machine; set allow_loopback if that is meant" in seen.body


@pytest.mark.parametrize("kind", TYPES)
async def test_behind_a_proxy_the_same_is_recorded(kind: ProviderTypeName, tape: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    answer, version = Answer(["Hel", "lo"]), {"anthropic-version": "2023-06-01"}
    body = {**chat_body(), "max_tokens": 9, "stream": True}
    async with open_loopback(script=[answer]) as server:
        told = await send(server.port, PATHS[kind], body, version)
    async with open_loopback(script=[answer]) as proxy:
        url = f"http://operator:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}"
        async with open_relay(tape, provider_at(nowhere, kind, proxy=url), tell=lambda line: None) as relay:
            seen = await send(relay.port, PATHS[kind], body, version)
        (asked,) = proxy.exchanges
    assert asked.path.startswith(nowhere), "asked as a proxy is"
    assert hits([str(asked.headers)], (PROXY_PASSWORD,)), "what is looked for was sent"
    assert (seen.status, seen.body, seen.end) == (200, told.body, "end")
    assert (await replay(tape, PATHS[kind], body)).body == told.body
    assert hits([await trio.Path(tape).read_text()], (KEY, PROXY_PASSWORD)) == []


async def test_errors_and_their_hints_are_recorded_like_answers(tape: Path) -> None:
    async with taping(tape, [Answer(status=429, headers={"retry-after-ms": "10"}), Answer("done")]) as taped:
        recorded = [await send(taped.relay.port, CHAT, chat_body()) for _ in range(2)]
    async with open_loopback(cassette=tape, speed=0) as server:
        replayed = [await send(server.port, CHAT, chat_body()) for _ in range(3)]
    assert [seen.status for seen in replayed] == [429, 200, 200]
    assert [seen.body for seen in replayed] == [*(seen.body for seen in recorded), recorded[1].body]
    assert "retry-after-ms: 10" in replayed[0].head


async def test_two_exchanges_at_once_do_not_mix(tape: Path) -> None:
    def said(received: Received) -> Answer:
        return Answer(f"{received.model} " * 20, piece_size=3, delay=0.002, chunk_size=5)

    seen: dict[str, Seen] = {}

    async def ask(port: int, name: str) -> None:
        seen[name] = await send(port, CHAT, chat_body(name, stream=True))

    names = ["first", "second", "third"]
    async with taping(tape, said) as taped, trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(ask, taped.relay.port, name)
    stored = {recording.request.body["model"]: recording for recording in read_cassette(tape)}  # type: ignore[index]
    assert {name: recording.answer.body for name, recording in stored.items()} == {
        name: answer.body for name, answer in seen.items()
    }
    assert sorted(recording.number for recording in stored.values()) == [0, 1, 2]
    recorded, seen = seen, {}
    async with open_loopback(cassette=tape, speed=3) as server, trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(ask, server.port, name)
    assert {name: answer.body for name, answer in seen.items()} == {
        name: answer.body for name, answer in recorded.items()
    }


APP_KEY = "gateway.AppKey9876543210zyxwv"
EXTRA = "tenant/SECRET-of-the-gateway"


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("is_configured", [True, False])
async def test_no_key_ever_gets_into_the_file(kind: ProviderTypeName, is_configured: bool, tape: Path) -> None:
    got: list[dict[str, str]] = []

    def indiscreet(received: Received) -> Answer:
        got.append(received.headers)
        keys = f"You sent {KEY}, {APP_KEY} and {EXTRA}."
        return Answer(keys, piece_size=90, chunk_size=11, headers={"x-request-id": APP_KEY, "x-echo": KEY})

    settings = {} if is_configured else {"api_key": None}
    headers = {
        "authorization": f"Bearer {APP_KEY}", "x-api-key": APP_KEY, "api-key": APP_KEY, "cookie": f"session={APP_KEY}",
        "proxy-authorization": f"Basic {APP_KEY}", "x-custom": APP_KEY, "anthropic-version": "2023-06-01",
        "openai-beta": APP_KEY,
    }  # fmt: skip
    body = {**chat_body(stream=True), "max_tokens": 9, "note": f"{KEY} {APP_KEY}", "api_key": "short"}
    async with taping(tape, indiscreet, kind, extra_headers={"x-gateway": EXTRA}, **settings) as taped:
        path = f"{PATHS[kind]}?key={APP_KEY}&beta=true"
        seen = await send(taped.relay.port, path, body, headers)
        await send(taped.relay.port, f"/{APP_KEY}{PATHS[kind]}", {**body, "stream": False}, headers)
    assert APP_KEY.encode() in seen.body.replace(b"\n", b""), "the application gets what the provider said"
    text = await trio.Path(tape).read_text("utf-8")
    known = (KEY, APP_KEY, EXTRA)
    assert hits([text, *taped.told], known) == []
    assert "short" not in text
    recordings = read_cassette(tape)
    assert [recording.answer.end for recording in recordings] == ["end", "end"]
    json.loads(recordings[1].answer.body)
    # The provider got its own key where one is configured, and the application's where none is.
    name, value = ("authorization", f"Bearer {KEY}") if kind == "openai" else ("x-api-key", KEY)
    if is_configured:
        assert got[0][name] == value
        assert not [
            item for item in got[0].items() if APP_KEY in item[1] and item[0] not in ("x-custom", "openai-beta")
        ]
    else:
        assert (got[0]["authorization"], got[0]["x-api-key"]) == (f"Bearer {APP_KEY}", APP_KEY)
    assert got[0]["x-gateway"] == EXTRA
    assert "cookie" not in got[0]
    # What was taken out of a request does not keep it from being recognised.
    async with open_loopback(cassette=tape, speed=0) as server:
        assert (await send(server.port, path, body)).status == 200


@pytest.mark.parametrize(
    ("path", "headers", "status", "told"),
    [
        (CHAT, {"origin": "https://evil.example"}, 403, b"no web pages"),
        (CHAT, {"host": "evil.example:80"}, 403, b"no web pages"),
        ("/v1/embeddings", {}, 404, b"nexus3 record forwards POST .../chat/completions to up, no more"),
        ("/v1/messages", {}, 404, b"nexus3 record forwards POST .../chat/completions to up, no more"),
    ],
)
async def test_only_programs_and_only_completions_are_served(
    path: str, headers: dict[str, str], status: int, told: bytes, tape: Path
) -> None:
    async with taping(tape, [Answer("never")]) as taped:
        seen = await send(taped.relay.port, path, chat_body(), headers)
        assert taped.server.exchanges == []
    assert seen.status == status
    assert told in seen.body


@pytest.mark.parametrize("content", ["", "no JSON"])
async def test_what_is_no_json_is_refused(content: str, tape: Path) -> None:
    async with taping(tape, [Answer("never")]) as taped:
        port = taped.relay.port
        async with await connect(port) as stream:
            head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-length: {len(content)}\r\n\r\n"
            await stream.send_all((head + content).encode())
            assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 400 ")
        assert taped.server.exchanges == []


async def test_a_connection_takes_one_request_after_the_other(tape: Path) -> None:
    async with taping(tape, [Answer("one"), Answer("two")]) as taped:
        port = taped.relay.port
        with trio.fail_after(10):
            async with await connect(port) as stream:
                for word in (b"one", b"two"):
                    await stream.send_all(post(CHAT, chat_body(), {"host": f"127.0.0.1:{port}"}))
                    assert word in await read_until(stream, b"0\r\n\r\n")
        assert {exchange.connection for exchange in taped.server.exchanges} == {0}, "nor does the pool open another"


LATE_END = Raw(
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        b"e\r\ndata: [DONE]\n\n\r\n",
        0.1,
        b"0\r\n\r\n",
    ],
    then="keep",
)


@pytest.mark.parametrize(
    ("answer", "end"), [(LATE_END, "end"), (Answer("one two", piece_size=4, fault=Stall(1)), "cut")]
)
async def test_an_application_that_leaves_at_the_last_event_has_had_all_of_it(
    answer: Reply, end: str, tape: Path
) -> None:
    """Some clients close at ``[DONE]``, before the body's own end."""
    async with taping(tape, [answer]) as taped:
        port = taped.relay.port
        with trio.fail_after(10):
            async with await connect(port) as stream:
                await stream.send_all(post(CHAT, chat_body(stream=True), {"host": f"127.0.0.1:{port}"}))
                await read_until(stream, b"data: ")
            await until(lambda: taped.relay.recorded)
    assert [recording.answer.end for recording in read_cassette(tape)] == [end]


async def test_an_application_that_leaves_before_an_answer_frees_the_provider(tape: Path) -> None:
    async with taping(tape, [Answer("late", first_delay=60)]) as taped:
        port = taped.relay.port
        with trio.fail_after(10):
            async with await connect(port) as stream:
                await stream.send_all(post(CHAT, chat_body(), {"host": f"127.0.0.1:{port}"}))
                await until(lambda: taped.server.exchanges)
            await until(lambda: taped.server.exchanges[0].client_left)
        assert (taped.relay.recorded, taped.relay.unanswered) == (0, 1)
    assert taped.told == [f"POST {CHAT}  the application left before an answer"]
