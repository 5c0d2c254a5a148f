"""Any async callable as a supervised child: its name, its readiness, its policy."""

import inspect
from collections.abc import Awaitable, Callable

import trio

from nexus3.supervisor.spec import ChildSpec, DynamicPolicy, Restart, Run


def dynamic_spec(
    name: str,
    fn: Callable[..., Awaitable[object]],
    args: tuple[object, ...],
    policy: DynamicPolicy,
    *,
    restart: Restart,
    significant: bool,
) -> ChildSpec:
    """The child that runs ``fn(*args)``; forgotten when it has ended for good."""
    return ChildSpec(
        name,
        callable_run(fn, args),
        restart=restart,
        backoff=policy.backoff,
        intensity=policy.intensity,
        on_exhausted=policy.on_exhausted,
        park_for=policy.park_for,
        start_timeout=policy.start_timeout,
        significant=significant,
        dynamic=True,
        stages=policy.stages,
    )


def callable_run(fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> Run:
    """``fn(*args)`` as an incarnation. Without a ``task_status`` parameter it is ready as soon as it is called."""
    reports = _takes_task_status(fn)

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        if reports:
            await fn(*args, task_status=task_status)
        else:
            task_status.started()
            await fn(*args)

    return run


def _takes_task_status(fn: Callable[..., Awaitable[object]]) -> bool:
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):  # built in, without a signature
        return False
    found = parameters.get("task_status")
    return found is not None and found.kind is not inspect.Parameter.POSITIONAL_ONLY


def name_of(fn: Callable[..., Awaitable[object]]) -> str:
    """What a callable without a name of its own is called; that of what it wraps, for a partial."""
    inner: object = fn
    while (wrapped := getattr(inner, "func", None)) is not None:
        inner = wrapped
    name = getattr(inner, "__name__", None)
    return name if isinstance(name, str) else type(inner).__name__
