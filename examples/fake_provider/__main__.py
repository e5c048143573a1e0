"""Run the provider with its router: ``python -m fake_provider --port 8400``."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
from typing import Any

from fake_provider.routing import AutoRouter
from fake_provider.server import FakeProvider


def main() -> None:
    """Serve until interrupted. ``POST /_control`` changes the router and returns what it has served so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, which is printed")
    provider = FakeProvider(parser.parse_args().port)
    router = AutoRouter()

    def control(settings: dict[str, Any]) -> dict[str, Any]:
        router.change(settings)
        return {"served": list(router.log)}

    def route(requested: str, body: Any) -> str:
        if requested not in {"auto", "openrouter/auto"}:
            return requested
        return router(sum(len(str(m.get("content", ""))) for m in body.get("messages", ())))

    provider.route, provider.control = route, control

    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    print(json.dumps({"url": provider.url}), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        provider.serve_forever()


if __name__ == "__main__":
    main()
