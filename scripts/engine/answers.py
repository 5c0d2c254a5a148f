"""What any engine must do for us: answer in a stream and whole, side by side, and end well when it is cut short.

By its own limits, by a caller that leaves, by a deadline, and by the death of the server.
"""

import os
import signal
from functools import partial

import httpx
import trio

from engine.raw import describe, text_of
from engine.reading import Reading, ask, in_tokens, read
from engine.report import Check, CheckError, Report, expect
from engine.servers import Server
from nexus3 import ContentDelta, ProviderError, Supervisor

QUESTION = "Which request ends twice?"
ANSWER_TOKENS = 48
LONG = 1500
"""Tokens of an answer that is left in the middle: seconds of work for these servers."""


async def run_all(server: Server, supervisor: Supervisor, raw: bytes, report: Report) -> str:
    """Run the checks; returns the engine's answer to ``QUESTION``."""
    answers: list[Reading] = []

    async def streamed() -> str:
        reading = await read(supervisor, ask(QUESTION, max_tokens=ANSWER_TOKENS))
        answers.append(reading)
        return _streamed(server, reading)

    def first() -> Reading:
        expect(bool(answers), "there is no streamed answer to compare with")
        return answers[0]

    checks: dict[str, Check] = {
        "models": partial(_models, server),
        "raw stream": partial(_raw, raw),
        "streamed": streamed,
        "streamed text is the raw text": lambda: _same_as_raw(first(), raw),
        "unstreamed": lambda: _unstreamed(supervisor, first()),
        "stop sequence": lambda: _stop_sequence(supervisor, first()),
        "max_tokens": partial(_max_tokens, server, supervisor),
        "eight streams at once": partial(_eight_at_once, supervisor),
        "eight streams, four left early": partial(_four_of_eight_left, supervisor),
        "left in mid-stream": lambda: _left_in_mid_stream(server, supervisor, first()),
        "deadline in mid-stream": lambda: _deadline_in_mid_stream(server, supervisor, first()),
    }
    for name, check in checks.items():
        await report.run(f"{server.engine}: {name}", check)
    return answers[0].text if answers else ""


async def _models(server: Server) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
        response = await client.get(f"{server.url}/models")
    expect(response.status_code == 200, f"status {response.status_code}: {response.text[:200]}")
    names = [model["id"] for model in response.json()["data"]]
    # transformers lists what lies in its download cache, not the model it serves.
    expect(server.engine == "transformers" or server.model in names, names)
    return f"status 200, lists {names}"


async def _raw(raw: bytes) -> str:
    expect(raw.startswith(b"HTTP/1.1 200 "), raw[:80])
    return describe(raw)


def _streamed(server: Server, reading: Reading) -> str:
    usage = reading.done.usage
    if server.engine == "transformers":
        expect(usage is not None and usage.output_tokens == ANSWER_TOKENS and bool(usage.input_tokens), f"{usage}")
    else:
        expect(usage is None, f"usage {usage}, though this server streams none")
    expect(reading.done.attempts == 1, f"attempts {reading.done.attempts}")
    first, all_ = reading.first_after * 1000, reading.took * 1000
    return (
        f"{len(reading.deltas)} deltas, {len(reading.text)} characters, first after {first:.0f} ms, "
        f"all after {all_:.0f} ms, {in_tokens(usage)}, stop {reading.done.stop_reason}"
    )


async def _same_as_raw(reading: Reading, raw: bytes) -> str:
    expect(reading.text == text_of(raw), f"{reading.text!r}, but the socket gave {text_of(raw)!r}")
    return f"{len(reading.text)} characters"


async def _unstreamed(supervisor: Supervisor, streamed: Reading) -> str:
    whole = await read(supervisor, ask(QUESTION, max_tokens=ANSWER_TOKENS, model="unstreamed"))
    expect(whole.text == streamed.text, f"{whole.text!r}, streamed it was {streamed.text!r}")
    usage = whole.done.usage
    expect(usage is not None and usage.output_tokens == ANSWER_TOKENS, f"usage {usage}")
    return f"the streamed text, in {len(whole.deltas)} delta, {whole.took * 1000:.0f} ms, {in_tokens(usage)}"


async def _stop_sequence(supervisor: Supervisor, streamed: Reading) -> str:
    stop = _new_piece(streamed)
    reading = await read(supervisor, ask(QUESTION, max_tokens=ANSWER_TOKENS, stop=stop))
    head = streamed.text[: streamed.text.index(stop)]
    # transformers keeps the sequence at the end, llama.cpp takes it away.
    expect(reading.text in (head, head + stop), f"{reading.text!r} is not {streamed.text!r} up to {stop!r}")
    expect(reading.done.stop_reason == "stop", f"stop_reason {reading.done.stop_reason}")
    return f"{stop!r} ends the answer after {len(reading.text)} characters, stop {reading.done.stop_reason}"


def _new_piece(reading: Reading) -> str:
    """A delta behind the first few that repeats nothing before it, so that it ends the answer where it stands."""
    place = 0
    for number, delta in enumerate(reading.deltas):
        if number >= 3 and reading.text.index(delta.text) == place:
            return delta.text
        place += len(delta.text)
    raise CheckError(f"the answer says nothing new: {reading.text!r}")


async def _max_tokens(server: Server, supervisor: Supervisor) -> str:
    reading = await read(supervisor, ask(QUESTION, max_tokens=5))
    usage, count = reading.done.usage, len(reading.deltas)
    expect(reading.done.stop_reason == "length", f"stop_reason {reading.done.stop_reason}")
    expect(1 <= count <= 5, f"{count} deltas")
    expect(server.engine != "transformers" or (usage is not None and usage.output_tokens == 5), f"usage {usage}")
    return f"5 asked, {count} deltas, stop {reading.done.stop_reason} ({reading.done.raw_stop_reason})"


async def _eight_at_once(supervisor: Supervisor) -> str:
    readings: list[Reading] = []

    async def one(number: int) -> None:
        readings.append(await read(supervisor, ask(f"Question {number}", max_tokens=40)))

    most, began = 0, trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(one, number)
        while len(readings) < 8:
            most = max(most, supervisor.snapshot().children["local"].in_flight)
            await trio.sleep(0.002)
    took = trio.current_time() - began
    ids = {reading.done.response_id for reading in readings}
    expect(len(ids) == 8, f"{len(ids)} distinct answers")
    expect(all(reading.done.stop_reason == "length" for reading in readings), [r.done.stop_reason for r in readings])
    deltas = sum(len(reading.deltas) for reading in readings)
    return f"8 of 8 complete, up to {most} in flight, {deltas} deltas in {took:.2f} s"


async def _four_of_eight_left(supervisor: Supervisor) -> str:
    readings: list[Reading] = []

    async def complete(number: int) -> None:
        readings.append(await read(supervisor, ask(f"Question {number}", max_tokens=40)))

    async def leave(number: int) -> None:
        async with supervisor.stream(ask(f"Question {number}", max_tokens=LONG)) as stream:
            async for event in stream:
                if isinstance(event, ContentDelta):
                    break

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(leave if number % 2 else complete, number)
    took = trio.current_time() - began
    expect(len(readings) == 4, f"{len(readings)} complete")
    return f"4 left after their first delta, 4 of 4 others complete, all in {took:.2f} s"


async def _left_in_mid_stream(server: Server, supervisor: Supervisor, measured: Reading) -> str:
    deltas = 0
    async with supervisor.stream(ask(QUESTION, max_tokens=LONG)) as stream:
        async for event in stream:
            deltas += isinstance(event, ContentDelta)
            if deltas == 10:
                break
    left = trio.current_time()
    rest = (LONG - deltas) * measured.took / ANSWER_TOKENS
    await supervisor.complete(ask("Next", max_tokens=4))
    next_after = trio.current_time() - left
    expect(next_after < rest / 2, f"the next answer took {next_after:.2f} s; the rest would have taken {rest:.2f} s")
    return (
        f"after {deltas} deltas; the next answer is whole {next_after * 1000:.0f} ms later "
        f"(the rest would have taken {rest:.1f} s); {await _idle(server)}"
    )


async def _deadline_in_mid_stream(server: Server, supervisor: Supervisor, measured: Reading) -> str:
    # Enough for about a quarter of the answer, by the pace that was measured.
    timeout = max(0.2, measured.took * LONG / ANSWER_TOKENS / 4)
    began = trio.current_time()
    try:
        await supervisor.complete(ask(QUESTION, max_tokens=LONG, timeout=timeout))
    except ProviderError as error:
        after = trio.current_time() - began
        received = len(error.partial.text) if error.partial else 0
        expect(error.kind == "timeout" and error.emitted and received > 0, repr(error))
        expect(after < timeout + 0.3, f"the end came after {after:.2f} s of {timeout:.2f}")
        return (
            f"{error.kind} ({error.reason}) after {after * 1000:.0f} ms of {timeout * 1000:.0f}, "
            f"{received} characters kept; {await _idle(server)}"
        )
    raise CheckError(f"the answer was complete before its deadline of {timeout:.2f} s")


async def killed_in_mid_stream(server: Server, supervisor: Supervisor) -> str:
    """Kill the server while it answers. The last check of a server."""
    deltas = 0
    killed_at: float | None = None
    try:
        async with supervisor.stream(ask(QUESTION, max_tokens=LONG)) as stream:
            async for event in stream:
                deltas += isinstance(event, ContentDelta)
                if deltas == 20 and killed_at is None:
                    killed_at = trio.current_time()
                    os.kill(server.pid, signal.SIGKILL)
    except ProviderError as error:
        if killed_at is None:
            raise
        after = trio.current_time() - killed_at
        kept = len(error.partial.text) if error.partial else 0
        expect(error.kind == "transport" and error.emitted and kept > 0 and error.attempts == 1, repr(error))
        seen = f"{error.kind} ({error.reason}) after {after * 1000:.0f} ms, {kept} characters kept"
    else:
        raise CheckError("the answer was complete")
    try:
        await supervisor.complete(ask(QUESTION, max_tokens=4))
    except ProviderError as error:
        expect(error.kind == "transport", repr(error))
        return f"{seen}; the next request: {error.kind} ({error.reason}), {error.attempts} attempts"
    raise CheckError(f"{seen}; the next request was answered")


async def _idle(server: Server) -> str:
    """Whether the server has stopped working on what was left."""
    await trio.sleep(0.3)
    before = server.cpu_seconds()
    await trio.sleep(1.0)
    after = server.cpu_seconds()
    if before is None or after is None:
        return "the system does not tell what the server does"
    expect(after - before < 0.3, f"the server still works: {after - before:.2f} s of processor time in 1 s")
    return f"the server used {after - before:.2f} s of processor time in the second after"
