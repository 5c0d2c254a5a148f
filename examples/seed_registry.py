"""The original's second example: a model by its alias, from the original's ``config.json`` (beside this file).

usage: ANTHROPIC_API_KEY=... python examples/seed_registry.py

With ANTHROPIC_BASE_URL it asks another server, for example the bundled one (``nexus3 loopback`` prints its address).
Between the original's lines, a question, to see an answer.
"""

import json
from pathlib import Path

import trio

# ruff: noqa: I001 - the original's words in the original's order
# fmt: off
from nexus3.provider.registry import ProviderRegistry
from nexus3.config.schema import Config
from nexus3.core.types import Message, Role

CONFIG = json.loads(Path(__file__).with_name("seed_config.json").read_text("utf-8"))


async def main() -> None:
    config = Config(**CONFIG)  # from config.json
    registry = ProviderRegistry(config)
    provider = registry.get_for_model("claude-sonnet")  # resolves via config
    print((await provider.complete([Message(role=Role.USER, content="Hello")])).content)
    await registry.aclose()
# fmt: on


if __name__ == "__main__":
    trio.run(main)
