"""A raw log as a file: one line of JSON for each call of a hook."""

import os
from types import TracebackType
from typing import Self

import msgspec

from nexus3.rawlog.hooks import RawLogCallback, logged_attempt
from nexus3.wire.messages import JsonObject


class JsonlRecorder(RawLogCallback):
    """Appends to ``path``, for its owner's eyes only where it creates it (mode 0600): prompts and answers are in it.

    ``open_supervisor(config, raw_log=JsonlRecorder("raw.jsonl"))``. A line has ``type`` (``request``, ``response``,
    ``stream_chunk``, ``stream_complete``), ``time`` (Unix seconds), ``request``, ``attempt``, ``provider``, ``model``,
    and what the hook was given under the names of its parameters. Each line is one write, so several recorders may
    share a file. It stays open until :meth:`close`, or as long as it is referred to.

    Raises:
        OSError: the file cannot be opened; later, in the thread, where it cannot be written: such lines are counted as
            ``raw_log.raised``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Unbuffered: what a hook has heard is in the file.
        self._file = open(path, "ab", buffering=0, opener=_open_private)  # noqa: SIM115 - it is kept open

    def on_request(self, endpoint: str, payload: JsonObject) -> None:
        self._write("request", {"endpoint": endpoint, "payload": payload})

    def on_response(self, status: int, body: JsonObject) -> None:
        self._write("response", {"status": status, "body": body})

    def on_chunk(self, chunk: JsonObject) -> None:
        self._write("stream_chunk", {"chunk": chunk})

    def on_stream_complete(self, summary: JsonObject) -> None:
        self._write("stream_complete", {"summary": summary})

    def close(self) -> None:
        """Close the file. Close the supervisor or provider first: it flushes what is queued."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, type_: str, data: JsonObject) -> None:
        about = logged_attempt()
        line: JsonObject = {
            "type": type_,
            "time": about.time,
            "request": about.request,
            "attempt": about.attempt,
            "provider": about.provider,
            "model": about.model,
            **data,
        }
        self._file.write(msgspec.json.encode(line) + b"\n")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
