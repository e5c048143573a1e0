"""``make evals``: the eval stays green while production shifts, and the commands say so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)
EXAMPLES = Path(__file__).parents[2] / "examples"


class Story:
    """What the example printed and measured."""

    def __init__(self, folder):
        self.folder = folder / "kept"
        report = folder / "report.json"
        done = subprocess.run(
            [sys.executable, "-m", "evals", "--json", str(report), "--keep", str(self.folder)],
            env={**os.environ, "PYTHONPATH": str(EXAMPLES), "TMPDIR": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.text = done.stdout
        document = json.loads(report.read_text())
        self.before, self.after, self.check = document["before"], document["after"], document["check"]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return Story(tmp_path_factory.mktemp("example"))


def test_the_eval_is_green_before_and_after_and_its_score_hardly_moves(story):
    assert story.before["green"]
    assert story.after["green"]
    assert story.before["unweighted"] - story.after["unweighted"] < 0.06


def test_the_reweighted_score_falls_as_far_as_production_really_did(story):
    assert story.before["weighted"] - story.after["weighted"] > 0.2
    for half in (story.before, story.after):
        assert half["weighted"] == pytest.approx(half["right"], abs=0.1)


def test_the_page_of_the_example_says_what_it_prints(story):
    page = (EXAMPLES / "evals" / "README.md").read_text()
    printed = story.text.splitlines()[-2:]
    assert [line.split()[0] for line in printed] == ["before", "after"]
    for line in printed:
        assert line in page


def test_the_check_fails_and_says_why(story):
    assert story.check == 1
    said = " ".join(story.text.split("$ otel-llm-routing evals check")[1].split())
    assert re.search(
        r"On `autocomplete` the eval saw `claude-\w+-4-5-\d+` for \d\d\.\d% of its calls, production for", said
    )
    assert "`long-form-draft` is" in said
    assert "of traffic and 65.0% of the eval" in said


def test_the_plan_gives_most_cases_to_the_surface_with_most_traffic(story):
    plan = story.text.split("$ otel-llm-routing evals plan")[1]
    row = next(line.split() for line in plan.splitlines() if line.strip().startswith("autocomplete"))
    assert int(row[-2]) > 75, row


def test_the_cases_are_those_that_the_provider_answered(story):
    cases = [json.loads(line) for line in (story.folder / "after.jsonl").read_text().splitlines()]
    short = [case for case in cases if "while_typing" in case["id"]]
    assert len(cases) == 200
    assert {case["calls"][0]["requested_model"] for case in cases} == {"auto"}
    assert {case["calls"][0]["match"] for case in cases} == {"resolved"}
    wrong = [case for case in short if case["score"] == 0]
    assert len(short) == 20
    assert wrong
    assert {case["calls"][0]["served_model"] for case in wrong} == {"claude-haiku-4-5-20251001"}


def test_nothing_is_left_running(story):
    mark = str(story.folder).encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        assert mark not in line
