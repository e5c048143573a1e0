"""The eval of the editor, as teams write them: mostly long and hard cases, which somebody once reported as a bug.

Run it with ``pytest --llm-routing``; it is green while the mean score is 0.85 or better.
"""

from __future__ import annotations

import random

import pytest
from evals import product, tasks

LEAST = 0.85
SCORES: list[float] = []


def case(llm_routing, answer: str, task: tasks.Task) -> None:
    """Grade one answer: it is right or it is not."""
    score = float(answer == task.answer)
    SCORES.append(score)
    llm_routing.score(score)


def made(make, number: int, shortest: int, longest: int) -> list[tasks.Task]:
    """Return the same cases every time."""
    chance = random.Random(1)  # noqa: S311  (cases, not secrets)
    return [make(chance, chance.randint(shortest, longest)) for _ in range(number)]


@pytest.mark.surface("autocomplete")
@pytest.mark.parametrize("task", made(tasks.autocomplete, 20, 40, 119), ids=range(20))
def test_autocomplete_while_typing(llm_routing, task):
    case(llm_routing, product.complete(task.prompt), task)


@pytest.mark.surface("autocomplete")
@pytest.mark.parametrize("task", made(tasks.autocomplete, 30, 900, 1600), ids=range(30))
def test_autocomplete_with_the_whole_page_as_context(llm_routing, task):
    case(llm_routing, product.complete(task.prompt), task)


@pytest.mark.surface("chart-tooltip")
@pytest.mark.parametrize("task", made(tasks.tooltip, 20, 220, 400), ids=range(20))
def test_tooltip(llm_routing, task):
    case(llm_routing, product.tooltip(task.prompt), task)


@pytest.mark.surface("long-form-draft")
@pytest.mark.parametrize("task", made(tasks.draft, 130, 1500, 4000), ids=range(130))
def test_draft(llm_routing, task):
    case(llm_routing, product.draft(task.prompt), task)


def test_the_mean_score_is_good_enough():
    mean = sum(SCORES) / len(SCORES)
    assert mean >= LEAST, f"the mean score is {mean:.3f}"  # noqa: S101  (pytest)
