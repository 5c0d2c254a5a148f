"""Raw logs: what went over the wire, handed to the application's own hooks.

On the way to them it goes through a bounded queue, and is parsed and redacted by a thread: no hook can delay a request
or fail it, or see a credential. See ``docs/raw-log.md``.
"""

from nexus3.rawlog.hooks import LoggedAttempt, RawLogCallback, logged_attempt
from nexus3.rawlog.jsonl import JsonlRecorder
from nexus3.rawlog.switch import RawLogSwitch

__all__ = ["JsonlRecorder", "LoggedAttempt", "RawLogCallback", "RawLogSwitch", "logged_attempt"]
