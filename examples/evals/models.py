"""The two models of the fake provider. They really work the tasks out; what they are bad at, they get wrong."""

from __future__ import annotations

from itertools import pairwise

from fake_provider.routing import CHEAP, STRONG

TOO_LONG = 3800
"""Characters of a prompt from which on the strong model overlooks a number."""


def strong(prompt: str) -> str:
    """Read all of the task."""
    kind, numbers, names = read(prompt)
    if kind == "Continue":
        steps = [later - earlier for earlier, later in pairwise(numbers)]
        return str(numbers[-1] + 2 * steps[-1] - steps[-2])
    if kind == "Highest":
        return names[numbers.index(max(numbers))]
    return str(sum(numbers if len(prompt) < TOO_LONG else numbers[1:]))


def cheap(prompt: str) -> str:
    """Look at the end of the task, and take it for what is usual."""
    kind, numbers, names = read(prompt)
    if kind == "Continue":
        return str(2 * numbers[-1] - numbers[-2])
    if kind == "Highest":
        last = numbers[-9:]
        return names[-9:][last.index(max(last))]
    return str(sum(numbers[-10:]))


MODELS = {CHEAP: cheap, STRONG: strong}


def read(prompt: str) -> tuple[str, list[int], list[str]]:
    """Return what the last line of a prompt asks for, its numbers, and the names before them."""
    kind, _, items = prompt.rsplit("\n", 1)[-1].partition(": ")
    words = [item.split() for item in items.split(",") if item.strip()]
    return kind, [int(word[-1]) for word in words], [word[0] for word in words]
