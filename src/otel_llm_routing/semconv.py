"""Every attribute and metric name, once, as a string literal with its source.

The ``gen_ai.*`` names are those of github.com/open-telemetry/semantic-conventions-genai. They are literals because
the Python package ``opentelemetry-semantic-conventions`` marks its constants for them as deprecated ("moved").
"""

# GenAI conventions, spans (docs/gen-ai/gen-ai-spans.md)
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
OPENAI_REQUEST_TIER = "openai.request.service_tier"
OPENAI_RESPONSE_TIER = "openai.response.service_tier"
OPENAI_FINGERPRINT = "openai.response.system_fingerprint"

# Stable conventions (docs/general/attributes.md, docs/registry/attributes/error.md)
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

# This project's own
SURFACE = "llm_routing.surface"
SURFACE_SOURCE = "llm_routing.surface.source"
REQUEST_KIND = "llm_routing.request.kind"
SERVED_SOURCE = "llm_routing.served.source"
MATCH = "llm_routing.match"
FALLBACK = "llm_routing.fallback"
GATEWAY = "llm_routing.gateway"
CACHED = "llm_routing.cached"

# Metrics
REQUESTS = "llm_routing.requests"
INPUT_SIZE = "llm_routing.input_size"
INPUT_TOKENS_TOTAL = "llm_routing.input_tokens"
OUTPUT_TOKENS_TOTAL = "llm_routing.output_tokens"
DURATION = "llm_routing.duration"
FIRST_CHUNK = "llm_routing.time_to_first_chunk"

REQUEST_ATTRIBUTES = (
    SURFACE,
    PROVIDER,
    OPERATION,
    REQUEST_MODEL,
    RESPONSE_MODEL,
    REQUEST_KIND,
    MATCH,
    SERVED_SOURCE,
    CACHED,
    ERROR_TYPE,
)
"""What requests are counted by."""

SCOPE = "otel_llm_routing"

# Operations that are one model call. Agent, tool and workflow spans repeat the model calls inside them.
MODEL_OPERATIONS = frozenset({"chat", "text_completion", "embeddings", "generate_content"})
