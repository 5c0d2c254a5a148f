"""Spells how much a model shall think: ``reasoning_effort``, or OpenRouter's ``reasoning`` object."""

from collections.abc import Sequence

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.openai_chat.families import family_of
from nexus3.wire.codecs.openai_chat.notes import changed, dropped
from nexus3.wire.codecs.openai_chat.parts import WireObject
from nexus3.wire.events import Notice
from nexus3.wire.requests import CompletionRequest, Effort, Reasoning

_EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

# In tokens of reasoning: what those who must translate between the two take for each.
_BUDGETS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 2048,
    "medium": 10_000,
    "high": 16_384,
    "xhigh": 32_768,
}


def spell_reasoning(
    request: CompletionRequest, target: Target, notices: list[Notice]
) -> tuple[Effort | None, WireObject]:
    """The effort that is sent, and the keys of the body that send it."""
    reasoning = request.reasoning
    if reasoning is None:
        return None, {}
    match target.quirks.reasoning_param:
        case "none":
            notices.append(dropped("reasoning", f"{target.type.name} has no setting for it"))
            return None, {}
        case "object":
            return None, _object(reasoning, request, target, notices)
        case "effort":
            effort = _effort(reasoning, target, notices)
            return effort, {} if effort is None else {"reasoning_effort": effort}


def _object(reasoning: Reasoning, request: CompletionRequest, target: Target, notices: list[Notice]) -> WireObject:
    wire: WireObject = {}
    if reasoning.effort is not None:
        wire["effort"] = reasoning.effort
    elif reasoning.budget_tokens == 0:
        wire["effort"] = "none"
    elif reasoning.budget_tokens is not None:
        wire["max_tokens"] = reasoning.budget_tokens
    if wire and wire.get("effort") != "none" and "claude" in target.model.lower() and _forces_a_call(request):
        notices.append(dropped("reasoning", "for Claude the router drops it where tool_choice forces a call"))
    if reasoning.visible is not None:
        wire["exclude"] = not reasoning.visible
    return {"reasoning": wire} if wire else {}


def _forces_a_call(request: CompletionRequest) -> bool:
    return bool(request.tools) and request.tool_choice not in (None, "auto", "none")


def _effort(reasoning: Reasoning, target: Target, notices: list[Notice]) -> Effort | None:
    if reasoning.visible is not None:
        notices.append(dropped("reasoning.visible", f"{target.type.name} has no setting for it"))
    effort = reasoning.effort
    if reasoning.budget_tokens is not None:
        effort = _effort_for(reasoning.budget_tokens)
        notices.append(changed("reasoning.budget_tokens", f"effort {effort}", f"{target.type.name} takes no budget"))
    if effort is None or not target.quirks.gate_parameters:
        return effort
    family = family_of(target.family)
    if family.reasons == "never":
        notices.append(dropped("reasoning", f"{target.model} does not reason"))
        return None
    if family.efforts and effort not in family.efforts:
        nearest = _nearest(effort, family.efforts)
        notices.append(changed(f"reasoning.effort {effort}", nearest, f"{target.model} takes nothing nearer"))
        return nearest
    if family.reasons == "always" and effort == "none":
        notices.append(dropped("reasoning.effort none", f"{target.model} cannot but reason"))
        return None
    return effort


def _effort_for(budget: int) -> Effort:
    return min(_BUDGETS, key=lambda effort: abs(_BUDGETS[effort] - budget))


def _nearest(effort: Effort, known: Sequence[Effort]) -> Effort:
    """The nearest of the known, the greater one of two."""
    rank = _EFFORTS.index(effort)
    return min(known, key=lambda one: (abs(_EFFORTS.index(one) - rank), -_EFFORTS.index(one)))
