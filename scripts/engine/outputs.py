"""Fifty schemas, each asked for as an object: every answer fits its schema, or its failure has a type.

The model is random, so that an answer fits only where the engine's grammar leaves nothing else, or by luck. Each answer
is judged twice: by pydantic within nexus3, and here by jsonschema against the very schema that was sent.
"""

import json
from collections import Counter
from functools import partial
from typing import NamedTuple

from engine.raw_schemas import RAW, problem_of
from engine.report import Check, Report, expect
from engine.servers import Server
from engine.typed_schemas import TYPED, Case
from nexus3 import CompletionRequest, ProviderError, Supervisor
from nexus3.tools import OutputInvalid, complete_as, stream_as

CASES = (*TYPED, *RAW)
ENOUGH = 400
"""Tokens for any answer that has an end. Text without a limit is cut there."""


class Outcome(NamedTuple):
    """What became of one schema."""

    case: Case
    ending: str
    """``fits``, or the failure's type with its kind."""
    wrong: str | None = None
    """What must not be."""


async def run_all(server: Server, supervisor: Supervisor, report: Report) -> None:
    """Run the checks; each asks for all fifty."""
    checks: dict[str, Check] = {
        "as objects, streamed": partial(_all, supervisor, "engine"),
        "as objects, unstreamed": partial(_all, supervisor, "unstreamed"),
        "as objects, by tool": partial(_all, supervisor, "by_tool"),
        "as objects that grow": partial(_all_growing, supervisor, "engine"),
        "as objects that grow, by tool": partial(_all_growing, supervisor, "by_tool"),
    }
    for name, check in checks.items():
        await report.run(f"{server.engine}: {len(CASES)} schemas {name}", check)


def _asked(case: Case, model: str) -> CompletionRequest:
    return CompletionRequest.model_validate(
        {
            "model": model,
            "messages": [{"role": "user", "content": f"A {case.model.__name__}"}],
            "max_tokens": ENOUGH,
            "seed": CASES.index(case),
        }
    )


async def _all(supervisor: Supervisor, model: str) -> str:
    return _told([await _one(supervisor, case, model) for case in CASES])


async def _one(supervisor: Supervisor, case: Case, model: str) -> Outcome:
    try:
        answer = await complete_as(supervisor, _asked(case, model), case.model)
    except (OutputInvalid, ProviderError) as error:
        return _failed(case, error)
    # Keys that were not given stay out: a default may be no value of its own schema.
    text = answer.model_dump_json(by_alias=True, exclude_unset=True)
    return Outcome(case, "fits", problem_of(case.model.model_json_schema(), json.loads(text)))


async def _all_growing(supervisor: Supervisor, model: str) -> str:
    return _told([await _one_growing(supervisor, case, model) for case in CASES])


async def _one_growing(supervisor: Supervisor, case: Case, model: str) -> Outcome:
    async with stream_as(supervisor, _asked(case, model), case.model) as output:
        try:
            async for _ in output:
                output.partial  # noqa: B018 - it must be readable at any time
            await output.complete()
        except (OutputInvalid, ProviderError) as error:
            return _failed(case, error)
        problem = problem_of(case.model.model_json_schema(), output.partial)
        if output.by_tool != (model == "by_tool"):
            problem = f"by_tool is {output.by_tool}"
        return Outcome(case, "fits", problem)


def _failed(case: Case, error: OutputInvalid | ProviderError) -> Outcome:
    # The grammar also lets half a character through (backslash, u, d800), which is no JSON to pydantic.
    may_be = not case.held or (isinstance(error, OutputInvalid) and "surrogate" in error.problems)
    kind = error.stop_reason if isinstance(error, OutputInvalid) else f"{error.kind}, {error.reason}"
    name = "OutputInvalid" if isinstance(error, OutputInvalid) else "ProviderError"
    return Outcome(case, f"{name} ({kind})", None if may_be else str(error))


def _told(outcomes: list[Outcome]) -> str:
    """The count of each ending."""
    wrong = [f"{outcome.case.model.__name__}: {outcome.wrong[:200]}" for outcome in outcomes if outcome.wrong]
    expect(not wrong, "; ".join(wrong))
    counts = Counter(outcome.ending for outcome in outcomes)
    held = [outcome.ending == "fits" for outcome in outcomes if outcome.case.held]
    endings = ", ".join(f"{count} {ending}" for ending, count in counts.most_common())
    return f"{len(outcomes)} asked, {endings}; {sum(held)} of {len(held)} that the grammar holds fit"
