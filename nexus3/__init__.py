# The map of the house:
#   wire/        what is said: requests, events, failures, codecs (pure)
#   actors/      who does it: tickets, slots, mailboxes, the provider actor, its pool, the caller's side
#   supervisor/  whether it keeps running: children, restarts, the block
#   observe/     what operators are told: the log catalogue
#   rawlog/      what goes over the wire, for hooks of the application (import it by its own name)
#   config/      files, environment, defaults;  directory.py  what is configured now;  runtime.py  puts all together
#   tools/       functions as tools, the tool loop, answers as objects (import it by its own name)
#   provider/    the original's face (core/ has its paths);  loopback/  the bundled local provider and its cassettes
#   testing/, cli/  above everything
"""The LLM runtime for trio: supervised provider actors, typed requests in, streamed events out."""

from nexus3._version import __version__
from nexus3.actors.reply.submission import AsyncProvider, Submission
from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.config.load import load_config
from nexus3.config.schema import Config
from nexus3.errors import ConfigError, NexusError, SupervisorEscalated
from nexus3.provider import PROVIDER_DEFAULTS, ProviderRegistry, create_provider
from nexus3.runtime import Supervisor, open_supervisor, run_supervisor
from nexus3.wire.events import (
    AttemptStarted,
    ContentDelta,
    FallbackSelected,
    Notice,
    ReasoningDelta,
    ResponseStarted,
    RetryScheduled,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.failures import ProviderError
from nexus3.wire.messages import FilePart, ImagePart, Message, Role, TextPart, ToolCall, Usage
from nexus3.wire.requests import CompletionRequest, Reasoning, Tool

__all__ = [
    "PROVIDER_DEFAULTS",
    "AsyncProvider",
    "AttemptStarted",
    "CompletionRequest",
    "Config",
    "ConfigError",
    "ContentDelta",
    "FallbackSelected",
    "FilePart",
    "ImagePart",
    "Message",
    "ModelConfig",
    "NexusError",
    "Notice",
    "ProviderConfig",
    "ProviderError",
    "ProviderRegistry",
    "Reasoning",
    "ReasoningDelta",
    "ResponseStarted",
    "RetryScheduled",
    "Role",
    "StreamComplete",
    "StreamEvent",
    "StreamFailed",
    "Submission",
    "Supervisor",
    "SupervisorEscalated",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolCallCompleted",
    "ToolCallDelta",
    "ToolCallStarted",
    "Usage",
    "UsageUpdated",
    "__version__",
    "create_provider",
    "load_config",
    "open_supervisor",
    "run_supervisor",
]
