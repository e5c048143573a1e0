"""The interactions of the google-genai SDK 1.x: a client of the Stainless family within the package.

Sources: google-genai 1.75.0 ``_interactions/resources/interactions.py`` (the path, which may begin with a
Vertex AI project) and ``_interactions/_client.py``. From 2.0 on the package has no client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.instrument.adapters import gemini
from otel_llm_routing.instrument.adapters.google_interactions import asked, interaction_size, read_interaction
from otel_llm_routing.instrument.adapters.stainless import Endpoint, StainlessAdapter

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import CallRequest

_INTERACTIONS = Endpoint(gemini.GENERATE_CONTENT, read_interaction, interaction_size)


class GoogleInteractions1Adapter(StainlessAdapter):
    """Adds what is particular: paths, agents, Vertex AI."""

    def providers(self) -> set[str]:
        """Return the providers whose calls this adapter sees."""
        return {gemini.GEMINI, gemini.VERTEX}

    def hook(self, sdk: Any) -> None:
        """Hook the imported package, unless it is a later one's, which only has exceptions."""
        if hasattr(sdk, "_base_client"):
            super().hook(sdk)

    def refine(self, request: CallRequest, client: Any, options: Any, path: str) -> None:  # noqa: ARG002
        """Note the agent that is asked in a model's place, and whose client it is."""
        request.model = request.model or asked(options.json_data)
        if getattr(client, "_is_vertex", False):
            request.provider = gemini.VERTEX

    def _absolute(self, path: str) -> Endpoint | None:
        return _INTERACTIONS if path.endswith("/interactions") else None


ADAPTER = GoogleInteractions1Adapter("google-genai", gemini.GEMINI, {}, {})
