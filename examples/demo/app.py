"""A small web application with three surfaces. It knows nothing of telemetry and calls ``auto``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from anthropic import Anthropic
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import OpenAI
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

PROVIDER = os.environ["PROVIDER_URL"]
openai = OpenAI(api_key="demo", base_url=f"{PROVIDER}/v1")
anthropic = Anthropic(api_key="demo", base_url=PROVIDER)
app = FastAPI()


class Prompt(BaseModel):
    """What a user typed."""

    text: str


@app.post("/complete")
def complete(prompt: Prompt) -> str | None:
    """Autocomplete: short and frequent."""
    answer = openai.chat.completions.create(model="auto", messages=[{"role": "user", "content": prompt.text}])
    return answer.choices[0].message.content


@app.post("/charts/tooltip")
def tooltip(prompt: Prompt) -> str:
    """A sentence about a chart."""
    answer = anthropic.messages.create(model="auto", max_tokens=64, messages=[{"role": "user", "content": prompt.text}])
    return "".join(block.text for block in answer.content if block.type == "text")


@app.post("/drafts")
def draft(prompt: Prompt) -> StreamingResponse:
    """A long draft, streamed."""

    def words() -> Iterator[str]:
        stream = openai.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": prompt.text}], stream=True
        )
        for chunk in stream:
            yield chunk.choices[0].delta.content or ""

    return StreamingResponse(words(), media_type="text/plain")
