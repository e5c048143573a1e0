"""The product: three surfaces of an editor, all of which ask for ``auto``."""

from __future__ import annotations

import os

from openai import OpenAI

from otel_llm_routing import surface

client = OpenAI(api_key="example", base_url=f"{os.environ['PROVIDER_URL']}/v1")


def ask(prompt: str) -> str:
    answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": prompt}])
    return answer.choices[0].message.content or ""


@surface("autocomplete")
def complete(text: str) -> str:
    """Continue what the user is typing: short and frequent."""
    return ask(text)


@surface("chart-tooltip")
def tooltip(chart: str) -> str:
    """Say what a chart shows."""
    return ask(chart)


@surface("long-form-draft")
def draft(notes: str) -> str:
    """Begin a report from long notes."""
    return ask(notes)
