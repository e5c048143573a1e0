"""Names from outside, as a terminal may be given them."""

from __future__ import annotations

from rich.text import Text

from otel_llm_routing.analyze.wording import printable


def outside(text: str) -> Text:
    """Return ``text`` from outside as it may be printed: no markup, and nothing that a terminal would obey."""
    return Text(printable(text))
