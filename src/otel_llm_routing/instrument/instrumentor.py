"""``LLMRoutingInstrumentor``: registers import hooks, and takes everything back.

It is found under the entry point ``llm_routing`` by ``opentelemetry-instrument``. No SDK is imported here: one that the
application never imports costs nothing.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from otel_llm_routing import semconv
from otel_llm_routing._version import __version__
from otel_llm_routing.instrument import environment, put_off
from otel_llm_routing.instrument.adapters import SDKS, Sdk
from otel_llm_routing.instrument.call import Tracker, keeps
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.identity import ByIdentity
from otel_llm_routing.instrument.metrics import Recorder
from otel_llm_routing.instrument.spans import LLMRoutingSpanProcessor
from otel_llm_routing.instrument.surface import Cap, SurfaceResolver

if TYPE_CHECKING:
    from collections.abc import Collection

ADAPTERS = "otel_llm_routing.instrument.adapters"
WAITING = "llm-routing-import"
"""The name of the thread that waits for imports that had begun before."""

# One of each in a process, whatever number of instrumentors is made: a span processor cannot be taken off a provider,
# nor an observable instrument off a meter.
_processor = LLMRoutingSpanProcessor()
_recorders: ByIdentity[Recorder] = ByIdentity()
"""Of each meter provider."""
_hooked: set[Sdk] = set()
_active: dict[Sdk, Any] = {}
_state: dict[str, Any] = {"tracker": None, "disabled": frozenset(), "standing_in": False}
_nowhere = (trace.NoOpTracerProvider(), metrics.NoOpMeterProvider())


class LLMRoutingInstrumentor(BaseInstrumentor):  # type: ignore[misc, unused-ignore]
    """Records requested model, served model and surface of every model call.

    ``instrument(tracer_provider=…, meter_provider=…)`` uses the global providers where none are given. Both
    ``instrument()`` and ``uninstrument()`` may be called any number of times and never raise.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: which SDKs are there is seen when they are imported."""
        return ()

    def instrument(self, **kwargs: Any) -> None:
        """Start recording; see the class for the arguments."""
        try:
            if not self.is_instrumented_by_opentelemetry:
                super().instrument(**kwargs)
        except Exception:  # noqa: BLE001
            swallowed("start")

    def uninstrument(self, **kwargs: Any) -> None:
        """Stop recording and put every hooked method back as it was."""
        try:
            if self.is_instrumented_by_opentelemetry:
                super().uninstrument(**kwargs)
        except Exception:  # noqa: BLE001
            swallowed("stop")

    def _instrument(self, **kwargs: Any) -> None:
        self._uninstrument()  # what stood in gives way
        settings = environment.read()
        tracer_provider = kwargs.get("tracer_provider") or trace.get_tracer_provider()
        meter_provider = kwargs.get("meter_provider") or metrics.get_meter_provider()
        tracker = Tracker(
            trace.get_tracer(semconv.SCOPE, __version__, tracer_provider),
            _recorder(meter_provider),
            SurfaceResolver(settings),
            Cap(settings.max_models),
            _processor,
            heard=keeps(tracer_provider) or keeps(meter_provider),
        )
        put_off.watch()
        _processor.tracker = tracker
        _processor.attach(tracer_provider)
        _state.update(tracker=tracker, disabled=settings.disabled_sdks)
        later = []
        for sdk in SDKS:
            if _is_being_imported(sdk.on):
                later.append(sdk)
            else:
                _follow(sdk)
        if later:
            threading.Thread(target=_follow_later, args=(later,), name=WAITING, daemon=True).start()

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002
        _state.update(tracker=None, standing_in=False)
        _processor.tracker = None
        _processor.adapted_providers.clear()
        _processor.adapted_scopes.clear()
        while _active:
            _active.popitem()[1].uninstrument()

    def stand_in(self) -> bool:
        """Record, with providers that keep nothing, until the application instruments itself; false where it has.

        For what watches calls (see ``call.watch``) in a process whose telemetry is not its own: a test run.
        """
        if _state["tracker"] is not None:
            return False
        try:
            self._instrument(tracer_provider=_nowhere[0], meter_provider=_nowhere[1])
        except Exception:  # noqa: BLE001
            swallowed("start")
        _state.update(standing_in=_state["tracker"] is not None)
        return bool(_state["standing_in"])

    def stand_down(self) -> None:
        """End what ``stand_in`` began, unless the application has taken over."""
        if _state["standing_in"]:
            self._uninstrument()


def _recorder(provider: Any) -> Recorder:
    """Return the recorder that reports to ``provider``: the same one each time."""
    recorder = _recorders.get(provider)
    if recorder is None:
        recorder = Recorder(metrics.get_meter(semconv.SCOPE, __version__, provider))
        _recorders.set(provider, recorder)
    return recorder


def _is_being_imported(name: str) -> bool:
    """Say whether another thread, or whoever imports the code that runs now, is at importing the module ``name``."""
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))


def _follow(sdk: Sdk) -> None:
    """Hook ``sdk`` if it is imported, and whenever it is."""
    if sdk.on in sys.modules:
        _hook(sdk, sys.modules[sdk.on])
    if sdk not in _hooked:
        _hooked.add(sdk)
        wrapt.register_post_import_hook(functools.partial(_hook, sdk), sdk.on)


def _follow_later(sdks: list[Sdk]) -> None:
    """Follow SDKs whose import is under way: what is to be hooked is not there yet, and no import hook is told."""
    for sdk in sdks:
        while _is_being_imported(sdk.on):
            time.sleep(0.005)
        _follow(sdk)


def _hook(sdk: Sdk, module: Any) -> None:
    """Hook ``sdk``, whose ``module`` is imported, unless it is hooked, or switched off."""
    tracker = _state["tracker"]
    if tracker is None or sdk in _active or not _state["disabled"].isdisjoint((sdk.name, sdk.on)):
        return
    try:
        adapter = importlib.import_module(f"{ADAPTERS}.{sdk.adapter}").ADAPTER
        _active[sdk] = adapter
        adapter.instrument(tracker, module)
        _processor.adapted_providers.update(adapter.providers())
        _processor.adapted_scopes.update(adapter.scopes())
    except Exception:  # noqa: BLE001
        swallowed(f"hook {sdk.name}")
