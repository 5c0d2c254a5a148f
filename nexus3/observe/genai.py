"""The attribute names of OpenTelemetry's conventions for generative AI. The one table; both generations.

The conventions are in development. What back-ends read today are the names up to version 1.41; the generation after it
renames one of those used here. The convention itself says that what is emitted by default must not change silently: a
host asks for the newer names by ``OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental``. The table is ours because
the OpenTelemetry package marks its own constants as deprecated and names no successor.
"""

from collections.abc import Mapping

import msgspec

OPT_IN_VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"
OPT_IN = "gen_ai_latest_experimental"


class GenAI(msgspec.Struct, frozen=True, kw_only=True):
    """The names of one generation. Counts of input include what was read from and written to a cache."""

    operation: str = "gen_ai.operation.name"
    provider: str = "gen_ai.provider.name"
    request_model: str = "gen_ai.request.model"
    request_stream: str = "gen_ai.request.stream"
    request_max_tokens: str = "gen_ai.request.max_tokens"
    request_temperature: str = "gen_ai.request.temperature"
    request_top_p: str = "gen_ai.request.top_p"
    request_seed: str = "gen_ai.request.seed"
    response_id: str = "gen_ai.response.id"
    response_model: str = "gen_ai.response.model"
    finish_reasons: str = "gen_ai.response.finish_reasons"
    time_to_first_chunk: str = "gen_ai.response.time_to_first_chunk"
    """Seconds from when the caller asked, waiting included, to the first content."""
    input_tokens: str = "gen_ai.usage.input_tokens"
    output_tokens: str = "gen_ai.usage.output_tokens"
    cache_read_tokens: str = "gen_ai.usage.cache_read.input_tokens"
    cache_write_tokens: str = "gen_ai.usage.cache_creation.input_tokens"
    reasoning_tokens: str = "gen_ai.usage.reasoning.output_tokens"


ESTABLISHED = GenAI()
LATEST = GenAI(cache_write_tokens="gen_ai.usage.cache_write.input_tokens")

# Stable names of the general conventions, the same in both.
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_STATUS = "http.response.status_code"


def genai_names(environ: Mapping[str, str]) -> GenAI:
    """The generation that this environment asks for; its variable is a list with commas."""
    asked = environ.get(OPT_IN_VARIABLE, "").split(",")
    return LATEST if OPT_IN in (word.strip() for word in asked) else ESTABLISHED
