"""Where ``open_supervisor`` cannot work, it says what to do."""

import asyncio
import re

import pytest

from nexus3 import CompletionRequest, Message, ProviderConfig, ProviderError, Role, open_supervisor


@pytest.mark.parametrize("config", ["loopback", {}])
def test_outside_of_trio_it_says_how_to_start(config: str | dict[str, object]) -> None:
    async def main() -> None:
        async with open_supervisor(config):
            pytest.fail("it opened")

    with pytest.raises(RuntimeError, match=re.escape("nexus3 runs on trio: start it with trio.run(...)")):
        asyncio.run(main())


async def test_without_a_provider_it_opens_and_each_request_is_told_why_it_fails() -> None:
    async with open_supervisor({}) as supervisor:
        for model in (None, "openai:gpt"):
            with pytest.raises(ProviderError) as caught:
                request = CompletionRequest(model=model, messages=(Message(role=Role.USER, content="x"),))
                await supervisor.complete(request)
            assert (caught.value.kind, caught.value.reason) == ("not_found", "no_provider")
            assert "No provider is configured" in str(caught.value)
        await supervisor.add_provider("late", ProviderConfig(type="ollama"))
        with pytest.raises(ProviderError) as caught:
            await supervisor.complete(request)
        assert caught.value.reason == "unknown_model"
