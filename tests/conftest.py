"""What every test leaves as it found it."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _structlog_is_the_host_s() -> Iterator[None]:
    """A process has one structlog, which ``capture_logs`` leaves configured; nexus3 asks whether it is."""
    yield
    structlog.reset_defaults()
