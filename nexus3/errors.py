"""The exceptions that do not belong to one request.

::

    NexusError
    ├── ConfigError            fix the settings; the message names the place
    ├── SupervisorEscalated    a supervisor gave up; the block was cancelled
    └── ProviderError          one request failed (wire/failures.py: it carries a Failure)

Everything in the house may import this file; it imports nothing.
"""


class NexusError(Exception):
    """Whatever nexus3 raises on purpose is one of these."""


class ConfigError(NexusError):
    """The settings cannot be used. One line, naming the place; never contains a secret."""


class SupervisorEscalated(NexusError):  # noqa: N818 - a public name; it states what happened
    """A child used up its restarts under ``on_exhausted: escalate``; the supervisor's block was cancelled.

    The last crash is the ``__cause__``.
    """
