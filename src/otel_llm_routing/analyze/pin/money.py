"""What 1,000 requests for an identifier cost now, and what they would cost with all of them on one model.

The part that the model serves already has its own tokens. The part that moves is taken to read and write what the
identifier's requests do on the average: nobody knows what the model would have written, and tokenizers differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze.pin.model import Money
from otel_llm_routing.analyze.report.costs import NO_PRICE
from otel_llm_routing.analyze.tokens import Caller, Tokens, means
from otel_llm_routing.analyze.wording import quoted
from otel_llm_routing.models import same_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_llm_routing.analyze.pin.candidates import Requested
    from otel_llm_routing.analyze.pin.model import Candidate
    from otel_llm_routing.analyze.report.costs import PriceList
    from otel_llm_routing.analyze.sources import Count

MOST = 3


class Pricing:
    """Prices requests of one surface."""

    def __init__(
        self, surface: str, prices: PriceList, counts: Iterable[Count], tokens: Mapping[Caller, Tokens]
    ) -> None:
        self._surface, self._prices = surface, prices
        self._means = means(counts, tokens)

    def of(self, asked: Requested, chosen: Candidate) -> Money:
        """Return the dollars of 1,000 requests for an identifier, now and pinned."""
        now = 0.0
        no_tokens, no_price = set(), set()
        own = moved = Tokens(0, 0)
        stays = 0
        for (requested, provider, served), requests in asked.served.items():
            mean = self._means.get(Caller(self._surface, provider, requested, served))
            if mean is None:
                no_tokens.add(served)
                continue
            if (each := self._prices.each(provider, served, mean)) is None:
                no_price.add(served)
            else:
                now += each.dollars * requests
            moved = Tokens(moved.read + mean.read * requests, moved.written + mean.written * requests)
            if same_model(served, chosen.model):
                stays += requests
                own = Tokens(own.read + mean.read * requests, own.written + mean.written * requests)
        if no_tokens:
            return Money(None, None, f"no token counts of {_names(no_tokens)}")
        total = asked.known
        pinned = self._pinned(chosen, own, stays, Tokens(moved.read / total, moved.written / total), total - stays)
        unsaid = f"{NO_PRICE} of {_names(no_price | ({chosen.model} if pinned is None else set()))}"
        return Money(
            None if no_price else 1000 * now / total,
            None if pinned is None else 1000 * pinned / total,
            unsaid if no_price or pinned is None else "",
        )

    def _pinned(self, chosen: Candidate, own: Tokens, stays: int, mean: Tokens, moves: int) -> float | None:
        """Return the dollars of all requests on one model; None: its price is not known."""
        total = 0.0
        for tokens, requests in ((Tokens(own.read / max(stays, 1), own.written / max(stays, 1)), stays), (mean, moves)):
            if requests:
                each = self._prices.each(chosen.provider, chosen.model, tokens)
                if each is None:
                    return None
                total += each.dollars * requests
        return total


def _names(models: set[str]) -> str:
    listed = sorted(models)
    more = f" and {len(listed) - MOST} more" if len(listed) > MOST else ""
    return ", ".join(map(quoted, listed[:MOST])) + more
