"""An application with three product surfaces. It knows nothing of telemetry: the demo starts it under
``opentelemetry-instrument``, as any existing application could be.

The SDKs find the provider and the key in ``OPENAI_BASE_URL``, ``OPENAI_API_KEY``, ``ANTHROPIC_BASE_URL`` and
``ANTHROPIC_API_KEY``. Every surface asks for the model ``auto``: the provider chooses.
"""  # noqa: D205, D400, D415

from __future__ import annotations

from typing import TYPE_CHECKING

from anthropic import AsyncAnthropic
from fastapi import Body, FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = FastAPI()
openai = AsyncOpenAI()
anthropic = AsyncAnthropic()


@app.post("/complete")
async def complete(prompt: str = Body(embed=True)) -> str:
    """Autocomplete: a few words after the cursor."""
    answer = await openai.chat.completions.create(model="auto", messages=[{"role": "user", "content": prompt}])
    return answer.choices[0].message.content or ""


@app.post("/charts/tooltip")
async def tooltip(prompt: str = Body(embed=True)) -> str:
    """Say in a sentence what a point of a chart means."""
    message = await anthropic.messages.create(
        model="auto", max_tokens=200, messages=[{"role": "user", "content": prompt}]
    )
    return "".join(block.text for block in message.content if block.type == "text")


@app.post("/drafts")
async def draft(prompt: str = Body(embed=True)) -> StreamingResponse:
    """Write a long text, sent as it is written."""

    async def text() -> AsyncIterator[str]:
        stream = await openai.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": prompt}], stream=True
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    return StreamingResponse(text(), media_type="text/plain")
