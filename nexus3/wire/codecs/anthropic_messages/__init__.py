"""The dialect of Anthropic's Messages API, and of whoever speaks it too.

==================  ======================================================================================
the request         encode; of it: history, content, tools, schema, thinking, caching; models (THE GATES)
the answer          decode; of it: stream, answer, parts, usage, payload
both                replay: what the decoder keeps of a reply is what the encoder could not rebuild
==================  ======================================================================================
"""

from nexus3.wire.codecs.anthropic_messages.decode import decode_body, open_decoder
from nexus3.wire.codecs.anthropic_messages.encode import encode

__all__ = ["decode_body", "encode", "open_decoder"]
