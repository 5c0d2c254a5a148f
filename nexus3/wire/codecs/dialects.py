"""The codec of each dialect."""

from nexus3.wire.catalog import Dialect
from nexus3.wire.codecs import Codec, anthropic_messages, openai_chat

CODECS: dict[Dialect, Codec] = {"openai_chat": openai_chat, "anthropic_messages": anthropic_messages}
