"""Drivers of Amazon Bedrock, which boto3 and aiobotocore share: what is asked, and what comes back."""

from __future__ import annotations

import json

from driver import MESSAGES, Driver

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
ROUTER = "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1"
INVOKED = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12cd34"
TALK = [{"role": "user", "content": [{"text": "hello"}]}]
CREDENTIALS = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "region_name": "us-east-1"}


def claude(**more):
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": MESSAGES, **more})


class Bedrock(Driver):
    """A kind of call of bedrock-runtime. ``arguments`` are those of ``method``, of ``stream_method`` too."""

    provider = "aws.bedrock"
    requested = CLAUDE
    kind = "pinned"
    enters = False
    method: str
    stream_method: str
    answer: str
    """The member of the result in which the parts of a stream come."""

    def __init__(self, url, *, is_async=False):
        self.url = url
        self.client = self.make(url, retries=0)

    def make(self, url, retries):
        raise NotImplementedError

    def arguments(self):
        return {"modelId": self.requested, **self.content()}

    async def close(self, stream):
        stream.close()


class Converse(Bedrock):
    """Converse and ConverseStream with a model: nothing in the answer names one."""

    label = "converse"
    method, stream_method, answer = "converse", "converse_stream", "stream"
    served, source = None, "none"
    match = halfway = "unreported"
    reports = frozenset({"input_tokens", "output_tokens", "finish_reasons"})
    not_visible = "the model, as the answer names none"

    def content(self):
        return {"messages": TALK}


class Router(Converse):
    """Converse and ConverseStream with a prompt router, whose trace names the model invoked."""

    label = "converse with a prompt router"
    requested, served, source = ROUTER, INVOKED, "trace"
    kind, match = "router", "resolved"
    not_visible = "in a stream left before its last event, the model"


class Invoke(Bedrock):
    """InvokeModel and InvokeModelWithResponseStream of an Anthropic model, whose answer names it."""

    label = "invoke_model"
    method, stream_method, answer = "invoke_model", "invoke_model_with_response_stream", "body"
    served = "claude-haiku-4-5-20251001"
    match = halfway = "exact"
    not_visible = "the model, where its vendor's answer names none: all but Anthropic's and OpenAI's"

    def content(self):
        return {"body": claude()}


class Embeddings(Invoke):
    """InvokeModel of an embedding model."""

    label = "invoke_model, embeddings"
    operation = "embeddings"
    requested, kind = "amazon.titan-embed-text-v2:0", "pinned"
    served, source, match = None, "none", "unreported"
    reports = frozenset({"input_tokens"})
    not_visible = "the model, as the answer names none"

    def content(self):
        return {"body": json.dumps({"inputText": "hello"})}


# What the vendors' models are asked, and what their answers tell: (input tokens, output tokens, finish reason).
VENDORS = {
    "ai21.jamba-1-5-large-v1:0": ({"messages": MESSAGES}, "chat", (9, 4, "stop")),
    "amazon.nova-lite-v1:0": ({"messages": TALK}, "chat", (9, 4, "end_turn")),
    "amazon.titan-text-express-v1": ({"inputText": "hello"}, "text_completion", (9, 4, "FINISH")),
    "cohere.command-r-v1:0": ({"message": "hello"}, "chat", (9, 4, "COMPLETE")),
    "us.deepseek.r1-v1:0": ({"prompt": "hello"}, "text_completion", (9, 4, "stop")),
    "us.meta.llama3-3-70b-instruct-v1:0": ({"prompt": "hello"}, "text_completion", (9, 4, "stop")),
    "mistral.mistral-large-2402-v1:0": ({"prompt": "hello"}, "text_completion", (9, 4, "stop")),
}


def said(span):
    """The tokens and the finish reason on ``span``."""
    names = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    return (*[span.attributes.get(name) for name in names], *span.attributes.get("gen_ai.response.finish_reasons", ()))
