"""What is known of objects by which they are: also of those that cannot be hashed, or are equal to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")


class ByIdentity(Generic[V]):
    """A value for each of some objects, for as long as the object lives."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[Callable[[], Any], V]] = {}

    def get(self, key: object) -> V | None:
        """Return the value of ``key``; None where there is none."""
        known = self._known.get(id(key))
        return known[1] if known is not None and known[0]() is key else None

    def set(self, key: object, value: V) -> None:
        """Keep ``value`` for ``key``."""
        own = id(key)
        self._known[own] = self._reference(key, own), value

    def _reference(self, key: object, own: int) -> Callable[[], Any]:
        try:
            return ref(key, lambda _: self._known.pop(own, None))
        except TypeError:  # of a class with slots: it is kept, or another could come to have its identity
            return lambda: key
