"""How hard a supervisor tries before it gives up on a child, and how it ends one. All times are seconds.

They hold for every child of the block: for the providers, and for the host's own tasks beside them.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nexus3.supervisor.spec import AutoShutdown, Backoff, DynamicPolicy, Intensity, OnExhausted, Stages, Strategy

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Restarts = Annotated[int, Field(ge=0, strict=True)]


class SupervisorSettings(BaseModel):
    """More than ``max_restarts`` crashes of one child within ``restart_window`` exhaust it.

    The delay before restart ``n`` of a row (from 0) is ``backoff_min * backoff_factor ** n``, at most ``backoff_max``;
    the row ends when the child has run for ``reset_after``.
    """

    # The schema is built at the first use, if there is one: a configuration has these settings by a class of its own.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    strategy: Strategy = "one_for_one"
    """Who is restarted with a child that crashed: nobody else; all; those that were configured or added after it.

    Requests that run on a child which is restarted for another one's sake fare as in a crash of its own."""
    max_restarts: Restarts = 5
    restart_window: Seconds = 30.0
    max_total_restarts: Restarts | None = None
    """More crashes than this of all children together within ``total_restart_window`` escalate, whatever
    ``on_exhausted`` says. ``None``: each child counts for itself only."""
    total_restart_window: Seconds = 30.0
    on_exhausted: OnExhausted = "park"
    """Park: this child rests, the others go on. Escalate: the supervisor's block is cancelled."""
    park_for: Seconds = 30.0
    """How long a parked child rests before it is tried again."""
    backoff_min: Seconds = 0.1
    backoff_max: Seconds = 5.0
    backoff_factor: Annotated[float, Field(ge=1, allow_inf_nan=False, strict=True)] = 2.0
    reset_after: Seconds = 60.0
    start_timeout: Seconds = 10.0
    """How long a child may take to be ready. One that takes longer has crashed."""
    restart_grace: Seconds = 5.0
    """How long running requests may go on before a deliberate restart of their provider cuts them off."""
    cancel_grace: Seconds = 2.0
    """How long a cancelled child may take to end before it is reported as ``actor.stuck``, with its stack, and its
    supervisor goes on with the others."""
    shutdown_timeout: Seconds = 30.0
    """How long the ordered stop at the block's end may take. Then all that still runs is cancelled at once."""
    auto_shutdown: AutoShutdown = "never"
    """When the block ends by itself, its body cancelled: never; when a task that was started as ``significant`` has
    ended for good; when all of those have."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.backoff_min > self.backoff_max:
            raise ValueError("backoff_min must not be greater than backoff_max")
        return self

    @property
    def total_intensity(self) -> Intensity | None:
        """Of the supervisor itself."""
        if self.max_total_restarts is None:
            return None
        return Intensity(self.max_total_restarts, self.total_restart_window)

    def policy(self) -> DynamicPolicy:
        """How each child is kept running."""
        return DynamicPolicy(
            backoff=Backoff(self.backoff_min, self.backoff_max, self.backoff_factor, self.reset_after),
            intensity=Intensity(self.max_restarts, self.restart_window),
            on_exhausted=self.on_exhausted,
            park_for=self.park_for,
            start_timeout=self.start_timeout,
            stages=Stages(cancel=self.cancel_grace),
        )
