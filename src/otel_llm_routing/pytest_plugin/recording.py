"""The calls that each test makes: told by the instrumentation as they start, kept with the test that is running then.

The test that runs is one thing in a process, whatever thread or task makes the call, so nothing is put into the
context: a worker that an earlier test has started, and that carries that test's context, would be believed.
"""

from __future__ import annotations

import unittest
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from otel_llm_routing.instrument import call as calls
from otel_llm_routing.instrument.instrumentor import LLMRoutingInstrumentor
from otel_llm_routing.models import KNOWN_MATCHES, UNREPORTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.instrument.call import Call

SKIPPED = (pytest.skip.Exception, unittest.SkipTest)
NAMED_BY_THE_CODE = frozenset({"call", "context", "baggage"})
"""Sources of a surface that say more than the test's marker does: the code under test has named the surface itself."""


@dataclass(slots=True)
class RecordedCall:
    """One call to a model."""

    surface: str
    """``unknown`` where nothing says for which surface the call is."""
    requested: str | None
    """The identifier that was asked for."""
    served: str | None = None
    """The model that the provider reported; None where nobody did. It is known only where ``known`` says so."""
    match: str = UNREPORTED
    """How served relates to requested: ``exact resolved substituted unconfirmed unreported``."""
    kind: str = "unknown"
    """What the requested identifier is: ``pinned alias router unknown``."""
    provider: str = ""
    operation: str = ""
    input_size: int | None = None
    """Characters of the request's text; None where they cannot be seen."""
    cached: bool = False
    """A gateway answered from its cache."""
    error: str | None = None
    """The type of the error that the call ended with."""
    ended: bool = False
    """False while a stream is not read to its end, closed or dropped."""

    @property
    def known(self) -> bool:
        """True where it is known which model served."""
        return self.match in KNOWN_MATCHES

    def end(self, call: Call, error: str | None) -> None:
        """Take what is known of the call at its end. May run in a finaliser, in any thread."""
        self._read(call)
        self.served, _, self.match = call.decide()
        self.cached, self.error, self.ended = call.cached, error, True

    def _read(self, call: Call) -> None:
        request = call.request
        self.surface, self.requested, self.kind = call.surface, request.model, call.kind
        self.provider, self.operation, self.input_size = request.provider, request.operation, request.input_size

    @classmethod
    def started(cls, call: Call) -> RecordedCall:
        """Return what is known of a call that starts."""
        found = cls(call.surface, call.request.model)
        found._read(call)
        return found


class Attempt:
    """One run of one test."""

    def __init__(self, test: str, surface: str | None) -> None:
        self.test = test
        """The test's node id."""
        self.surface = surface
        """The surface that its marker names."""
        self.calls: list[RecordedCall] = []
        """In the order in which they started."""
        self.given: float | None = None
        """The score that the test has recorded."""
        self.passed: bool | None = None
        """None: it has not run."""
        self.skipped = False
        self.ready = False
        """Its fixtures were set up."""
        self.asked = False
        """It uses the fixture."""

    def ended(self, error: BaseException | None) -> None:
        """Take the error that the test itself ended with, if any; of several times (subtests) one error is enough."""
        if isinstance(error, SKIPPED):
            self.skipped = True
        else:
            self.passed = error is None and self.passed is not False

    @property
    def score(self) -> float | None:
        """The score that the test has recorded; else 1 if it passed, 0 if it failed; None if it did not run."""
        if self.given is not None or self.passed is None:
            return self.given
        return float(self.passed)

    @property
    def is_case(self) -> bool:
        """True for what says something of a surface or a model; a unit test beside it does not."""
        left_out = self.skipped or (self.ready and self.passed is None)  # with --setup-only, no test runs
        return not left_out and (self.surface is not None or self.asked or bool(self.calls))


class Recording:
    """Keeps the calls of the tests of this process, from ``start`` to ``stop``."""

    def __init__(self) -> None:
        self.running: Attempt | None = None
        """Whose calls are being made; None between tests, and while a fixture of several tests is made."""
        self.elsewhere: list[RecordedCall] = []
        """Calls of no test."""
        self._before: Callable[[Call], Callable[[Call, str | None], None] | None] | None = None
        self._watching = False

    def start(self) -> None:
        """Record from now on. Called again, it makes sure that recording goes on whatever a test has undone."""
        if not self._watching:
            self._watching = True
            self._before, calls.watch = calls.watch, self._started
        LLMRoutingInstrumentor().stand_in()

    def stop(self) -> None:
        """Leave everything as it was found."""
        if self._watching:
            self._watching = False
            calls.watch = self._before
            if self._before is None:  # else another pytest, around this one, goes on
                LLMRoutingInstrumentor().stand_down()

    def _started(self, call: Call) -> Callable[[Call, str | None], None]:
        attempt = self.running
        if attempt is not None and attempt.surface is not None and call.surface_source not in NAMED_BY_THE_CODE:
            call.surface, call.surface_source = attempt.surface, "context"
        recorded = RecordedCall.started(call)
        (self.elsewhere if attempt is None else attempt.calls).append(recorded)
        return recorded.end
