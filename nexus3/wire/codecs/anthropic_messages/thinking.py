"""How a wish for reasoning is spelled: adaptive thinking with an effort, or thinking with a budget, by model."""

import msgspec

from nexus3.wire.codecs.anthropic_messages.models import Traits
from nexus3.wire.codecs.anthropic_messages.replay import Block
from nexus3.wire.events import CHANGED_PARAMETER, DROPPED_PARAMETER, Notice
from nexus3.wire.requests import Effort, Reasoning

_MIN_BUDGET = 1024

# What other clients found good for these words, in tokens. The last means: as much as fits beside the answer.
_BUDGETS: dict[Effort, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 10_000,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 1_000_000,
}


class Thinking(msgspec.Struct, frozen=True):
    """What goes into the body."""

    config: Block | None = None
    """``thinking``."""
    effort: str | None = None
    """``output_config.effort``."""
    max_tokens: int = 0
    """Room for the answer, and for the budget where there is one: this API counts the thinking in."""

    @property
    def has_budget(self) -> bool:
        return self.config is not None and self.config["type"] == "enabled"

    @property
    def is_on(self) -> bool:
        return self.config is not None and self.config["type"] in ("enabled", "adaptive")


def plan_thinking(asked: Reasoning | None, traits: Traits, max_tokens: int, notices: list[Notice]) -> Thinking:
    """``max_tokens`` is what the answer shall have."""
    if asked is None:
        return Thinking(max_tokens=max_tokens)
    if asked.effort == "none" or asked.budget_tokens == 0:
        return _off(traits, max_tokens, notices)
    if not (traits.adaptive or traits.budgets):
        notices.append(Notice(DROPPED_PARAMETER, "reasoning: this model does not think."))
        return Thinking(max_tokens=max_tokens)
    if asked.effort is None and asked.budget_tokens is None and not (asked.visible or traits.thinks_unasked):
        return Thinking(max_tokens=max_tokens)  # there is nothing to show or to hide
    display: Block = {} if asked.visible is None else {"display": "summarized" if asked.visible else "omitted"}
    if traits.adaptive and (asked.budget_tokens is None or not traits.budgets):
        return Thinking({"type": "adaptive", **display}, _effort(asked, traits, notices), max_tokens)
    budget, total = _fit(asked, traits, max_tokens, notices)
    return Thinking({"type": "enabled", "budget_tokens": budget, **display}, None, total)


def _off(traits: Traits, max_tokens: int, notices: list[Notice]) -> Thinking:
    match traits.off:
        case "nothing":
            return Thinking(max_tokens=max_tokens)
        case "low_effort":
            notices.append(Notice(CHANGED_PARAMETER, "reasoning: this model always thinks; sent as effort low."))
            return Thinking(effort="low", max_tokens=max_tokens)
        case "disabled" | "between_tools":
            return Thinking({"type": traits.off}, max_tokens=max_tokens)


def _effort(asked: Reasoning, traits: Traits, notices: list[Notice]) -> str | None:
    if asked.effort is None and asked.budget_tokens is None:
        return None
    wanted = asked.effort
    if wanted is None:  # the smallest effort whose budget is as large
        wanted = next((word for word, budget in _BUDGETS.items() if budget >= (asked.budget_tokens or 0)), "max")
    effort = "low" if wanted == "minimal" else "max" if wanted == "xhigh" and not traits.xhigh else wanted
    if asked.budget_tokens is not None:
        said = f"reasoning: this model takes no budget; {asked.budget_tokens} tokens were sent as effort {effort}."
        notices.append(Notice(CHANGED_PARAMETER, said))
    elif effort != wanted:
        notices.append(Notice(CHANGED_PARAMETER, f"reasoning: effort {wanted} was sent as {effort}."))
    return effort


def _fit(asked: Reasoning, traits: Traits, max_tokens: int, notices: list[Notice]) -> tuple[int, int]:
    """The budget, and the ``max_tokens`` that covers budget and answer, under the model's ceiling: there the answer
    keeps what it shall have, but not more than half of it all.
    """
    wanted = max(
        _BUDGETS[asked.effort or "medium"] if asked.budget_tokens is None else asked.budget_tokens, _MIN_BUDGET
    )
    ceiling = traits.max_output_tokens or max(max_tokens + _BUDGETS["xhigh"], 64_000)
    total = max(min(max_tokens + wanted, ceiling), max_tokens)
    budget = max(min(wanted, max(total - max_tokens, total // 2)), _MIN_BUDGET)
    total = max(total, budget + 1)
    if budget != asked.budget_tokens:
        word = f"effort {asked.effort}" if asked.budget_tokens is None else f"{asked.budget_tokens} tokens"
        notices.append(Notice(CHANGED_PARAMETER, f"reasoning: {word} was sent as a budget of {budget} tokens."))
    return budget, total
