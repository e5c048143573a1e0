"""The reference file: what is written is read back, and what is broken is said with its line."""

from __future__ import annotations

import time
from datetime import date, datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import yaml

from otel_llm_routing.policy import reference
from otel_llm_routing.policy.reference import Mix, Pin, Reference, ReferenceFileError, ReferenceStream, RetiredStream

AT = datetime(2026, 1, 29, tzinfo=timezone.utc)
EXAMPLE = Path(__file__).parents[2] / "examples" / "policy" / "reference.yaml"
MIX = {"pin": 1, "requests": 1000, "days": 28, "design_effect": 1.5, "concentration": 400, "shares": {"m": 1.0}}


def act(number=1, **said):
    return Pin(**{"id": number, "at": AT, "reason": "agreed", "start": AT, "end": AT, "source": "sqlite:x.db", **said})


def stream(surface="autocomplete", requested="auto", **said):
    return ReferenceStream(**{**MIX, "surface": surface, "requested": requested, **said})


def written(tmp_path, text):
    path = tmp_path / "reference.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def complaint(tmp_path, text):
    with pytest.raises(ReferenceFileError) as error:
        reference.load(written(tmp_path, text))
    return str(error.value).replace(str(tmp_path), "")


def test_all_that_is_written_is_read_back(tmp_path):
    mix = Mix(**MIX)
    whole = Reference(
        pins=(act(gaps=(date(2026, 1, 3),)), act(2, reason="two\nlines: #1")),
        streams=(stream(before=(mix, mix)), stream("draft", "", shares={"a": 0.25, "b": 0.75})),
        retired=(RetiredStream(**{**MIX, "surface": "old", "requested": "auto", "before": (mix,), "retired_by": 2}),),
    )
    assert reference.load(written(tmp_path, reference.dump(whole))) == whole


def test_the_example_is_written_as_the_program_writes():
    assert reference.dump(reference.load(EXAMPLE)) == EXAMPLE.read_text("utf-8")


HOSTILE = (
    *("yes", "null", "~", "=", "<<", "1.0", "0x1F", "2026-01-01", "12:30:00", "- a", "a: b", "# c", "a #b", "*x", "&x"),
    *("!!python/object", "{a}", "[b]", "%TAG", "@x", "`x", "'q'", '"d"', "\\", "---", "...", "? x", ": ", "|", "> x"),
    *("line\nbreak", "cr\rx", "tab\tx", "\0", "\x07\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\uffff"),
    *("\U0001f600", "e\u0301", " lead", "trail ", "x" * 300, "a b " * 100, "{{ $labels.x }}", "[red]x[/red]"),
    *("\u202egnp", "a\n\n\nb", "  \n x", "<<<<<<< HEAD", "x\n<<<<<<< HEAD\ny", ""),
)


def names():
    rng = np.random.default_rng(2)
    pools = [(0x20, 0x7F), (0, 0x250), (0x2000, 0x2070), (0, 0xD800), (0x1F600, 0x1F640)]
    for _ in range(100):
        length = rng.integers(1, 150)
        yield "".join(chr(rng.integers(*pools[pool])) for pool in rng.integers(len(pools), size=length))


@pytest.mark.parametrize("parser", ["LibYAML", "PyYAML"])
def test_hostile_names_are_read_back_to_the_letter(parser, monkeypatch):
    if parser == "PyYAML":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    for name in (*HOSTILE, *names()):
        whole = Reference(
            pins=(act(reason=name or "-", source=name),),
            streams=(stream(name, name, shares={name: 0.5, f"{name}2": 0.5}),),
        )
        text = reference.dump(whole)
        assert reference.parse(text) == whole
        assert all(line.isprintable() for line in text.split("\n")), "a reviewer sees every character"


def test_a_thousand_surfaces_load_in_seconds(tmp_path):
    shares = {f"model-{k}": 0.125 for k in range(8)}
    whole = Reference(pins=(act(),), streams=tuple(stream(f"surface-{i}", shares=shares) for i in range(1000)))
    path = written(tmp_path, reference.dump(whole))
    begin = time.process_time()
    assert len(reference.load(path).streams) == 1000
    assert time.process_time() - begin < 5


GOOD = reference.dump(Reference(pins=(act(),), streams=(stream(shares={"a": 0.25, "b": 0.75}),)))
LINES = {text.strip().partition(":")[0].removeprefix("- "): at for at, text in enumerate(GOOD.split("\n"), 1)}


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("b: 0.75", "b: 0.7", "surface", "streams[0]: the shares add up to 0.950, not to 1"),
        ("b: 0.75", "b: most", "b", "streams[0].shares.b: most: input should be a valid number"),
        ("b: 0.75", "b: .nan", "b", "streams[0].shares.b"),
        ("b: 0.75", "a: 0.75", "b", "streams[0].shares.a: the same key a second time"),
        ("b: 0.75", "5: 0.75", "b", "the key 5 is not read as text; put it in quotes"),
        ("b: 0.75", "b: -0.25", "b", "greater than or equal to 0"),
        ("surface: autocomplete", "surface: on", "surface", "streams[0].surface: true: input should be a valid string"),
        ("requests: 1000", "requests: 0", "requests", "streams[0].requests: 0"),
        ("days: 28.0", "days: .inf", "days", "streams[0].days: inf: input should be a finite number"),
        ("design_effect: 1.5", "design_effect: 0.5", "design_effect", "greater than or equal to 1"),
        ("  concentration: 400.0\n", "", "surface", "streams[0].concentration: missing"),
        ("  concentration: 400.0\n", "  m: 400.0\n", "surface", "streams[0].m: unknown key"),
        ("  pin: 1", "  pin: 7", "pin", "streams[0].pin: there is no pin 7 under pins"),
        ("reason: agreed", "reason: ''", "reason", "pins[0].reason"),
        ("start: '2026-01-29T00:00:00Z'", "start: '2027-01-29T00:00:00Z'", "id", "pins[0]: the period ends before it"),
        ("start: '2026-01-29T00:00:00Z'", "start: yesterday", "start", "pins[0].start: yesterday"),
        ("version: 1", "version: 2", "version", "of a newer otel-llm-routing"),
        ("version: 1", "version: !!python/name:os.system x", "version", "has a meaning of its own in YAML"),
        ("  shares:", "  shares", "a", "not YAML"),
        ("  shares:", "\tshares:", "shares", "not YAML"),
        ("  days", "<<<<<<< HEAD\n  days", "days", "an unresolved merge conflict"),
        ("reason: agreed", "reason: agr\x07eed", "reason", "the character U+0007, which YAML does not allow"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, old, new, line, said):
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    found = complaint(tmp_path, text)
    assert found.startswith(f"/reference.yaml:{LINES[line]}: ")
    assert said in found
    assert "restore it from version control" in found or "newer" in found


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    text = GOOD.replace("requests: 1000", "requests: none").replace("days: 28.0", "days: -1")
    found = complaint(tmp_path, text).split("\n")
    assert [line.split(":")[1] for line in found[:2]] == [str(LINES["requests"]), str(LINES["days"])]
    assert len(found) == 3


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"),
        ("- 1\n", 1, "not a reference file"),
        ("a: &x 1\nb: *x\n", 1, "b: an alias (*)"),
        ("[" * 5_000, 1, "nested too deeply"),
        ("- " * 5_000, 1, "nested too deeply"),
        (b"version: 1\npins: \xff\n", 2, "not UTF-8 text"),
        ("version: 1\n---\nversion: 1\n", 2, "not YAML"),
        ("version: 1\npins: []\n", 2, "pins: a list: tuple should have at least 1 item"),
        (f"version: {'9' * 5000}\n", 1, "has a meaning of its own"),
    ],
)
def test_what_is_no_reference_file(tmp_path, text, line, said):
    found = complaint(tmp_path, text)
    assert found.startswith(f"/reference.yaml:{line}: ")
    assert said in found


def test_a_stream_is_listed_once(tmp_path):
    half = GOOD.index("- surface")
    again = GOOD + GOOD[half:]
    found = complaint(tmp_path, again)
    assert "streams[1]: autocomplete / auto is listed twice" in found
    assert found.startswith(f"/reference.yaml:{GOOD.count(chr(10)) + 1}: ")


def test_a_time_without_an_offset_is_utc():
    text = GOOD.replace("at: '2026-01-29T00:00:00Z'", "at: 2026-01-29T00:00:00")
    assert reference.parse(text).pins[0].at == AT


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(reference.NoReferenceFileError, match=r"no such file.*reference pin"):
        reference.load(tmp_path / "reference.yaml")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ReferenceFileError, match="cannot be read"):
        reference.load(tmp_path)
