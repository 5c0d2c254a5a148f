"""pydantic-ai, any-llm and litellm, on asyncio. Imported only in a process that runs one.

Typed loosely: they are not installed where types are checked.
"""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

from benchmarks.wire.contestant import KEY, MODELS, Contestant, Sink


class PydanticAI:
    """The level of its models (``pydantic_ai.direct``), below its agents."""

    runtime: Literal["trio", "asyncio"] = "asyncio"
    counts: Literal["text", "bytes"] = "text"
    _model: Any

    async def open(self, root: str, conns: int) -> None:
        self._direct: Any = import_module("pydantic_ai.direct")
        self._messages: Any = import_module("pydantic_ai.messages")
        provider = import_module("pydantic_ai.providers.openai").OpenAIProvider(base_url=root + "/v1", api_key=KEY)
        self._model = import_module("pydantic_ai.models.openai").OpenAIChatModel(MODELS["openai"], provider=provider)

    async def stream(self, prompt: str, sink: Sink) -> None:
        messages = self._messages
        asked = [messages.ModelRequest.user_text_prompt(prompt)]
        async with self._direct.model_request_stream(self._model, asked) as events:
            async for event in events:
                if isinstance(event, messages.PartDeltaEvent):
                    sink(event.delta.content_delta)
                elif isinstance(event, messages.PartStartEvent) and event.part.content:
                    sink(event.part.content)

    async def request(self, prompt: str) -> str:
        asked = [self._messages.ModelRequest.user_text_prompt(prompt)]
        reply = await self._direct.model_request(self._model, asked)
        text: str = reply.parts[0].content
        return text

    async def close(self) -> None:
        return None


class ChunkStream:
    """The two whose ``acompletion`` gives OpenAI's chunks."""

    runtime: Literal["trio", "asyncio"] = "asyncio"
    counts: Literal["text", "bytes"] = "text"
    _complete: Any
    _fixed: dict[str, str]

    async def open(self, root: str, conns: int) -> None:
        raise NotImplementedError

    async def stream(self, prompt: str, sink: Sink) -> None:
        messages = [{"role": "user", "content": prompt}]
        async for chunk in await self._complete(messages=messages, stream=True, **self._fixed):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                sink(text)

    async def request(self, prompt: str) -> str:
        reply = await self._complete(messages=[{"role": "user", "content": prompt}], **self._fixed)
        text: str = reply.choices[0].message.content
        return text

    async def close(self) -> None:
        return None


class AnyLLM(ChunkStream):
    """any-llm's client of one provider."""

    async def open(self, root: str, conns: int) -> None:
        client = import_module("any_llm").AnyLLM.create("openai", api_key=KEY, api_base=root + "/v1")
        self._complete, self._fixed = client.acompletion, {"model": MODELS["openai"]}


class LiteLLM(ChunkStream):
    """litellm's function."""

    async def open(self, root: str, conns: int) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches prices when it is imported
        os.environ.setdefault("LITELLM_LOG", "ERROR")
        litellm: Any = import_module("litellm")
        litellm.telemetry = False
        litellm.suppress_debug_info = True
        self._complete = litellm.acompletion
        self._fixed = {"model": "openai/" + MODELS["openai"], "api_base": root + "/v1", "api_key": KEY}


CONTESTANTS: dict[str, Callable[[], Contestant]] = {
    "pydantic_ai": PydanticAI,
    "any_llm": AnyLLM,
    "litellm": LiteLLM,
}
