"""One answer while it arrives: chunks in, events out, one outcome at the end.

What a server may do wrong is handled where it is read (:mod:`.reading`), sorted (:mod:`.toolcalls`, :mod:`.reasoning`)
or named (:mod:`.finish`); this file keeps the order of events and decides how the answer ends.
"""

import msgspec
from msgspec import Raw

from nexus3.wire.catalog import Target
from nexus3.wire.classify import in_stream_failure
from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat.chunks import ABSENT, CallDelta, Choice, Chunk, Delta, WireUsage
from nexus3.wire.codecs.openai_chat.finish import failed_finish, is_filtered, stop_reason
from nexus3.wire.codecs.openai_chat.reading import Malformed, load
from nexus3.wire.codecs.openai_chat.reasoning import THINKING_PARTS, ReasoningLog
from nexus3.wire.codecs.openai_chat.toolcalls import ToolCalls
from nexus3.wire.codecs.openai_chat.usage import read_usage
from nexus3.wire.events import (
    INFERRED_FINISH,
    TAIL_LOST,
    UNKNOWN_CONTENT,
    ContentDelta,
    Notice,
    ReasoningDelta,
    ResponseStarted,
    StreamEvent,
    UsageUpdated,
)
from nexus3.wire.failures import Failure, Kind, Phase, fail
from nexus3.wire.limits import DecodeLimits
from nexus3.wire.messages import JsonObject, Message, Origin, Role, Usage


class Answer:
    """The four public attributes mean what they mean in :class:`~nexus3.wire.codecs.Decoder`.

    Methods append the events of what they take to ``out``. Once ``outcome`` is set, nothing more is to be taken.
    """

    def __init__(self, target: Target, *, request_id: str | None, limits: DecodeLimits, streamed: bool) -> None:
        self.outcome: Reply | Failure | None = None
        self.proven = False
        self.emitted = False
        self.usage: Usage | None = None
        self._target = target
        self._request_id = request_id
        self._limits = limits
        self._streamed = streamed
        self._response_id: str | None = None
        self._model: str | None = None
        self._choice: int | None = None  # the index we read
        self._choice_seen = False
        self._other_choice_finished = False
        self._finish: str | None = None
        self._started = False  # ResponseStarted is out
        self._held: tuple[Notice, ...] = ()  # until then
        self._text: list[str] = []
        self._refusal: list[str] = []
        # Few answers have any of these: made when they come.
        self._reasoning: ReasoningLog | None = None
        self._calls: ToolCalls | None = None
        self._blocks: tuple[JsonObject, ...] = ()
        self._noticed: tuple[str, ...] = ()

    def take(self, chunk: Chunk, out: list[StreamEvent]) -> None:
        """Take one chunk, or a whole body.

        Raises:
            Malformed, OverLimit: something inside cannot be taken; what came before it has been.
        """
        if chunk.id and self._response_id is None:
            self._response_id = chunk.id
        if chunk.model and self._model is None:
            self._model = chunk.model
        if chunk.error is not ABSENT and (error := self._load(chunk.error)):
            self._take_usage(chunk.usage, out)
            self.provider_failed({"error": error}, out)
            return
        for choice in chunk.choices or ():
            index = choice.index
            if index is not None and index != self._choice:
                if self._choice is not None:
                    self._other_choice_finished |= bool(choice.finish_reason)
                    continue
                self._choice = index
            self._choice_seen = True
            self._take_choice(choice, out)
            if self.outcome is not None:
                return
            if choice.usage is not None:
                self._take_usage(choice.usage, out)
        if chunk.usage is not None:
            self._take_usage(chunk.usage, out)

    def _take_choice(self, choice: Choice, out: list[StreamEvent]) -> None:
        delta = choice.delta
        # Perplexity sends both: in a stream, ``message`` is all there was so far; in a body, ``delta`` is empty.
        if delta is None or (choice.message is not None and not self._streamed):
            delta = choice.message
        if delta is not None:
            self._take_delta(delta, out)
        if choice.error is not ABSENT and (error := self._load(choice.error)):
            self.provider_failed({"error": error}, out)
        elif choice.finish_reason:
            self._take_finish(choice.finish_reason, out)

    def _take_delta(self, delta: Delta, out: list[StreamEvent]) -> None:
        if delta.reasoning or delta.reasoning_content or delta.reasoning_text or delta.content_thinking:
            self._take_reasoning(delta, out)
        if delta.reasoning_details:
            details = self._objects(delta.reasoning_details)
            if self._streamed:
                self._reasoning_log().merge_details(details)
            else:
                self._reasoning_log().add_details(details)
        if delta.content:
            if not self.emitted:
                self._first_content(out)
            self._text.append(delta.content)
            out.append(ContentDelta(delta.content))
        if delta.refusal:
            if not self.emitted:
                self._first_content(out)
            self._refusal.append(delta.refusal)
            out.append(ContentDelta(delta.refusal, refusal=True))
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._take_call(call, out)
        elif delta.function_call is not None:
            # The legacy field alone: llama.cpp sends each fragment in both.
            self._take_call(CallDelta(index=0, function=delta.function_call), out)
        if delta.annotations or delta.images or delta.audio is not ABSENT:
            self._keep_raw(delta, out)

    def _take_reasoning(self, delta: Delta, out: list[StreamEvent]) -> None:
        # Only one of them: some servers send the same text in two fields.
        for field, text in (
            ("reasoning", delta.reasoning),
            ("reasoning_content", delta.reasoning_content),
            ("reasoning_text", delta.reasoning_text),
            (THINKING_PARTS, delta.content_thinking),
        ):
            if text:
                if not self.emitted:
                    self._first_content(out)
                log = self._reasoning_log()
                if log.field is None:
                    log.field = field
                log.shown.append(text)
                out.append(ReasoningDelta(text))
                return

    def _reasoning_log(self) -> ReasoningLog:
        if self._reasoning is None:
            self._reasoning = ReasoningLog(self._target)
        return self._reasoning

    def _take_call(self, call: CallDelta, out: list[StreamEvent]) -> None:
        if self._calls is None:
            self._calls = ToolCalls(self._limits, id_seed=f"{self._request_id} {self._response_id}")
        events = self._calls.feed(call) if self._streamed else self._calls.add(call)
        if events and not self.emitted:
            self._first_content(out)
        out += events

    def _take_finish(self, raw: str, out: list[StreamEvent]) -> None:
        if (failed := failed_finish(raw)) is not None:
            kind, reason = failed
            self.fail(kind, reason, f"the provider gave up its answer (finish_reason {raw!r})", out)
        elif self._finish is None or is_filtered(raw):
            self._finish = raw
            self.proven = True

    def _take_usage(self, wire: WireUsage | None, out: list[StreamEvent]) -> None:
        usage = read_usage(wire) if wire is not None else None
        if usage is None or usage == self.usage:
            return
        if not self.proven and not (usage.input_tokens or usage.output_tokens):
            return  # a placeholder of zeros: the true numbers follow
        self.usage = usage
        if self._started:
            out.append(UsageUpdated(usage))

    def _keep_raw(self, delta: Delta, out: list[StreamEvent]) -> None:
        """What is content, but none of ours. Servers repeat lists of it, and send empty objects of it."""
        audio = self._load(delta.audio)
        for kind, blocks in (
            ("annotations", self._objects(delta.annotations or [])),
            ("images or other parts", self._objects(delta.images or [])),
            ("audio", [{"type": "audio", **audio}] if isinstance(audio, dict) and any(audio.values()) else []),
        ):
            new = [block for block in blocks if block not in self._blocks]
            self._blocks += tuple(new)
            if new and kind not in self._noticed:
                self._noticed += (kind,)
                self._notice(UNKNOWN_CONTENT, f"{kind} arrived: kept raw in the message's blocks", out)

    def _load(self, raw: Raw) -> object:
        return load(raw, self._limits.max_json_depth)

    def _objects(self, raws: list[Raw]) -> list[JsonObject]:
        return [value for raw in raws if isinstance(value := self._load(raw), dict)]

    def partial(self) -> Message | None:
        """What has arrived so far."""
        return self._message() if self._text or self._refusal or self._reasoning or self._calls else None

    # The order of events

    def _first_content(self, out: list[StreamEvent]) -> None:
        self.emitted = True
        self._start(out)

    def _start(self, out: list[StreamEvent]) -> None:
        if self._started:
            return
        self._started = True
        out.append(ResponseStarted(self._response_id, self._model, self._request_id))
        if self.usage is not None:
            out.append(UsageUpdated(self.usage))
        out += self._held
        self._held = ()

    def _notice(self, code: str, text: str, out: list[StreamEvent]) -> None:
        if self._started:
            out.append(Notice(code, text))
        else:
            self._held += (Notice(code, text),)

    # Ends

    def complete(self, out: list[StreamEvent]) -> None:
        """The answer is over and whole: its last events, and the outcome."""
        reason, inferred = stop_reason(self._finish, has_calls=bool(self._calls), refused=bool(self._refusal))
        if inferred is not None:
            self._notice(INFERRED_FINISH, inferred, out)
        self._start(out)
        if self._calls is not None:
            out += self._calls.complete()
        self.outcome = Reply(
            message=self._message(),
            stop_reason=reason,
            raw_stop_reason=self._finish,
            usage=self.usage,
            response_id=self._response_id,
            model=self._model,
        )

    def fail(
        self, kind: Kind, reason: str, message: str, out: list[StreamEvent], *, retryable: bool | None = None
    ) -> None:
        """The answer is over and lost; unless the provider has proven it complete before."""
        self._end_with(fail(kind, reason, message, retryable=retryable), out)

    def nothing_came(self, out: list[StreamEvent]) -> None:
        """The provider ended properly, without having answered."""
        self.fail("protocol", "empty_response", "the provider answered without an answer", out, retryable=True)

    def end_body(self, out: list[StreamEvent]) -> None:
        """The one chunk of a body was taken: it is the whole answer, or there is none in it."""
        if self.proven or self.emitted:  # some servers give no finish_reason
            self.complete(out)
        else:
            self.nothing_came(out)

    def malformed(self, reason: str, data: bytes, error: Malformed, out: list[StreamEvent]) -> None:
        """The provider sent what is not a JSON object."""
        excerpt = data[:200].decode("utf-8", "replace")
        self.fail("protocol", reason, f"the provider sent what is not a JSON object ({error}): {excerpt}", out)

    def over_limit(self, limit: str, out: list[StreamEvent]) -> None:
        """A limit of ours was passed; it is named like its field of ``DecodeLimits``."""
        if self.outcome is None:
            value = getattr(self._limits, limit)
            self.fail("limit", limit, f"the answer passes {limit} ({value}); raise the limit if it is meant to", out)

    def provider_failed(self, payload: object, out: list[StreamEvent]) -> None:
        """The provider sent an error; ``payload`` is the object that holds it, or the error itself."""
        self._end_with(in_stream_failure(payload, phase=self._phase, request_id=self._request_id), out)

    def _end_with(self, failure: Failure, out: list[StreamEvent]) -> None:
        if self.proven:
            self.tail_lost(failure.message, out)
            self.complete(out)
            return
        self.outcome = msgspec.structs.replace(
            failure, phase=self._phase, request_id=failure.request_id or self._request_id, emitted=self.emitted
        )

    def tail_lost(self, why: str, out: list[StreamEvent]) -> None:
        """What followed a whole answer cannot be had."""
        self._notice(TAIL_LOST, f"the answer is complete, but what followed it was lost: {why}", out)

    @property
    def _phase(self) -> Phase:
        return "stream" if self.emitted else "first_event"

    def _message(self) -> Message:
        said: dict[str, object] = {"content": "".join(self._text)}
        if self._refusal:
            said["refusal"] = "".join(self._refusal)
        if self._reasoning is not None:
            said["reasoning"] = self._reasoning.blocks()
        needs_origin = False
        if self._calls is not None:
            calls = said["tool_calls"] = self._calls.tool_calls()
            needs_origin = any(call.extra for call in calls)
        if self._blocks:
            said["blocks"] = self._blocks
            needs_origin = True
        if needs_origin:
            target = self._target
            said["origin"] = Origin(dialect="openai_chat", provider=target.type.name, model=target.model)
        # Copied, not validated: pydantic refuses depths of raw JSON that the limits may allow.
        return _SILENT.model_copy(update=said)


# Each field that an answer may fill is given here, and so counts as set in every answer, filled or not.
_SILENT = Message(role=Role.ASSISTANT, content="", tool_calls=(), reasoning=(), refusal=None, blocks=(), origin=None)
