"""Caps on spending at work: what is refused, what waits, what is charged, and that nothing stays reserved."""

from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from nexus3 import CompletionRequest, Notice, ProviderError, StreamComplete, StreamFailed, Supervisor, Usage
from nexus3.actors.gates.billing import AccountSnapshot
from nexus3.loopback import Answer, Cut, ErrorEvent
from nexus3.testing import HANG, Chunk, End, Exchange, Head, Reply, Sent, Step, crash, open_house
from tests.actors.house import house
from tests.actors.scripted import SSE, ask, events_of, said
from tests.actors.scripted import config as scripted

COUNTS = Usage(input_tokens=30, output_tokens=20, cache_read_tokens=0, reasoning_tokens=0)
"""What comes back of ``costing(30, 20)``."""
PRICES = {"input": 1000.0, "output": 1000.0}
"""A tenth of a cent for each token."""


def config(
    *, provider: dict[str, Any] | None = None, model: Mapping[str, object] | None = None, **supervisor: object
) -> dict[str, Any]:
    made = scripted("openai", model, **(provider or {}))
    return {**made, "supervisor": {**made["supervisor"], **supervisor}}


def costing(input_tokens: int, output_tokens: int, **more: Any) -> Answer:
    return Answer("hello", usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens), **more)


def accounts(supervisor: Supervisor) -> dict[str, AccountSnapshot]:
    found = supervisor.snapshot().spending
    return {f"{account.holder}:{account.name}": account for account in found}


async def spent(supervisor: Supervisor) -> dict[str, tuple[int, float | None]]:
    """By account, when the last one's work has ended: then nothing is reserved."""
    with trio.fail_after(5):
        while any(child.in_flight for child in supervisor.snapshot().children.values()):  # noqa: ASYNC110 - no event
            await trio.sleep(0.01)
    found = accounts(supervisor)
    assert all((a.reserved_tokens, a.reserved_dollars or 0) == (0, 0) for a in found.values()), found
    return {name: (account.tokens, account.dollars) for name, account in found.items()}


# -- whose cap it is


async def test_a_supervisor_s_cap_is_for_all_its_providers_together(autojump_clock: MockClock) -> None:
    async with open_house([costing(30, 20)], config(spend_cap={"tokens": 120})) as (sup, network):
        for model in ("m", "second"):
            await sup.complete(ask(model=model, max_tokens=20))
        for model in ("m", "second"):
            with pytest.raises(ProviderError) as caught:
                await sup.complete(ask(model=model, max_tokens=30))
            error = caught.value
            assert (error.kind, error.reason, error.retryable) == ("quota", "supervisor_tokens_cap", False)
        assert (len(network.exchanges), await spent(sup)) == (2, {"supervisor:": (100, None)})
        assert sup.snapshot().counters["refused.supervisor_tokens_cap"] == 2


async def test_a_provider_s_cap_is_its_own_and_a_fallback_goes_on(autojump_clock: MockClock) -> None:
    with_fallback = config(provider={"spend_cap": {"tokens": 50}}, model={"fallbacks": ["second"]})
    async with open_house([costing(30, 20)], with_fallback) as (sup, _):
        ends = [await sup.complete(ask(max_tokens=20)) for _ in range(2)]
        assert [end.provider for end in ends] == ["main", "other"]
        assert await spent(sup) == {"provider:main": (50, None)}
        assert (await failure_of(sup, "main:x")).reason == "provider_tokens_cap"


async def failure_of(supervisor: Supervisor, model: str, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await supervisor.complete(ask(model=model, **more))
    return caught.value


async def test_a_caller_has_the_cap_of_its_name_else_that_of_every_caller(autojump_clock: MockClock) -> None:
    caps = {"ann": {"tokens": 1000}, "*": {"tokens": 60}}
    async with open_house([costing(30, 20)], config(caller_spend_caps=caps)) as (sup, _):
        for caller in ("ann", "bob", "ann", None):
            await sup.complete(ask(caller=caller, max_tokens=20))
        for caller in ("bob", None):
            error = await failure_of(sup, "m", caller=caller, max_tokens=20)
            assert error.reason == "caller_tokens_cap"
        assert "A caller without a name may spend 60 tokens; 50 are spent" in error.message
        assert await spent(sup) == {"caller:": (50, None), "caller:ann": (100, None), "caller:bob": (50, None)}


async def test_a_new_cap_of_a_provider_holds_at_once_and_what_was_spent_stays(autojump_clock: MockClock) -> None:
    async with open_house([costing(30, 20)], config(provider={"spend_cap": {"tokens": 60}})) as (sup, _):
        await sup.complete(ask(max_tokens=20))
        assert (await failure_of(sup, "m", max_tokens=20)).reason == "provider_tokens_cap"
        settings = sup.config.providers["main"]
        assert settings.spend_cap is not None
        raised = settings.model_copy(update={"spend_cap": settings.spend_cap.model_copy(update={"tokens": 100})})
        await sup.reconfigure("main", raised)
        await sup.complete(ask(max_tokens=20))
        assert await spent(sup) == {"provider:main": (100, None)}
        await sup.reconfigure("main", settings.model_copy(update={"spend_cap": None}))
        await sup.complete(ask(max_tokens=20))
        assert await spent(sup) == {"provider:main": (100, None)}, "nobody counts where there is no cap"


# -- tokens and money


async def test_money_is_counted_at_the_configured_prices(autojump_clock: MockClock) -> None:
    capped = config(model={"prices": PRICES}, spend_cap={"dollars": 0.12})
    async with open_house([costing(30, 20)], capped) as (sup, _):
        done = [await sup.complete(ask(max_tokens=20)) for _ in range(2)]
        assert [each.usage and each.usage.cost for each in done] == [0.05, 0.05]
        assert (await failure_of(sup, "m", max_tokens=20)).reason == "supervisor_dollars_cap"
        assert await spent(sup) == {"supervisor:": (100, 0.1)}


async def test_what_the_provider_says_it_charged_counts_before_any_price(autojump_clock: MockClock) -> None:
    stated = Answer("hello", usage=Usage(input_tokens=30, output_tokens=20, cost=0.5))
    capped = config(model={"prices": PRICES}, spend_cap={"dollars": 10.0})
    capped["providers"]["main"] |= {"type": "openrouter", "base_url": "http://127.0.0.1:9/api/v1"}
    async with open_house([stated], capped) as (sup, _):
        done = await sup.complete(ask())
        assert done.usage is not None
        assert done.usage.cost == 0.5
        assert await spent(sup) == {"supervisor:": (50, 0.5)}


async def test_prices_alone_put_the_cost_on_the_usage_and_without_them_it_is_not_known(
    autojump_clock: MockClock,
) -> None:
    async with open_house([costing(30, 20)], config(model={"prices": PRICES})) as (sup, _):
        costs = [(await sup.complete(ask(model=model))).usage for model in ("m", "second")]
        assert [usage and usage.cost for usage in costs] == [0.05, None]
        assert sup.snapshot().spending == ()


async def test_an_unknown_price_is_refused_under_a_cap_on_money(autojump_clock: MockClock) -> None:
    async with open_house([costing(30, 20)], config(spend_cap={"dollars": 1.0})) as (sup, network):
        error = await failure_of(sup, "m")
        assert (error.kind, error.reason, error.retryable) == ("quota", "unknown_price", False)
        assert (network.exchanges, await spent(sup)) == ([], {"supervisor:": (0, 0.0)})


async def test_or_it_goes_through_and_is_told_and_counted(autojump_clock: MockClock) -> None:
    noticed = config(spend_cap={"dollars": 1.0}, on_unknown_price="notice")
    async with open_house([Answer(status=500), costing(30, 20)], noticed) as (sup, _):
        events = await events_of(sup, ask())
        assert [event.code for event in events if isinstance(event, Notice)] == ["unknown_price"], "once, not each time"
        end = events[-1]
        assert isinstance(end, StreamComplete)
        assert end.usage == COUNTS
        assert await spent(sup) == {"supervisor:": (50, 0.0)}
        assert accounts(sup)["supervisor:"].unpriced == 1


async def test_the_price_list_is_asked_under_a_cap_on_money_only(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def listed(provider_type: str, model: str, _tokens: object, _now: float) -> int:
        asked.append(f"{provider_type} {model}")
        return 7_000_000

    monkeypatch.setattr("nexus3.actors.gates.billing.price_list", lambda: listed)
    async with open_house([costing(30, 20)], config(spend_cap={"tokens": 10_000})) as (sup, _):
        assert (await sup.complete(ask())).usage == COUNTS
        assert asked == []
    async with open_house([costing(30, 20)], config(provider={"spend_cap": {"dollars": 1.0}})) as (sup, _):
        assert (await sup.complete(ask())).usage == msgspec.structs.replace(COUNTS, cost=0.007)
        assert set(asked) == {"openai x"}
        assert await spent(sup) == {"provider:main": (50, 0.007)}
        assert (await sup.complete(ask(model="second"))).usage == COUNTS


# -- what waits


async def test_what_only_running_requests_stand_in_the_way_of_waits_for_them_at_any_provider(
    autojump_clock: MockClock,
) -> None:
    """The first one reserves nearly all, and takes a tenth of it, at another provider."""

    def script(exchange: Exchange) -> Answer:
        return costing(5, 5, first_delay=3.0 if exchange.provider == "other" else 0.0)

    async with open_house(script, config(spend_cap={"tokens": 100})) as (sup, network):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sup.complete, ask(model="second", max_tokens=80))
            await trio.sleep(0.5)
            assert accounts(sup)["supervisor:"].reserved_tokens > 80
            nursery.start_soon(sup.complete, ask(max_tokens=80))
            await trio.sleep(0.5)
            assert (len(network.exchanges), sup.snapshot().children["main"].queued) == (1, 1)
        assert [exchange.provider for exchange in network.exchanges] == ["other", "main"]
        assert network.exchanges[1].began == network.exchanges[0].ended_at
        assert await spent(sup) == {"supervisor:": (20, None)}


async def test_one_caller_s_wait_keeps_no_other_caller_waiting(autojump_clock: MockClock) -> None:
    async with open_house(
        lambda _: costing(5, 5, first_delay=10.0), config(caller_spend_caps={"ann": {"tokens": 100}})
    ) as (
        sup,
        network,
    ):
        async with trio.open_nursery() as nursery:
            for caller in ("ann", "ann", "bob"):
                nursery.start_soon(sup.complete, ask(caller, caller=caller, max_tokens=80))
                await trio.sleep(0.1)
            assert [b'"bob"' in exchange.body for exchange in network.exchanges] == [False, True]
            assert sup.snapshot().children["main"].queued_by_caller == {"ann": 1}
        assert await spent(sup) == {"caller:ann": (20, None)}


async def test_who_waits_is_refused_when_what_ran_has_taken_too_much(autojump_clock: MockClock) -> None:
    async with open_house([costing(5, 80, first_delay=1.0)], config(spend_cap={"tokens": 100})) as (sup, network):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sup.complete, ask(max_tokens=80))
            await trio.sleep(0.5)
            assert (await failure_of(sup, "m", max_tokens=80)).reason == "supervisor_tokens_cap"
        assert len(network.exchanges) == 1


# -- what is charged, whatever becomes of it

EXPECTED = 1 + 64
"""Of ``ask(max_tokens=64)``: its two letters, and all that it may be answered."""


@pytest.mark.parametrize(
    ("answer", "charged"),
    [
        (Answer(status=500), 0),
        (Answer(status=429, headers={"retry-after": "99"}), 0),
        (costing(3, 4), 7),
        (Answer("hello", usage=None), EXPECTED),
        (Answer("hello", fault=Cut(after=1)), EXPECTED),
    ],
    ids=["refused", "throttled", "stated", "not stated", "cut off"],
)
async def test_what_an_end_costs(answer: Answer, charged: int, autojump_clock: MockClock) -> None:
    async with open_house([answer], config(provider={"max_retries": 0}, spend_cap={"tokens": 10_000})) as (sup, _):
        await events_of(sup, ask(max_tokens=64))
        assert await spent(sup) == {"supervisor:": (charged, None)}


async def test_of_a_part_of_an_answer_the_stated_input_counts_and_the_reserved_output(
    autojump_clock: MockClock,
) -> None:
    """Anthropic's states the input before the first content, and an output of next to nothing."""
    capped = config(provider={"max_retries": 0}, spend_cap={"tokens": 10_000})
    capped["providers"]["main"] |= {"type": "anthropic", "base_url": "http://127.0.0.1:9"}
    cut = Answer(["hel", "lo"], usage=Usage(input_tokens=500, output_tokens=2), fault=Cut(after=1))
    async with open_house([cut], capped) as (sup, _):
        assert isinstance((await events_of(sup, ask(max_tokens=64)))[-1], StreamFailed)
        assert await spent(sup) == {"supervisor:": (500 + 64, None)}


async def test_each_attempt_is_charged(autojump_clock: MockClock) -> None:
    cut_before_content: list[Step] = [Sent(), Head(headers=SSE), End()]
    replies: list[Reply] = [Answer(status=500), cut_before_content, costing(3, 4)]
    async with open_house(replies, config(spend_cap={"tokens": 10_000})) as (sup, _):
        assert (await sup.complete(ask(max_tokens=64))).attempts == 3
        assert await spent(sup) == {"supervisor:": (0 + EXPECTED + 7, None)}


async def test_an_error_in_the_stream_costs_what_was_stated_before_it(autojump_clock: MockClock) -> None:
    capped = config(provider={"max_retries": 0}, spend_cap={"tokens": 10_000})
    capped["providers"]["main"] |= {"type": "anthropic", "base_url": "http://127.0.0.1:9"}
    error = Answer(["hel", "lo"], usage=Usage(input_tokens=500, output_tokens=2), fault=ErrorEvent(after=1, status=529))
    async with open_house([error], capped) as (sup, _):
        await events_of(sup, ask(max_tokens=64))
        assert await spent(sup) == {"supervisor:": (500 + 64, None)}


async def test_an_answer_is_billed_as_soon_as_it_is_complete(autojump_clock: MockClock) -> None:
    """Its connection is still being drained when the caller goes on."""
    done = [Chunk(said("hello", "stop")), Chunk(b'data: {"choices": [], "usage": {"prompt_tokens": 30, ')]
    done += [Chunk(b'"completion_tokens": 20}}\n\ndata: [DONE]\n\n')]
    steps: list[Step] = [Sent(), Head(headers=SSE), *done, HANG]
    async with open_house([steps], config(spend_cap={"tokens": 60})) as (sup, _):
        await sup.complete(ask(max_tokens=20))
        assert (accounts(sup)["supervisor:"].tokens, sup.snapshot().children["main"].in_flight) == (50, 1)
        assert (await failure_of(sup, "m", max_tokens=20)).reason == "supervisor_tokens_cap"
        assert await spent(sup) == {"supervisor:": (50, None)}


@pytest.mark.parametrize("content_came", [False, True])
async def test_a_cancelled_request_is_charged_what_it_may_have_cost(
    content_came: bool, autojump_clock: MockClock
) -> None:
    steps: list[Step] = [Sent(), Head(headers=SSE), *([Chunk(said("hel"))] if content_came else []), HANG]
    async with open_house([steps], config(spend_cap={"tokens": 10_000})) as (sup, _):
        with trio.move_on_after(5):
            await sup.complete(ask(max_tokens=64))
        await trio.sleep(1)
        assert await spent(sup) == {"supervisor:": (EXPECTED, None)}


async def test_one_that_was_cancelled_before_it_was_sent_costs_nothing(autojump_clock: MockClock) -> None:
    async with open_house([[HANG, Sent()]], config(spend_cap={"tokens": 10_000})) as (sup, _):
        with trio.move_on_after(5):
            await sup.complete(ask(max_tokens=64))
        await trio.sleep(1)
        assert await spent(sup) == {"supervisor:": (0, None)}


async def test_a_crash_charges_what_ran_and_leaves_nothing_reserved(autojump_clock: MockClock) -> None:
    script: list[Reply] = [[Sent(), HANG], costing(3, 4)]
    async with open_house(script, config(spend_cap={"tokens": 10_000})) as (sup, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sup.complete, ask(max_tokens=64))
            await trio.sleep(1)
            assert accounts(sup)["supervisor:"].reserved_tokens == EXPECTED
            crash(sup, "main")
        assert await spent(sup) == {"supervisor:": (EXPECTED + 7, None)}


async def test_a_cap_that_turns_requests_away_is_logged_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house([costing(5, 5)], config(caller_spend_caps={"*": {"tokens": 10}})) as (sup, _):
        for caller in ("ann", "bob", "ann"):
            assert (await failure_of(sup, "m", caller=caller, max_tokens=80)).reason == "caller_tokens_cap"
    lines = [record.getMessage() for record in caplog.records if "spend.capped" in record.getMessage()]
    assert lines == [
        f"spend.capped actor='main' holder='caller' account='{caller}' reason='caller_tokens_cap'"
        for caller in ("ann", "bob")
    ]


# -- in a storm


@pytest.mark.parametrize("seed", range(8))
async def test_no_storm_spends_more_than_the_cap(seed: int, autojump_clock: MockClock) -> None:
    """Requests by the hundred at two providers, of which some are cancelled, some fail, and some see a crash: no cap is
    exceeded, for no answer is longer than its request allows, and nothing stays reserved."""
    rng = Random(seed)
    taken = {"supervisor:": 0, "caller:ann": 0}
    kinds = set[str]()

    def script(exchange: Exchange) -> Answer:
        if rng.random() < 0.2:
            return Answer(status=500)
        output = rng.randint(1, 50)
        caller = "caller:ann" if b"ann" in exchange.body else "supervisor:"
        for name in {caller, "supervisor:"}:
            taken[name] += 1 + output
        return costing(1, output, first_delay=rng.choice((0.0, 0.2, 2.0)))

    caps: dict[str, Any] = {"spend_cap": {"tokens": 3000}, "caller_spend_caps": {"ann": {"tokens": 500}}}
    async with open_house(script, config(provider={"breaker": "off"}, max_restarts=100, **caps)) as (sup, _):

        async def one(request: CompletionRequest, patience: float) -> None:
            with trio.move_on_after(patience):
                try:
                    await sup.complete(request)
                except ProviderError as error:
                    kinds.add(error.kind)

        async with trio.open_nursery() as nursery:
            for _ in range(200):
                caller = rng.choice(("ann", "bob"))
                request = ask(caller[:2] * 2, caller=caller, model=rng.choice(("m", "second")), max_tokens=50)
                nursery.start_soon(one, request, rng.choice((0.1, 5.0, 600.0)))
                if rng.random() < 0.3:
                    await trio.sleep(rng.random() / 2)
                if rng.random() < 0.02:
                    crash(sup, "main")
                reserved = accounts(sup)["supervisor:"]
                assert reserved.tokens + reserved.reserved_tokens <= 3000, f"seed {seed}"
        await trio.sleep(10)
        found = await spent(sup)
        assert found["supervisor:"][0] <= 3000, f"seed {seed}"
        assert found["caller:ann"][0] <= 500, f"seed {seed}"
        assert taken["supervisor:"] <= 3000, f"seed {seed}"
        assert kinds <= {"quota", "server", "actor_crashed", "unavailable"}, f"seed {seed}"
        assert "quota" in kinds, f"seed {seed}: the cap was never reached"


# -- over real sockets


async def test_caps_hold_on_the_real_loopback() -> None:
    answer = costing(30, 20)
    async with house(lambda _: answer, supervisor={"caller_spend_caps": {"*": {"tokens": 60}}}) as (sup, server):
        done = await sup.complete(ask(caller="ann", max_tokens=20))
        assert done.usage == COUNTS
        error = await failure_of(sup, "local", caller="ann", max_tokens=20)
        assert (error.kind, error.reason) == ("quota", "caller_tokens_cap")
        assert (len(server.exchanges), await spent(sup)) == (1, {"caller:ann": (50, None)})
