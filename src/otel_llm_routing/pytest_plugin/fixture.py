"""The fixture ``llm_routing``: what a test may ask of its own calls, and how it says its score."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from otel_llm_routing.instrument.put_off import settle
from otel_llm_routing.models import canonical
from otel_llm_routing.pytest_plugin.marker import surface_of
from otel_llm_routing.pytest_plugin.recording import Attempt, RecordedCall, Recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.pytest_plugin.session import Cases


class ModelError(AssertionError):
    """That a test's calls do not have one requested model, or one known served model."""


class LLMRouting:
    """The calls of one test."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def __repr__(self) -> str:
        return f"<llm_routing: {_count(len(self.calls), 'call')} of {self._attempt.test}>"

    @property
    def calls(self) -> tuple[RecordedCall, ...]:
        """The calls so far, in the order in which they started."""
        settle()
        return tuple(self._attempt.calls)

    @property
    def served_model(self) -> str:
        """The one model that served every call, as the provider spells it.

        Raises an ``AssertionError`` that names them all where there were several, or none, or where of a call it is
        not known which model served.
        """
        __tracebackhide__ = True
        doubtful = [call for call in self.calls if not call.known]
        served = self.served_models
        if doubtful or len(served) != 1:
            msg = f"no one model served this test: {self._told(doubtful)}"
            raise ModelError(msg)
        return served[0]

    @property
    def served_models(self) -> tuple[str, ...]:
        """The models that are known to have served a call, each once, in the order in which they first did."""
        served: dict[str, str] = {}
        for call in self.calls:
            if call.known and call.served is not None:
                served.setdefault(canonical(call.served), call.served)
        return tuple(served.values())

    @property
    def requested_model(self) -> str:
        """The one identifier that every call asked for. Raises an ``AssertionError`` where there is not one."""
        __tracebackhide__ = True
        asked = {call.requested for call in self.calls}
        if len(asked) != 1 or None in asked:
            names = ", ".join(sorted(name or "a call that names none" for name in asked)) or "it made no call"
            msg = f"no one model was requested by this test: {names}"
            raise ModelError(msg)
        return str(asked.pop())

    def score(self, value: float) -> None:
        """Record the score of this case, a finite number; the last one counts. Without it: 1 passed, 0 failed."""
        __tracebackhide__ = True
        try:
            number = math.nan if isinstance(value, (str, bytes)) else float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            msg = f"a score is a finite number, not {value!r:.80}"
            raise ValueError(msg)
        self._attempt.given = number

    def _told(self, doubtful: list[RecordedCall]) -> str:
        """Say what served: the known models with their calls, then the calls of which it is not known."""
        if not self.calls:
            return "it made no call that is seen (calls of other processes, and of SDKs that are not known, are not)"
        known = Counter(canonical(call.served or "") for call in self.calls if call.known)
        parts = [f"{name} served {_count(known[canonical(name)], 'call')}" for name in self.served_models]
        return "; ".join(parts + [_doubt(call) for call in doubtful])


def _doubt(call: RecordedCall) -> str:
    asked = f"of a call for {call.requested!r}" if call.requested else "of a call that names no model"
    if not call.ended:
        return f"{asked} it is not known yet: its stream is not read to the end, nor closed"
    if call.served is not None:
        return f"{asked} it is not known: the answer only says {call.served!r} ({call.match})"
    return f"{asked} nobody reported it" + (f": it failed with {call.error}" if call.error else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


@contextmanager
def of(item: Any, plugin: Cases | None) -> Iterator[LLMRouting]:
    """Yield the calls of the test ``item``; without the plugin they are recorded for this test alone."""
    if plugin is not None:
        yield LLMRouting(plugin.attempt_of(item))
        return
    recording = Recording()
    recording.running = attempt = Attempt(item.nodeid, surface_of(item))
    recording.start()
    try:
        yield LLMRouting(attempt)
    finally:
        recording.stop()
