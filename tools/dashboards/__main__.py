"""Write the boards as Grafana's classic JSON: ``make dashboards``.

The SDK's version is pinned: its releases are numbered by Grafana's, and the newest on the index is not the one that
these builders are of.
"""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import decomposition, health, overview, router, surface

INTO = Path(__file__).parents[2] / "src" / "otel_llm_routing" / "generate" / "grafana" / "dashboards"


def documents() -> dict[str, str]:
    """Return the boards, by file name."""
    made = (module.make().build() for module in (overview, surface, router, decomposition, health))
    texts = {}
    for board in made:
        document = json.loads(JSONEncoder(sort_keys=True).encode(board))
        for number, panel in enumerate(document["panels"], start=1):
            panel["id"] = number
        texts[f"{board.uid}.json"] = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return texts


def main() -> None:
    """Write them."""
    INTO.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (INTO / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
