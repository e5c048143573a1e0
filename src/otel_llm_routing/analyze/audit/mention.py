"""A text in a file that may be the identifier of a model, and what its place says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from otel_llm_routing.analyze.audit.names import Names

Role = Literal["call", "default", "constant", "config", "catalogue", "comparison"]
USES: tuple[Role, ...] = ("call", "default", "constant", "config")
"""Roles by which a program asks for a model; the others only speak of one."""

MAX_TEXT = 256
"""Characters; a longer text is no identifier."""
BARE, NAMED, ASKED = 0, 1, 2
"""What the place says: nothing; by its name that a model stands here; that a model is asked for what stands here."""


class Table(NamedTuple):
    """The table that a text stands in: the outermost list or mapping, a class, or the names of a module."""

    number: int
    slot: Literal["item", "value", "member", "class", "argument"]
    """``item`` is an element or a key, ``value`` what a key stands for, ``member`` one of a module's names.

    ``argument`` is what a call is made with that is itself an argument; its table is all calls of the function.
    """

    def of(self, slot: Literal["item", "value"]) -> Table:
        """Return another slot of the same table."""
        return Table(self.number, slot)


class Mention(NamedTuple):
    """One text, before anybody has judged whether it names a model."""

    text: str
    line: int
    """Counted from 1."""
    column: int
    """In characters, counted from 1."""
    end_column: int
    """The first column after it; of what goes on in another line, the column after its first character."""
    role: Role
    key: str
    """The argument, name or key that it is the value of, or empty."""
    call: str = ""
    """The dotted name of the function that is called with it, or empty."""
    weight: int = BARE
    provider: str | None = None
    """What the call or its neighbours say, as a GenAI name."""
    table: Table | None = None
    dynamic: bool = False
    """Whether parts are only known when the program runs; they stand as ``{}`` in the text."""
    used_at: tuple[int, ...] = ()
    """Lines of its file in which a constant is what a call asks."""
    used_in: tuple[tuple[str, int], ...] = ()
    """The same in other files, as people name them."""


NOTHING = Mention("", 1, 1, 1, "comparison", "")
"""Stands for a text that is no model's whoever asks for it, of which nothing needs to be remembered."""


def pieces(text: str) -> list[str]:
    """Return the names in a text such as ``gpt-5,gpt-5-mini``; a sentence with commas has none."""
    parts = [part.strip() for part in text.split(",")]
    return [part for part in parts if part] if not any(" " in part for part in parts) else [text]


class Trouble(NamedTuple):
    """What could not be read, or not as it was meant."""

    line: int | None
    text: str


class Found(NamedTuple):
    """What is in a file."""

    mentions: list[Mention]
    troubles: list[Trouble]
    names: Names | None = None
    """What its names stand for; None of what is no program."""


class Unreadable(NamedTuple):
    """The same, and in which file: as people and reports name it."""

    file: str
    line: int | None
    text: str
