"""Which recordings the demo takes, and when one of them came out as recorded."""

from pathlib import Path

import nexus3
from nexus3.cli.demo.follow import Told
from nexus3.cli.demo.recordings import MAX_BODY_CHARACTERS, came_out_as_recorded, choose, find_folder
from nexus3.wire.events import StreamComplete
from nexus3.wire.failures import error_of, fail
from nexus3.wire.messages import Message, Role, ToolCall
from tests.cli import recordings
from tests.cli.recordings import Record


def chosen(folder: Path, *records: Record) -> list[tuple[str, str]]:
    return [(item.kind, item.recording.id) for item in choose(recordings.write(folder, *records))]


def test_one_of_each_kind_and_dialect(tmp_path: Path) -> None:
    assert chosen(tmp_path, *recordings.ALL) == [
        ("tool calls", "hand-openai-call"),
        ("tool calls", "hand-anthropic-call"),
        ("reasoning", "hand-ollama-reasoning"),
        ("reasoning", "hand-anthropic-reasoning"),
        ("error", "hand-azure-error"),
    ]


def test_provider_types_that_were_not_shown_yet_come_first(tmp_path: Path) -> None:
    twin = recordings.OLLAMA_REASONING | {"id": "aaa", "provider_type": "openai"}
    assert chosen(tmp_path, recordings.OPENAI_CALL, twin, recordings.OLLAMA_REASONING) == [
        ("tool calls", "hand-openai-call"),
        ("reasoning", "hand-ollama-reasoning"),
    ]


def test_what_is_edited_disputed_partial_or_long_is_left_alone(tmp_path: Path) -> None:
    usual = recordings.OLLAMA_REASONING
    expected, response = usual["expected"], usual["response"]
    assert isinstance(expected, dict)
    assert isinstance(response, dict)
    assert (
        chosen(
            tmp_path,
            usual | {"id": "edited", "fidelity": "third-party-edited"},
            usual | {"id": "disputed", "expected": expected | {"disputed": {"text": ["a", "b"]}}},
            usual | {"id": "partial", "expected": expected | {"partial": True}},
            usual | {"id": "long", "response": response | {"sse": "x" * (MAX_BODY_CHARACTERS + 1)}},
            usual | {"id": "retryable", "response": response | {"status": 429}},
        )
        == []
    )


def test_files_that_are_no_recordings_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"name": "package"}')
    (tmp_path / "list.json").write_text("[]")
    assert chosen(tmp_path, recordings.AZURE_ERROR) == [("error", "hand-azure-error")]


def test_other_servers_are_replayed_as_the_plain_compatible_type(tmp_path: Path) -> None:
    other = recordings.OLLAMA_REASONING | {"provider_type": "openai-compatible"}
    (item,) = choose(recordings.write(tmp_path, other))
    assert item.recording.provider == "vllm"


def test_the_folder_is_the_named_one_else_that_beside_the_checkout(tmp_path: Path) -> None:
    beside = Path(nexus3.__file__).parents[2] / "shared" / "transcripts"
    assert find_folder(str(tmp_path)) == tmp_path
    assert find_folder(str(tmp_path / "absent")) is None
    assert find_folder(None) == (beside if beside.is_dir() else None)
    assert choose(None) == []


def test_every_difference_counts(tmp_path: Path) -> None:
    by_id = {item.recording.id: item.recording for item in choose(recordings.write(tmp_path, *recordings.ALL))}
    call, thought = by_id["hand-openai-call"], by_id["hand-ollama-reasoning"]
    done = StreamComplete(Message(role=Role.ASSISTANT))

    def told(text: str = "", reasoning: str = "", calls: tuple[ToolCall, ...] = ()) -> Told:
        return Told(6, "openai", "m", 0.0, text=text, reasoning=reasoning, tool_calls=list(calls), done=done)

    right = ToolCall(id="t1", name="weather", arguments={"city": "Bern"})
    wrong = ToolCall(id="t1", name="weather", arguments={"city": "Rome"})
    assert came_out_as_recorded(call, told(calls=(right,)))
    assert not came_out_as_recorded(call, told(calls=(wrong,)))
    assert not came_out_as_recorded(call, told(calls=(right, right)))
    assert not came_out_as_recorded(call, told("and more", calls=(right,)))
    assert came_out_as_recorded(thought, told("Four.", "Let me think."))
    assert not came_out_as_recorded(thought, told("Four."))
    unfinished = told("Four.", "Let me think.")
    unfinished.done = None
    assert not came_out_as_recorded(thought, unfinished)


def test_an_error_must_come_out_with_its_status(tmp_path: Path) -> None:
    (item,) = choose(recordings.write(tmp_path, recordings.AZURE_ERROR))
    failed = Told(6, "azure", "m", 0.0, error=error_of(fail("not_found", "other", "Gone.")))
    assert not came_out_as_recorded(item.recording, failed), "no status"
    assert not came_out_as_recorded(item.recording, Told(6, "azure", "m", 0.0))
