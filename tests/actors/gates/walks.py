"""Random walks through a state machine: how long, and from which seed."""

import os
from random import Random

import pytest

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))

STEPS = pytest.mark.parametrize("steps", [2_000, pytest.param(50_000, marks=pytest.mark.soak)])


def dice(what: str) -> Random:
    """Printed where the walk fails; ``NEXUS3_SEED`` walks it again."""
    print(f"\nNEXUS3_SEED={SEED}")
    return Random(f"{what} {SEED}")
