"""The fake provider with models that answer: its router picks by length, and what it picks decides how good it is."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_provider import AutoRouter, FakeProvider

from evals.models import MODELS

if TYPE_CHECKING:
    from fake_provider.wire import Asked


class AnsweringProvider(FakeProvider):
    """Answers chat completions with what the model that was picked makes of the prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.router = AutoRouter()
        self.control = self.change

    def change(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Retune the router, and return what it has served so far."""
        self.router.change(settings)
        return {"served": list(self.router.log)}

    def take(self, method: str, target: str, headers: dict[str, str], body: Any) -> Asked:
        """Pick a model and let it answer."""
        asked = super().take(method, target, headers, body)
        prompt = body["messages"][-1]["content"]
        model = self.router(len(prompt))
        message = {"role": "assistant", "content": MODELS[model](prompt)}
        more = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return replace(asked, serve=lambda *_: model, answers=replace(asked.answers, more=more))


def main() -> None:
    """Serve until interrupted."""

    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    provider = AnsweringProvider()
    print(json.dumps({"url": provider.url}), flush=True)
    provider.serve_forever()


if __name__ == "__main__":
    main()
