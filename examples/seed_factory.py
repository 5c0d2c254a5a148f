"""The original's first example, as it stands there: one provider by its type.

usage: ANTHROPIC_API_KEY=... python examples/seed_factory.py

With ANTHROPIC_BASE_URL it asks another server, for example the bundled one (``nexus3 loopback`` prints its address).
"""

import trio

# ruff: noqa: I001 - the original's words in the original's order
# fmt: off
from nexus3.provider import create_provider
from nexus3.config.schema import ProviderConfig
from nexus3.core.types import Message, Role


async def main() -> None:
    config = ProviderConfig(type="anthropic")
    provider = create_provider(config, "claude-sonnet-4-20250514")

    msg = await provider.complete([Message(role=Role.USER, content="Hello")])
    print(msg.content)
# fmt: on


if __name__ == "__main__":
    trio.run(main)
