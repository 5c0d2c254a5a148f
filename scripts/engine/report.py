"""One line a check: ``ok name: what was seen``, or ``FAILED name: what was seen``."""

from collections.abc import Awaitable, Callable

import trio

Check = Callable[[], Awaitable[str]]
"""Does what it says; returns what was seen, with figures.

Raises:
    CheckError: it was not as it must be.
"""

CHECK_WITHIN = 90.0
"""Seconds for one check."""


class CheckError(Exception):
    """What was seen instead."""


def expect(holds: bool, seen: object) -> None:
    """Raise :class:`CheckError` with what was seen, unless the condition holds."""
    if not holds:
        raise CheckError(str(seen))


class Report:
    """Runs checks and counts them."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []

    async def run(self, name: str, check: Check) -> bool:
        """Run one check and print its line; whether it passed."""
        try:
            with trio.fail_after(CHECK_WITHIN):
                seen = await check()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in one check is that check's line
            self.failed.append(name)
            print(f"FAILED {name}: {_in_one_line(error)}", flush=True)
            return False
        self.passed += 1
        print(f"ok {name}: {seen}", flush=True)
        return True


def _in_one_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    text = " ".join(str(error).split())[:600]
    return text if isinstance(error, CheckError) else f"{type(error).__name__}: {text}"
