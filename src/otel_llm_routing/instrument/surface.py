"""For which product surface is this call? The decorator and context manager, and the order of evidence."""

from __future__ import annotations

import re
from fnmatch import translate
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import baggage
from opentelemetry.context import Context, attach, create_key, get_current

from otel_llm_routing import semconv
from otel_llm_routing.instrument.decorator import decorate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from otel_llm_routing.instrument.environment import Settings

F = TypeVar("F", bound="Callable[..., Any]")

CALL_HEADER = "x-llm-routing-surface"
MAX_LENGTH = 64
UNKNOWN = "unknown"
OTHER = "other"

_NAME = create_key("llm_routing.surface")
_OWNER = create_key("llm_routing.surface.owner")
_OUTER = create_key("llm_routing.surface.outer")


class surface:  # noqa: N801  (it reads as a statement: ``with surface("autocomplete"):``)
    """Say that the model calls made inside are for the surface ``name``.

    Use it as ``with surface("autocomplete"):`` (also ``async with``) or as a decorator of a function, a coroutine
    function, a generator or an asynchronous generator. It is carried in the OpenTelemetry context, so threads and
    tasks that propagate that context carry it too. A decorated generator holds it only while its own code runs, never
    while it waits for its consumer. One object may be entered any number of times, from any thread.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        if isinstance(name, (FunctionType, type)):
            raise TypeError(f'surface() was given {name!r} in the place of a name: write @surface("name")')
        self._name = clean(name) or UNKNOWN

    def __enter__(self) -> surface:  # noqa: PYI034  (typing.Self is 3.11's)
        current = get_current()
        # The context remembers the one it replaces: no token is kept, so nothing can be detached in the wrong place.
        attach(Context({**current, _NAME: self._name, _OWNER: self, _OUTER: current}))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        current = get_current()
        if current.get(_OWNER) is self:
            attach(cast("Context", current[_OUTER]))

    async def __aenter__(self) -> surface:  # noqa: PYI034
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)

    def __call__(self, function: F) -> F:
        """Decorate ``function``; its kind (plain, coroutine, generator, asynchronous generator) is kept.

        A class, or what is no function, such as a property, raises a TypeError.
        """
        return cast("F", decorate(self, function))


def clean(value: object, limit: int = MAX_LENGTH) -> str | None:
    """Return ``value`` as a printable string of at most ``limit`` characters, or None if nothing is left of it."""
    if not isinstance(value, str):
        return None
    text = value[: 4 * limit].strip()
    if not text.isprintable():
        text = "".join(c for c in text if c.isprintable()).strip()
    return text[:limit].strip() or None


class Cap:
    """Let at most ``limit`` distinct values through; later ones become ``other``."""

    __slots__ = ("_known", "limit", "overflowed")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.overflowed = 0
        self._known: dict[str, None] = {}

    def __call__(self, value: str) -> str:
        """Return ``value``, or ``other`` once there are too many."""
        known = self._known
        if value in known:
            return value
        if len(known) >= self.limit:
            self.overflowed += 1
            return OTHER
        known[value] = None
        return value


class SurfaceResolver:
    """Decides the surface of a call, by the settings of one process."""

    __slots__ = ("_baggage", "_cap", "_default", "_rules")

    def __init__(self, settings: Settings) -> None:
        # Compiled here: with hundreds of patterns, fnmatch of Python 3.10 would compile every one of them in each call.
        self._rules = tuple(
            (cleaned, kind, re.compile(translate(glob)).match)
            for s, kind, glob in settings.surface_rules
            if (cleaned := clean(s))
        )
        self._default = clean(settings.default_surface)
        self._baggage = settings.baggage_surfaces
        self._cap = Cap(settings.max_surfaces)

    def resolve(
        self, context: Context, root_name: str | None, root: Mapping[str, Any] | None, call: object = None
    ) -> tuple[str, str]:
        """Return the surface and which evidence named it.

        ``call`` is what the call itself says, ``root`` the attributes of the local root span (None without one) and
        ``root_name`` its name. The order is call, context, baggage, rule, route, default.
        """
        if call is not None and (name := clean(call)) is not None:
            return self._cap(name), "call"
        said = context.get(_NAME)
        if isinstance(said, str):
            return self._cap(said), "context"
        if self._baggage:
            carried = clean(baggage.get_baggage(semconv.SURFACE, context))
            if carried in self._baggage:
                return self._cap(carried), "baggage"
        if root is not None:
            for name, kind, matches in self._rules:
                if any(matches(value) for value in _values(kind, root_name, root)):
                    return self._cap(name), "rule"
            for kind in _ROUTE_KINDS:
                for value in _named(kind, root_name, root):
                    if (name := clean(value)) is not None:
                        return self._cap(name), "route"
        if self._default is not None:
            return self._cap(self._default), "default"
        return UNKNOWN, "unknown"


# Low-cardinality names of a piece of work, in the order they are asked for.
# Sources: OpenTelemetry semantic conventions for http, messaging, rpc and faas; Celery's are those of
# opentelemetry-instrumentation-celery, which predates a convention for task names.
_ROUTE_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "route": ("http.route",),
    "task": ("celery.task_name", "messaging.celery.task_name"),
    "faas": ("faas.name", "faas.invoked_name"),
    "rpc": ("rpc.method",),
    "message": ("messaging.destination.template", "messaging.destination.name", "messaging.destination"),
}
_ROUTE_KINDS = tuple(_ROUTE_ATTRIBUTES)
# A rule may also look at the path: what it yields is bounded by the rule, so the path's cardinality does no harm.
_PATH_ATTRIBUTES = ("url.path", "http.target")


# opentelemetry-instrumentation-celery sets the task's attributes when the task is over; while it runs, only the span's
# name says which it is.
_CELERY_RUN = "run/"
# opentelemetry-instrumentation-aws-lambda says the function's name only as the span's: `faas.name` is the resource's.
_INVOKED = ("faas.invocation_id", "faas.execution")


def _named(kind: str, root_name: str | None, root: Mapping[str, Any]) -> list[str]:
    values = [v for a in _ROUTE_ATTRIBUTES[kind] if isinstance(v := root.get(a), str)]
    if kind == "task" and not values and root_name is not None and root_name.startswith(_CELERY_RUN):
        values.append(root_name[len(_CELERY_RUN) :])
    if kind == "faas" and not values and root_name and any(name in root for name in _INVOKED):
        values.append(root_name)
    return values


def _values(kind: str, root_name: str | None, root: Mapping[str, Any]) -> list[str]:
    if kind == "name":
        return [root_name] if root_name else []
    values = _named(kind, root_name, root)
    if kind == "route" and not values:
        values = [v.partition("?")[0] for a in _PATH_ATTRIBUTES if isinstance(v := root.get(a), str)]
    if kind == "rpc" and isinstance(service := root.get("rpc.service"), str):
        values += [f"{service}/{value}" for value in values]
    return values
