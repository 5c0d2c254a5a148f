"""The official SDKs, as their documentation uses them, retries off. Imported only in a process that runs one."""

from collections.abc import Callable
from typing import Literal

from benchmarks.wire.contestant import KEY, MODELS, Contestant, Sink

Runtime = Literal["trio", "asyncio"]


class OpenAI:
    """``AsyncOpenAI``: ``create(stream=True)``."""

    counts: Literal["text", "bytes"] = "text"

    def __init__(self, runtime: Runtime = "asyncio") -> None:
        self.runtime: Runtime = runtime

    async def open(self, root: str, conns: int) -> None:
        import openai

        self._client = openai.AsyncOpenAI(base_url=root + "/v1", api_key=KEY, max_retries=0)

    async def stream(self, prompt: str, sink: Sink) -> None:
        chunks = await self._client.chat.completions.create(
            model=MODELS["openai"], messages=[{"role": "user", "content": prompt}], stream=True
        )
        async for chunk in chunks:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                sink(text)

    async def request(self, prompt: str) -> str:
        reply = await self._client.chat.completions.create(
            model=MODELS["openai"], messages=[{"role": "user", "content": prompt}]
        )
        return reply.choices[0].message.content or ""

    async def close(self) -> None:
        await self._client.close()


class Anthropic:
    """``AsyncAnthropic``: ``create(stream=True)``, the cheaper of its two ways to stream."""

    counts: Literal["text", "bytes"] = "text"

    def __init__(self, runtime: Runtime = "asyncio") -> None:
        self.runtime: Runtime = runtime

    async def open(self, root: str, conns: int) -> None:
        import anthropic

        self._client = anthropic.AsyncAnthropic(base_url=root, api_key=KEY, max_retries=0)

    async def stream(self, prompt: str, sink: Sink) -> None:
        events = await self._client.messages.create(
            model=MODELS["anthropic"], max_tokens=1024, messages=[{"role": "user", "content": prompt}], stream=True
        )
        async for event in events:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                sink(event.delta.text)

    async def request(self, prompt: str) -> str:
        reply = await self._client.messages.create(
            model=MODELS["anthropic"], max_tokens=1024, messages=[{"role": "user", "content": prompt}]
        )
        block = reply.content[0]
        return block.text if block.type == "text" else ""

    async def close(self) -> None:
        await self._client.close()


CONTESTANTS: dict[str, Callable[[], Contestant]] = {
    "openai": OpenAI,
    "openai_trio": lambda: OpenAI("trio"),
    "anthropic": Anthropic,
    "anthropic_trio": lambda: Anthropic("trio"),
}
