"""pytest fixtures, as a plugin: ``pytest_plugins = ["nexus3.testing.fixtures"]`` in your ``conftest.py``.

The only module of nexus3 that imports pytest. The fixtures are synchronous: any trio plugin will do.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from nexus3.testing.house import House, open_house


@pytest.fixture
def nexus3_house() -> Callable[..., AbstractAsyncContextManager[House]]:
    """:func:`nexus3.testing.open_house`: ``async with nexus3_house([Answer("Hello")]) as (supervisor, network)``."""
    return open_house
