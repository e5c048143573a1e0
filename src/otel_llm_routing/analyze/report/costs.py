"""What requests cost: by the model that served them, at the list price of the provider that was called.

Prices are those of the package genai-prices as it is installed; nothing is downloaded. What it does not list has no
cost: a price is never guessed.
"""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.analyze.report.model import Cost, Prices
from otel_llm_routing.analyze.tokens import Caller, means
from otel_llm_routing.models import canonical, provider_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otel_llm_routing.analyze.report.counts import Served, Stream
    from otel_llm_routing.analyze.sources import Count
    from otel_llm_routing.analyze.tokens import Tokens

NOT_INSTALLED = "genai-prices is not installed: pip install 'otel-llm-routing[prices]'"
NO_TOKENS = "no token counts"
NO_PRICE = "unknown price"

PROVIDERS = {
    "anthropic": "anthropic",
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "cerebras": "cerebras",
    "cloudflare": "cloudflare",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "groq": "groq",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "x_ai": "x-ai",
}
"""The GenAI conventions' name of a provider, to the price list's. Others, such as gateways, have no price."""


class Each(NamedTuple):
    """What one request of a model costs."""

    dollars: float
    priced_as: str


class PriceList:
    """The installed price list, at the prices of one day."""

    def __init__(self, at: float) -> None:
        """Raise ``ModuleNotFoundError`` where it is not installed."""
        import genai_prices  # noqa: PLC0415  (an extra)

        self._library: Any = genai_prices
        self._at = datetime.fromtimestamp(at, timezone.utc)
        self._found: dict[tuple[str, str, int, int], Any] = {}

    @property
    def prices(self) -> Prices:
        """Where prices come from."""
        day = self._at.date()
        known = [start for start in _beginnings() if start <= day]
        newest = max(known).isoformat() if known else ""
        return Prices(f"genai-prices {self._library.__version__}", day.isoformat(), newest)

    def each(self, provider: str, served: str, tokens: Tokens) -> Each | None:
        """Return the cost of a request of ``tokens``; None: the list does not have the model of that provider."""
        listed = PROVIDERS.get(provider_name(provider) or "")
        if listed is None:
            return None
        # Some prices depend on the size of a request: that of the average one is taken.
        read, written = max(round(tokens.read), 1), max(round(tokens.written), 1)
        found = self._calculated(listed, served, read, written)
        if found is None and (name := canonical(served)) != served:
            found = self._calculated(listed, name, read, written)
        if found is None:
            return None
        flat = float(found.total_price) - float(found.input_price) - float(found.output_price)
        dollars = (
            flat + float(found.input_price) * tokens.read / read + float(found.output_price) * tokens.written / written
        )
        return Each(dollars, f"{found.provider.id}/{found.model.id}")

    def _calculated(self, provider: str, model: str, read: int, written: int) -> Any:
        key = (provider, model, read, written)
        if key not in self._found:
            usage = self._library.Usage(input_tokens=read, output_tokens=written)
            try:
                found = self._library.calc_price(usage, model, provider_id=provider, genai_request_timestamp=self._at)
            except (LookupError, ValueError, TypeError):  # not listed, or not by the token
                found = None
            self._found[key] = found
        return self._found[key]


class Costs:
    """Gives the costs of the rows of a report."""

    def __init__(self, prices: PriceList, counts: Iterable[Count], tokens: Mapping[Caller, Tokens]) -> None:
        self._prices = prices
        self._means = means(counts, tokens)

    def of(self, stream: Stream, served: Served) -> Cost | str:
        """Return the cost of a row, or why there is none.

        A row may be of several providers and spellings. If the price of one is not known, that of the row is not.
        """
        total = read = written = 0.0
        names = set()
        for part, requests in served.parts.items():
            mean = self._means.get(Caller(stream[0], part.provider, stream[1], part.served))
            if mean is None:
                return NO_TOKENS
            each = self._prices.each(part.provider, part.served, mean)
            if each is None:
                return NO_PRICE
            total += each.dollars * requests
            read, written = read + mean.read * requests, written + mean.written * requests
            names.add(each.priced_as)
        n = served.requests
        return Cost(1000 * total / n, total, read / n, written / n, ", ".join(sorted(names)))


def _beginnings() -> Iterator[date]:
    """Yield every day on which a price of the list begins to hold, as far as it says."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    for provider in get_snapshot().providers:
        for model in provider.models:
            prices: Any = model.prices
            for price in prices if isinstance(prices, list) else ():
                start = getattr(getattr(price, "constraint", None), "start_date", None)
                if isinstance(start, date):
                    yield start
