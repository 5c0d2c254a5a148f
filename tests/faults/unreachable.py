"""Run in a network without a way to anywhere: prints as JSON how a request ends there. For ``test_table.py``."""

import json
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.world import ask, house, live


async def main() -> None:
    async with house("http://127.0.0.1:9") as sup:
        lived = await live(sup, ask("openai:any"))
    print(json.dumps({"fate": lived.fate, "message": lived.failure.message, "seconds": lived.seconds}))


trio.run(main)
