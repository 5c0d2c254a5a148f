"""The encoder of each dialect."""

import nexus3.loopback.speak_anthropic as speak_anthropic
import nexus3.loopback.speak_openai as speak_openai
from nexus3.loopback.frames import Speaker
from nexus3.wire.catalog import Dialect

SPEAKERS: dict[Dialect, Speaker] = {"openai_chat": speak_openai, "anthropic_messages": speak_anthropic}
