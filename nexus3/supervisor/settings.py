"""How hard a supervisor tries before it gives up on a child. All times are seconds."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]


class SupervisorSettings(BaseModel):
    """More than ``max_restarts`` crashes of one child within ``restart_window`` exhaust it.

    The delay before restart ``n`` of a row (from 0) is ``backoff_min * backoff_factor ** n``, at most ``backoff_max``;
    the row ends when the child has run for ``reset_after``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    max_restarts: Annotated[int, Field(ge=0, strict=True)] = 5
    restart_window: Seconds = 30.0
    on_exhausted: Literal["park", "escalate"] = "park"
    """Park: this child rests, the others go on. Escalate: the supervisor's block is cancelled."""
    park_for: Seconds = 30.0
    """How long a parked child rests before it is tried again."""
    backoff_min: Seconds = 0.1
    backoff_max: Seconds = 5.0
    backoff_factor: Annotated[float, Field(ge=1, allow_inf_nan=False, strict=True)] = 2.0
    reset_after: Seconds = 60.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.backoff_min > self.backoff_max:
            raise ValueError("backoff_min must not be greater than backoff_max")
        return self
