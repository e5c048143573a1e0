"""The change of a policy's text: what is to change changes, in whatever YAML it is written, and nothing else does."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess

import pytest

from otel_llm_routing.analyze.pin.edit import Change, edited, unified
from otel_llm_routing.analyze.pin.yaml_edit import EditError
from otel_llm_routing.policy.loading import parse
from otel_llm_routing.policy.schema import Edge, Uses

HEAD = "version: 1\nsurfaces:\n"
SONNET = "claude-sonnet-4-5-20250929"
NOTE = "Pinned on 2026-11-25"
TO_SONNET = {"openrouter/auto": SONNET}


def change(text, moves=TO_SONNET, surface="a", violated=()):
    return edited(HEAD + text, Change(surface, moves, violated, NOTE)).removeprefix(HEAD)


def lines(before, after):
    """Return the lines that went and those that came."""
    diff = unified(before, after, "p").splitlines()[2:]
    return [line[1:] for line in diff if line[0] == "-"], [line[1:] for line in diff if line[0] == "+"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # In the way it is written: plain, quoted, with a comment; on one line or on several.
        ("uses: {router: openrouter/auto}  # cheap", f"uses: {{pinned: {SONNET}}}  # cheap"),
        ("uses: {router: 'openrouter/auto'}", f"uses: {{pinned: '{SONNET}'}}"),
        ('uses: {"router": "openrouter/auto"}', f'uses: {{pinned: "{SONNET}"}}'),
        ("uses: {router: [openrouter/auto]}", f"uses: {{pinned: [{SONNET}]}}"),
        (
            "uses:\n      # we ask\n      router: openrouter/auto # here",
            f"uses:\n      # we ask\n      pinned: {SONNET} # here",
        ),
        ("uses:\n      router:\n      - openrouter/auto  # 9 %", f"uses:\n      pinned:\n      - {SONNET}  # 9 %"),
        # Others of its kind stay.
        ("uses: {router: [x, openrouter/auto]}", f"uses: {{router: [x], pinned: {SONNET}}}"),
        ("uses: {router: [openrouter/auto, x]}", f"uses: {{router: [x], pinned: {SONNET}}}"),
        (
            "uses:\n      router:\n        - x  # 1\n        - openrouter/auto  # 2\n        - y  # 3",
            f"uses:\n      router:\n        - x  # 1\n        - y  # 3\n      pinned: {SONNET}",
        ),
        # Others of other kinds stay, before and behind.
        ("uses: {alias: x, router: openrouter/auto}", f"uses: {{alias: x, pinned: {SONNET}}}"),
        ("uses: {router: openrouter/auto, alias: x}", f"uses: {{pinned: {SONNET}, alias: x}}"),
        # There are pinned ones already.
        ("uses: {pinned: x, router: openrouter/auto}", f"uses: {{pinned: [x, {SONNET}]}}"),
        ("uses: {router: openrouter/auto, pinned: [x]}", f"uses: {{pinned: [x, {SONNET}]}}"),
        ("uses: {router: openrouter/auto, pinned: []}", f"uses: {{pinned: [{SONNET}]}}"),
        (f"uses: {{router: openrouter/auto, pinned: {SONNET}}}", f"uses: {{pinned: {SONNET}}}"),
        (
            "uses:\n      pinned:\n        - x  # one\n      # behind\n      router: openrouter/auto",
            f"uses:\n      pinned:\n        - x  # one\n        - {SONNET}\n      # behind",
        ),
        (
            "uses:\n      router: [ openrouter/auto ,  # 1\n        x, # 2\n      ]",
            f"uses:\n      router: [ # 1\n        x, # 2\n      ]\n      pinned: {SONNET}",
        ),
        ("uses:\n      ? router\n      : !!str openrouter/auto", f"uses:\n      ? pinned\n      : {SONNET}"),
        (
            "uses: # w\n      router: # x\n        # y\n        - openrouter/auto\n        # z",
            f"uses: # w\n      pinned: # x\n        # y\n        - {SONNET}\n        # z",
        ),
        ('uses: {unknown: openrouter/auto, pinned: "a{b"}', f'uses: {{pinned: ["a{{b", {SONNET}]}}'),
    ],
)
def test_an_identifier_is_moved_in_the_way_that_uses_is_written(before, after):
    changed = change(f"  a:\n    {before}\n    owner: team\n  b:\n    uses: {{alias: openrouter/auto}}\n")
    assert changed == (
        f"  a:\n    {after}\n    owner: team\n    pin_when: {NOTE}\n  b:\n    uses: {{alias: openrouter/auto}}\n"
    )


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ("{router: openrouter/auto, alias: gpt-5}", {"pinned": (SONNET, "gpt-5-1")}),
        (
            "{router: [openrouter/auto, x], alias: [gpt-5], unknown: y}",
            {"pinned": (SONNET, "gpt-5-1"), "router": ("x",), "unknown": ("y",)},
        ),
        ("{alias: [openrouter/auto, gpt-5]}", {"pinned": (SONNET, "gpt-5-1")}),
        (
            "\n      alias: [gpt-5]\n      router: [openrouter/auto]\n      pinned: z",
            {"pinned": ("z", SONNET, "gpt-5-1")},
        ),
        ("\n      alias:\n        - gpt-5\n      router:\n        - openrouter/auto", {"pinned": (SONNET, "gpt-5-1")}),
    ],
)
def test_several_identifiers_are_moved_at_once(uses, expected):
    moves = {**TO_SONNET, "gpt-5": "gpt-5-1"}
    text = change(f"  a:\n    uses: {uses}\n", moves)
    found = parse(HEAD + text).policy.surfaces["a"].uses
    assert set(found.pinned) == set(expected["pinned"])
    assert found.model_copy(update={"pinned": ()}) == Uses(**{**expected, "pinned": ()})


def test_two_identifiers_that_the_same_model_serves_become_one():
    text = change("  a:\n    uses: {alias: [gpt-5, x], router: openrouter/auto}\n", {**TO_SONNET, "gpt-5": SONNET})
    assert f"uses: {{pinned: {SONNET}, alias: [x]}}" in text or f"uses: {{alias: [x], pinned: {SONNET}}}" in text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pin_when: Haiku rises.", f"pin_when: {NOTE}. Formerly to be pinned when Haiku rises."),
        ("pin_when: 'It''s bad'", f"pin_when: '{NOTE}. Formerly to be pinned when It''s bad'"),
        ('pin_when: "a: b # c"', f'pin_when: "{NOTE}. Formerly to be pinned when a: b # c"'),
        ("pin_when: Haiku\n      rises.", f"pin_when: {NOTE}. Formerly to be pinned when Haiku rises."),
        (
            "pin_when: >-  # why\n\n      Haiku\n      rises.\n",
            f"pin_when: >-  # why\n\n      {NOTE}. Formerly to be pinned when\n      Haiku\n      rises.\n",
        ),
        (
            "pin_when: |\n      Haiku\n      rises.",
            f"pin_when: |\n      {NOTE}. Formerly to be pinned when\n      Haiku\n      rises.",
        ),
    ],
)
def test_pin_when_says_what_was_done_and_keeps_what_it_said(before, after):
    uses = "uses: {router: openrouter/auto}"
    text = change(f"  a:\n    {before}\n    # then\n    unpin_when: never\n    {uses}\n")
    assert text == f"  a:\n    {after}\n    # then\n    unpin_when: never\n    uses: {{pinned: {SONNET}}}\n"


def test_what_pin_when_cannot_hold_any_more_is_left_to_version_control():
    text = change(f"  a:\n    uses: {{router: openrouter/auto}}\n    pin_when: {'x ' * 980}end\n")
    assert parse(HEAD + text).policy.surfaces["a"].pin_when == NOTE


@pytest.mark.parametrize(
    ("expect", "violated", "after"),
    [
        ('expect: {"*h*": {max: "25 %"}}', [Edge("*h*", "max", 0.25)], None),
        ('expect: {"*h*": {max: "25 %"}, x: 0.5}', [Edge("*h*", "max", 0.25)], "expect: {x: 0.5}"),
        ('expect: {x: 0.5, "*h*": {max: "25 %"}}', [Edge("*h*", "max", 0.25)], "expect: {x: 0.5}"),
        ('expect: {"*h*": {min: "5 %", max: "25 %"}}', [Edge("*h*", "max", 0.25)], 'expect: {"*h*": {min: "5 %"}}'),
        ('expect: {"*h*": {min: 0, max: "25 %"}}', [Edge("*h*", "max", 0.25)], None),
        ('expect: {"*h*": "60 %"}', [Edge("*h*", "max", 0.7)], None),
        (
            "expect:\n      # w\n      '*h*':  # one\n        max: 25 %\n        # or\n        min: 0.05\n      x: 0.5",
            [Edge("*h*", "max", 0.25)],
            "expect:\n      # w\n      '*h*':  # one\n        # or\n        min: 0.05\n      x: 0.5",
        ),
        (
            "expect:\n      '*h*': 0.6  # most\n      # it\n      x: 0.5",
            [Edge("*h*", "max", 0.7)],
            "expect:\n      # it\n      x: 0.5",
        ),
    ],
)
def test_limits_that_the_pin_would_pass_are_taken_out_and_no_others(expect, violated, after):
    text = change(f"  a:\n    uses: {{router: openrouter/auto}}\n    {expect}\n    owner: team\n", violated=violated)
    kept = f"    {after}\n" if after else ""
    assert text == f"  a:\n    uses: {{pinned: {SONNET}}}\n{kept}    owner: team\n    pin_when: {NOTE}\n"


SHARED = """\
  b: &b
    uses: &uses {router: openrouter/auto}
    owner: team
  a: {<<: *b, customer_facing: false}
  c:
    uses: *uses
  d: *b
  e:
    <<: *b
    expect: &bands {x: {max: 0.2}}
  f:
    uses: {router: &auto openrouter/auto, alias: gpt-5}
    expect: *bands
  g:
    uses:
      router: *auto
  h:
    uses: {router: openrouter/auto}
    expect: {<<: *bands, y: {max: 0.1}}
"""


@pytest.mark.parametrize("surface", ["a", "c", "d", "e", "g", "h"])
def test_a_surface_that_takes_from_others_gets_its_own_and_they_keep_theirs(surface):
    before = parse(HEAD + SHARED).policy.surfaces
    text = change(SHARED, surface=surface, violated=[Edge("x", "max", 0.2)] if surface == "h" else ())
    after = parse(HEAD + text).policy.surfaces
    assert after[surface].uses == Uses(pinned=(SONNET,))
    assert {name: said for name, said in after.items() if name != surface} == {
        name: said for name, said in before.items() if name != surface
    }


@pytest.mark.parametrize("surface", ["b", "f"])
def test_a_surface_that_others_take_from_is_left_alone_and_that_is_said(surface):
    by_hand = rf"by an anchor .*; write by hand, below {surface}: uses: \{{pinned: {SONNET}"
    with pytest.raises(EditError, match=by_hand):
        change(SHARED, surface=surface)
    with pytest.raises(EditError, match="by an anchor"):
        change(SHARED, surface="e", violated=[Edge("x", "max", 0.2)])


def test_line_ends_a_missing_last_one_and_characters_beyond_ascii_stay():
    text = "  a:\r\n    uses: {router: openrouter/auto}\r\n    owner: \u00e9quipe \U0001f600\r\n  b: {uses: {alias: x}}"
    changed = change(text)
    expected = (
        f"  a:\r\n    uses: {{pinned: {SONNET}}}\r\n    owner: \u00e9quipe \U0001f600\r\n    pin_when: {NOTE}\r\n"
    )
    assert changed == f"{expected}  b: {{uses: {{alias: x}}}}\r\n"


def test_a_model_that_yaml_would_read_as_something_else_is_quoted():
    for model in ("2025-08-07", "on", "@cf/meta/llama: 3", "a, b", "ключ", "x'y\"z"):
        text = change("  a:\n    uses: {router: openrouter/auto}\n", {"openrouter/auto": model})
        assert parse(HEAD + text).policy.surfaces["a"].uses.pinned == (model,)


def styled(rng, names):
    """Return a list of names in one of YAML's many ways, at an indentation of six."""
    quote = rng.choice(["{}", "'{}'", '"{}"'])
    if len(names) == 1 and rng.random() < 0.4:
        return f" {quote.format(names[0])}"
    if rng.random() < 0.5:
        comma = rng.choice([",", ", ", " , "])
        return f" [{comma.join(quote.format(name) for name in names)}]"
    pad = rng.choice(["      ", "        "])
    return "".join(f"\n{pad}- {quote.format(name)}{rng.choice(['', '  # note'])}" for name in names)


def test_whatever_the_style_the_text_says_the_change_and_keeps_every_other_comment():
    for seed in range(300):
        rng = random.Random(seed)
        names = [f"m{number}/x-{number}" for number in range(8)]
        rng.shuffle(names)
        kinds, at = {}, 0
        for kind in rng.sample(["pinned", "alias", "router", "unknown"], rng.randint(1, 4)):
            count = rng.randint(1, 2)
            kinds[kind] = names[at : at + count]
            at += count
        loose = [name for kind, listed in kinds.items() if kind != "pinned" for name in listed]
        if not loose:
            continue
        moved = rng.sample(loose, rng.randint(1, len(loose)))
        moves = {name: rng.choice(["new-1", "new-2"]) for name in moved}
        uses = "".join(f"\n      # {kind}\n      {kind}:{styled(rng, listed)}" for kind, listed in kinds.items())
        rest = ["    owner: team  # who\n", "    pin_when: soon\n", "    # last\n    unpin_when: never\n"]
        rng.shuffle(rest)
        text = f"{HEAD}  z:\n    uses: {{alias: y}}\n  a:\n    uses:{uses}\n{''.join(rest)}\n# end\n"
        changed = edited(text, Change("a", moves, (), NOTE))
        found = parse(changed).policy.surfaces["a"].uses
        assert set(found.pinned) == {*kinds.get("pinned", ()), *moves.values()}, text
        assert {*found.alias, *found.router, *found.unknown} == {*loose} - {*moved}, text
        for kind, listed in kinds.items():
            if kind != "pinned":
                assert getattr(found, kind) == tuple(name for name in listed if name not in moved), text
        gone, _ = lines(text, changed)
        lost = {line.strip() for line in gone if line.strip().startswith("#")}
        assert not lost, f"seed {seed}\n{text}\n{changed}"


@pytest.mark.parametrize("end", ["\n", ""])
def test_the_difference_applies_with_patch_and_with_git(tmp_path, end):
    before = (
        f"{HEAD}  a:\n    uses: {{router: openrouter/auto}}\n    purpose: 'a\u2028b'\n  b: {{uses: {{alias: x}}}}{end}"
    )
    after = edited(before, Change("a", TO_SONNET, (), NOTE))
    for name in ("policy.yaml", "in a/my policy.yaml"):
        for tool in (("patch", "-p0"), ("git", "apply", "-p0")):
            if shutil.which(tool[0]) is None:
                continue
            folder = tmp_path / re.sub(r"\W", "", f"{tool}{name}")
            (folder / "in a").mkdir(parents=True)
            (folder / name).write_text(before, "utf-8")
            # As the command prints it, something else stands before.
            said = f"autocomplete: pinned\n\n{unified(before, after, name)}"
            done = subprocess.run(
                tool, cwd=folder, input=said, text=True, capture_output=True, encoding="utf-8", check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert (folder / name).read_text("utf-8") == after


def test_comments_that_stand_further_in_stay_with_what_they_are_about():
    text = change("  a:\n    uses:\n      router:\n        - openrouter/auto\n        # of these\n    # of it\n")
    assert text == (
        f"  a:\n    uses:\n      pinned:\n        - {SONNET}\n        # of these\n    pin_when: {NOTE}\n    # of it\n"
    )


# JSON, which is YAML too ----------------------------------------------------------------------------------------------

EDGES = (Edge("gpt-*", "max", 0.2), Edge("claude-*", "min", 0.95))


@pytest.mark.parametrize("style", [{"indent": 2}, {"indent": 4}, {}, {"separators": (",", ":")}])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"uses": {"router": "openrouter/auto"}}, {"uses": {"pinned": SONNET}}),
        ({"uses": {"router": ["x", "openrouter/auto"]}}, {"uses": {"router": ["x"], "pinned": SONNET}}),
        ({"uses": {"router": "openrouter/auto", "pinned": ["x"]}}, {"uses": {"pinned": ["x", SONNET]}}),
        ({"uses": {"pinned": "x", "router": ["openrouter/auto"]}}, {"uses": {"pinned": ["x", SONNET]}}),
        (
            {"uses": {"router": "openrouter/auto"}, "expect": {"claude-*": "95 %"}},
            {"uses": {"pinned": SONNET}},
        ),
        (
            {"uses": {"router": "openrouter/auto"}, "expect": {"gpt-*": {"min": "1 %", "max": "20 %"}, "x": "1 %"}},
            {"uses": {"pinned": SONNET}, "expect": {"gpt-*": {"min": "1 %"}, "x": "1 %"}},
        ),
        (
            {"pin_when": 'it is "wrong"', "uses": {"router": "openrouter/auto"}},
            {"pin_when": f'{NOTE}. Formerly to be pinned when it is "wrong"', "uses": {"pinned": SONNET}},
        ),
    ],
)
def test_a_policy_that_is_json_stays_json(style, newline, before, after):
    document = {"version": 1, "surfaces": {"a": before, "b": {"uses": {"alias": "openrouter/auto"}}}}
    text = json.dumps(document, **style).replace("\n", newline)
    declared = before.get("expect", {})
    violated = [edge for edge in EDGES if edge.glob in declared]
    changed = edited(text, Change("a", TO_SONNET, violated, NOTE))
    document["surfaces"]["a"] = {"pin_when": NOTE, **after}
    assert json.loads(changed) == document
    assert not re.search(r"\n\s*\n", changed)
    assert not re.search(r"(?<!\r)\n", changed) or "\r" not in text
