"""What users of the product ask, with the answers that are right: each prompt ends with one line that is a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random

WORDS = (
    "as we said in spring the numbers of the south are ahead of plan and those of the north come later " * 50
).split()
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Task(NamedTuple):
    """A prompt, and the only right answer."""

    prompt: str
    answer: str


def autocomplete(chance: random.Random, characters: int) -> Task:
    """Return a series of numbers to continue: half of them grow by steps of one size, half ever faster."""
    first, step, more = chance.randint(2, 9), chance.randint(2, 9), chance.choice((0, 0, 1, 2))
    series = [first]
    for term in range(5):
        series.append(series[-1] + step + more * term)
    shown = ", ".join(map(str, series[:-1]))
    return Task(after_text(f"Continue: {shown},", characters), str(series[-1]))


def tooltip(chance: random.Random, characters: int) -> Task:
    """Return a chart whose highest point is asked for."""
    values = chance.sample(range(100, 999), 10)
    points = dict(zip(MONTHS, values, strict=False))
    shown = ", ".join(f"{month} {value}" for month, value in points.items())
    return Task(after_text(f"Highest: {shown}", characters), max(points, key=points.__getitem__))


def draft(chance: random.Random, characters: int) -> Task:
    """Return a table whose total is asked for, after a long text."""
    values = [chance.randint(10, 99) for _ in range(40)]
    return Task(after_text("Total: " + ", ".join(map(str, values)), characters), str(sum(values)))


def after_text(task: str, characters: int) -> str:
    """Return a prompt of about so many characters, of which ``task`` is the last line."""
    text = " ".join(WORDS)[: max(0, characters - len(task) - 1)]
    return f"{text}\n{task}" if text else task
