"""The official SDKs and stock httpx understand every dialect spelled here: an independent proof."""

import os
from collections.abc import AsyncIterator

import anthropic
import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from nexus3.loopback import Answer, Call, Cut, ErrorEvent, Loopback, Received, open_loopback
from nexus3.wire.catalog import CATALOG
from nexus3.wire.messages import Usage
from nexus3.wire.urls import endpoint_url

# The SDKs leave their own generators to the collector when a stream fails.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator.*was garbage collected:ResourceWarning")

FULL = Answer(
    ["It ", "rains."],
    reasoning=["Let me ", "look."],
    tool_calls=[Call("get_weather", ['{"city":', '"Berlin"}']), Call("get_time", id="call_own")],
    usage=Usage(input_tokens=100, output_tokens=20, cache_read_tokens=60, cache_write_tokens=30, reasoning_tokens=5),
)
FAILING = {"bad": Answer(status=429, error="slow down"), "cut": Answer(["a", "b"], fault=Cut(1))}
FAILING["error"] = Answer(["a", "b"], fault=ErrorEvent(1, error="busy"))


def decide(request: Received) -> Answer:
    return FAILING.get(request.model, FULL)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs read keys and addresses from the environment; a test must send none of the machine's."""
    for name in os.environ:
        if name.startswith(("OPENAI_", "ANTHROPIC_", "AZURE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with open_loopback(script=decide) as loopback:
        yield loopback


PREFIXES = ["/v1", "/api/v1", "/ollama/v1", "/vllm/v1", "/openai/v1"]
HI = "hi"


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_openai_unstreamed(server: Loopback, prefix: str) -> None:
    async with openai.AsyncOpenAI(base_url=server.url + prefix, api_key="k", max_retries=0) as client:
        done = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": HI}])
    (choice,) = done.choices
    assert (choice.message.content, choice.finish_reason, done.model) == ("It rains.", "tool_calls", "m")
    assert choice.message.tool_calls is not None
    calls = [
        (call.function.name, call.function.arguments) for call in choice.message.tool_calls if call.type == "function"
    ]
    assert calls == [("get_weather", '{"city":"Berlin"}'), ("get_time", "{}")]
    assert choice.message.tool_calls[1].id == "call_own"
    extra = choice.message.model_extra or {}
    assert (extra.get("reasoning") or extra.get("reasoning_content")) == "Let me look."
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (100, 20, 120)
    if prefix != "/ollama/v1":
        assert done.usage.prompt_tokens_details is not None
        assert done.usage.prompt_tokens_details.cached_tokens == 60


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_openai_streamed(server: Loopback, prefix: str) -> None:
    """Accumulated by the SDK's own stream helper."""
    async with (
        openai.AsyncOpenAI(base_url=server.url + prefix, api_key="k", max_retries=0) as client,
        client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": HI}], stream_options={"include_usage": True}
        ) as stream,
    ):
        async for _ in stream:
            pass
        done = await stream.get_final_completion()
    (choice,) = done.choices
    assert (choice.message.content, choice.finish_reason) == ("It rains.", "tool_calls")
    calls = choice.message.tool_calls or []
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("get_weather", '{"city":"Berlin"}'),
        ("get_time", "{}"),
    ]
    assert len({call.id for call in calls}) == 2
    assert done.usage is not None
    assert done.usage.total_tokens == 120


async def chunks_of(server: Loopback, prefix: str, **more: bool) -> list[ChatCompletionChunk]:
    async with openai.AsyncOpenAI(base_url=server.url + prefix, api_key="k", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": HI}],
            stream=True,
            stream_options={"include_usage": more.get("usage", False)},
        )
        async with stream:
            return [chunk async for chunk in stream]


async def test_usage_is_told_only_to_who_asks_but_openrouter_always_does(server: Loopback) -> None:
    def told(chunks: list[ChatCompletionChunk]) -> int:
        return sum(chunk.usage is not None for chunk in chunks)

    assert told(await chunks_of(server, "/v1")) == 0
    assert told(await chunks_of(server, "/v1", usage=True)) == 1
    assert told(await chunks_of(server, "/api/v1")) == 1


async def test_openrouter_s_extras(server: Loopback) -> None:
    chunks = await chunks_of(server, "/api/v1")
    assert {(chunk.model_extra or {}).get("provider") for chunk in chunks} == {"Loopback"}
    details = [(chunk.choices[0].delta.model_extra or {}).get("reasoning_details") for chunk in chunks if chunk.choices]
    assert [detail[0]["text"] for detail in details if detail] == ["Let me ", "look."]


async def test_azure_s_prologue_and_filters(server: Loopback) -> None:
    first, *_ = await chunks_of(server, "/openai/v1")
    assert (first.id, first.choices, "prompt_filter_results" in (first.model_extra or {})) == ("", [], True)


async def test_azure_s_classic_urls(server: Loopback) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=server.url, azure_deployment="dep", api_version="2024-10-21", api_key="k", max_retries=0
    ) as client:
        done = await client.chat.completions.create(model="dep", messages=[{"role": "user", "content": HI}])
    assert done.choices[0].message.content == "It rains."
    assert server.exchanges[0].path == "/openai/deployments/dep/chat/completions?api-version=2024-10-21"
    assert server.exchanges[0].headers["api-key"] == "k"


async def test_openai_s_errors(server: Loopback) -> None:
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client:
        with pytest.raises(openai.RateLimitError, match="slow down") as limited:
            await client.chat.completions.create(model="bad", messages=[{"role": "user", "content": HI}])
        assert (limited.value.code, limited.value.type) == ("rate_limit_exceeded", "requests")
        assert limited.value.request_id == "req_loopback_000000"
        stream = await client.chat.completions.create(model="error", messages=[], stream=True)
        got: list[str | None] = []
        with pytest.raises(openai.APIError, match="busy"):
            async for chunk in stream:
                got.append(chunk.choices[0].delta.content)  # noqa: PERF401 - the stream fails in the middle
        assert got == ["", "a"]
        stream = await client.chat.completions.create(model="cut", messages=[], stream=True)
        with pytest.raises(openai.APIConnectionError):
            async for _ in stream:
                pass
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="bad-key", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
            await client.models.list()


async def test_openai_s_list_of_models(server: Loopback) -> None:
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client:
        assert [model.id async for model in client.models.list()] == ["local-echo", "local-echo-paced"]


def check_message(message: anthropic.types.Message) -> None:
    thinking, text, weather, time = message.content
    assert (thinking.type, text.type, weather.type, time.type) == ("thinking", "text", "tool_use", "tool_use")
    assert thinking.type == "thinking"
    assert (thinking.thinking, bool(thinking.signature)) == ("Let me look.", True)
    assert text.type == "text"
    assert text.text == "It rains."
    assert weather.type == "tool_use"
    assert (weather.name, weather.input) == ("get_weather", {"city": "Berlin"})
    assert time.type == "tool_use"
    assert (time.name, time.input, time.id) == ("get_time", {}, "call_own")
    assert (message.stop_reason, message.model) == ("tool_use", "m")
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (10, 60, 30)
    assert usage.output_tokens == 20


async def test_anthropic_unstreamed(server: Loopback) -> None:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0) as client:
        check_message(
            await client.messages.create(model="m", max_tokens=99, messages=[{"role": "user", "content": HI}])
        )


async def test_anthropic_streamed(server: Loopback) -> None:
    """Accumulated by the SDK's own stream helper."""
    async with (
        anthropic.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=99, messages=[{"role": "user", "content": HI}]) as stream,
    ):
        assert "".join([text async for text in stream.text_stream]) == "It rains."
        check_message(await stream.get_final_message())


async def test_anthropic_s_errors(server: Loopback) -> None:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0) as client:
        with pytest.raises(anthropic.RateLimitError, match="slow down") as limited:
            await client.messages.create(model="bad", max_tokens=9, messages=[{"role": "user", "content": HI}])
        assert limited.value.request_id == "req_loopback_000000"
        with pytest.raises(anthropic.APIStatusError, match=r"overloaded_error.*busy"):
            async with client.messages.stream(
                model="error", max_tokens=9, messages=[{"role": "user", "content": HI}]
            ) as stream:
                await stream.get_final_message()
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="bad-key", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": HI}])


async def test_anthropic_s_list_of_models(server: Loopback) -> None:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0) as client:
        assert [model.id async for model in client.models.list()] == ["local-echo", "local-echo-paced"]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_a_whole_tool_loop_with_the_default_script(dialect: str) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    question = "What is the weather in Berlin? Use the tool."
    async with open_loopback() as server:
        if dialect == "openai":
            async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client:
                asked = await client.chat.completions.create(
                    model="local-echo",
                    messages=[{"role": "user", "content": question}],
                    tools=[{"type": "function", "function": {"name": "get_weather", "parameters": dict(schema)}}],
                )
                (call,) = asked.choices[0].message.tool_calls or []
                assert call.type == "function"
                assert call.function.arguments == '{"city":"Berlin"}'
                told = await client.chat.completions.create(
                    model="local-echo",
                    messages=[
                        {"role": "user", "content": question},
                        {
                            "role": "assistant",
                            "tool_calls": [
                                {
                                    "id": call.id,
                                    "type": "function",
                                    "function": {"name": "get_weather", "arguments": call.function.arguments},
                                }
                            ],
                        },
                        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
                    ],
                    tools=[{"type": "function", "function": {"name": "get_weather", "parameters": dict(schema)}}],
                )
                answer = told.choices[0].message.content or ""
        else:
            async with anthropic.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0) as other:
                first = await other.messages.create(
                    model="local-echo",
                    max_tokens=99,
                    messages=[{"role": "user", "content": question}],
                    tools=[{"name": "get_weather", "input_schema": {**schema, "type": "object"}}],
                )
                (use,) = first.content
                assert use.type == "tool_use"
                assert use.input == {"city": "Berlin"}
                second = await other.messages.create(
                    model="local-echo",
                    max_tokens=99,
                    messages=[
                        {"role": "user", "content": question},
                        {
                            "role": "assistant",
                            "content": [{"type": "tool_use", "id": use.id, "name": use.name, "input": {}}],
                        },
                        {
                            "role": "user",
                            "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "18 degrees"}],
                        },
                    ],
                    tools=[{"name": "get_weather", "input_schema": {**schema, "type": "object"}}],
                )
                (text,) = second.content
                assert text.type == "text"
                answer = text.text
    assert answer.endswith("The tool says: 18 degrees")


async def test_httpx_reuses_its_connection(server: Loopback) -> None:
    body = {"model": "m", "messages": [], "stream": True}
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        for _ in range(3):
            response = await client.post("/v1/chat/completions", json=body)
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert response.text.endswith("data: [DONE]\n\n")
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await client.post("/v1/chat/completions", json={**body, "model": "cut"})
    assert [exchange.connection for exchange in server.exchanges] == [0] * 4


async def test_the_configured_urls_lead_to_their_types() -> None:
    """What the codecs build from the configuration reaches the right manners."""
    async with open_loopback() as server:
        providers = server.config["providers"]
        assert isinstance(providers, dict)
        for name, settings in providers.items():
            url = endpoint_url(
                CATALOG[name],
                settings["base_url"],
                model="m",
                deployment=settings.get("deployment"),
                api_version=settings.get("api_version"),
            )
            headers = {"anthropic-version": "2023-06-01"}
            body = {"model": "m", "max_tokens": 9, "messages": []}
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.post(url, json=body, headers=headers)).status_code == 200
        assert [exchange.path for exchange in server.exchanges] == [
            "/api/v1/chat/completions",
            "/v1/chat/completions",
            "/ollama/v1/chat/completions",
            "/vllm/v1/chat/completions",
            "/openai/deployments/local/chat/completions?api-version=2024-10-21",
            "/v1/messages",
        ]
