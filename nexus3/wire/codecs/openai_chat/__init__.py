"""The dialect of OpenAI's Chat Completions, which five of the six provider types speak, each a little differently.

The way out is :mod:`.encode`, which puts the body together from :mod:`.conversation` (with :mod:`.history` and
:mod:`.parts`), :mod:`.effort` and the table in :mod:`.families`. The way in is :mod:`.decode` for streams and
:mod:`.unstreamed` for the rest; both read :mod:`.chunks`.
"""

from nexus3.wire.codecs.openai_chat.decode import open_decoder
from nexus3.wire.codecs.openai_chat.encode import encode
from nexus3.wire.codecs.openai_chat.unstreamed import decode_body

__all__ = ["decode_body", "encode", "open_decoder"]
