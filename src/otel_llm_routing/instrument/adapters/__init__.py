"""One module per SDK family: where to hook it, how to read its requests and responses.

``SDKS`` names each SDK, the module whose import lets it be hooked, and the module here that hooks it. Nothing is
imported before the SDK is.
"""

from __future__ import annotations

from typing import NamedTuple


class Sdk(NamedTuple):
    """An SDK that calls models."""

    name: str
    """Its distribution, which is also its name in ``OTEL_LLM_ROUTING_DISABLED_SDKS``."""
    on: str
    """The module of it that has to be imported before it can be hooked."""
    adapter: str
    """The module of this package whose ``ADAPTER`` hooks it."""


SDKS = (
    Sdk("aiobotocore", on="aiobotocore.client", adapter="aiobotocore"),
    Sdk("anthropic", on="anthropic", adapter="anthropic"),
    Sdk("azure-ai-inference", on="azure.ai.inference", adapter="azure_ai_inference"),
    Sdk("azure-ai-inference", on="azure.ai.inference.aio", adapter="azure_ai_inference"),
    Sdk("boto3", on="botocore.client", adapter="boto3"),
    Sdk("cerebras-cloud-sdk", on="cerebras.cloud.sdk", adapter="cerebras"),
    Sdk("claude-agent-sdk", on="claude_agent_sdk", adapter="claude_agent"),
    Sdk("cohere", on="cohere.client", adapter="cohere"),
    Sdk("cohere", on="cohere.base_client", adapter="cohere"),
    Sdk("cohere", on="cohere.raw_base_client", adapter="cohere"),
    Sdk("cohere", on="cohere.v2.client", adapter="cohere"),
    Sdk("cohere", on="cohere.v2.raw_client", adapter="cohere"),
    Sdk("cohere", on="cohere.core.http_client", adapter="cohere"),
    Sdk("google-cloud-aiplatform", on="vertexai.generative_models._generative_models", adapter="vertexai"),
    Sdk("google-cloud-aiplatform", on="vertexai.language_models._language_models", adapter="vertexai"),
    Sdk("google-genai", on="google.genai", adapter="google_genai"),
    Sdk("google-genai", on="google.genai._gaos.google_genai", adapter="google_interactions"),
    Sdk("google-genai", on="google.genai._interactions", adapter="google_interactions_stainless"),
    Sdk("google-genai", on="google.genai.live", adapter="google_live"),
    Sdk("groq", on="groq", adapter="groq"),
    Sdk("huggingface_hub", on="huggingface_hub.inference._client", adapter="huggingface_hub"),
    Sdk("huggingface_hub", on="huggingface_hub.inference._generated._async_client", adapter="huggingface_hub"),
    Sdk("ibm-watsonx-ai", on="ibm_watsonx_ai.foundation_models", adapter="watsonx"),
    Sdk("litellm", on="litellm", adapter="litellm"),
    Sdk("litellm", on="litellm.integrations.opentelemetry", adapter="litellm"),
    Sdk("litellm", on="litellm.router_rust.core", adapter="litellm"),
    Sdk("mistralai", on="mistralai.client.basesdk", adapter="mistralai"),
    Sdk("mistralai", on="mistralai.client.utils.eventstreaming", adapter="mistralai"),
    Sdk("mistralai", on="mistralai.azure.client.basesdk", adapter="mistralai"),
    Sdk("mistralai", on="mistralai.azure.client.utils.eventstreaming", adapter="mistralai"),
    Sdk("mistralai", on="mistralai.gcp.client.basesdk", adapter="mistralai"),
    Sdk("mistralai", on="mistralai.gcp.client.utils.eventstreaming", adapter="mistralai"),
    Sdk("mistralai", on="mistralai.basesdk", adapter="mistralai"),  # 1.x, as are the following
    Sdk("mistralai", on="mistralai.utils.eventstreaming", adapter="mistralai"),
    Sdk("mistralai", on="mistralai_azure.basesdk", adapter="mistralai"),
    Sdk("mistralai", on="mistralai_azure.utils.eventstreaming", adapter="mistralai"),
    Sdk("mistralai", on="mistralai_gcp.basesdk", adapter="mistralai"),
    Sdk("mistralai", on="mistralai_gcp.utils.eventstreaming", adapter="mistralai"),
    Sdk("ollama", on="ollama._client", adapter="ollama"),
    Sdk("openai", on="openai", adapter="openai"),
    Sdk("openai", on="openai.resources.beta.realtime.realtime", adapter="openai_realtime"),
    Sdk("openai", on="openai.resources.realtime.realtime", adapter="openai_realtime"),
    Sdk("openrouter", on="openrouter.basesdk", adapter="openrouter"),
    Sdk("openrouter", on="openrouter.utils.eventstreaming", adapter="openrouter"),
    Sdk("portkey-ai", on="portkey_ai", adapter="portkey"),
    Sdk("replicate", on="replicate", adapter="replicate"),
    Sdk("together", on="together", adapter="together"),
    Sdk("voyageai", on="voyageai", adapter="voyageai"),
    Sdk("writer-sdk", on="writerai", adapter="writer"),
    Sdk("xai-sdk", on="xai_sdk", adapter="xai"),
)
