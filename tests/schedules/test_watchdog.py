"""The watchdog ends what virtual time cannot: a livelock, and a wait for nothing."""

import gc

import pytest
import trio
import trio.testing

from tests.schedules.watchdog import Hung, real_time_limit


def hung(error: BaseException | None) -> bool:
    """:class:`Hung` is at the bottom of whatever trio made of it."""
    while error is not None and not isinstance(error, Hung):
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
    return error is not None


async def livelock() -> None:
    while True:
        await trio.lowlevel.checkpoint()


async def wait_for_nothing() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", [livelock, wait_for_nothing])
def test_a_run_that_hangs_is_ended(how: object) -> None:
    assert callable(how)
    found = False
    try:
        with real_time_limit(0.05):
            trio.run(how, clock=trio.testing.MockClock(autojump_threshold=0))
    except BaseException as error:  # noqa: BLE001 - trio wraps it as it likes
        found = hung(error)
    gc.collect()  # what is left of such a run complains as it goes
    assert found
