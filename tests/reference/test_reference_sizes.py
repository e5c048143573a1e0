"""The sizes of requests in the reference: pinned where the source knows them, kept short, and checked when read."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from otel_llm_routing.analyze import sizes
from otel_llm_routing.analyze.decomposition import decompose
from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.policy import reference
from otel_llm_routing.policy.reference import Mix, Pin, Reference, ReferenceFileError, ReferenceStream, RetiredStream
from otel_llm_routing.policy.reference import Sizes as Kept

FILE = Path("reference.yaml")
AUTO = "openrouter/auto"
STREAM = ("autocomplete", AUTO)
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
BOUNDS = (1024, 4096)
MIX = np.array([0.5, 0.3, 0.2])
HAIKUS = np.array([0.4, 0.1, 0.05])


def pin(run, database, until, *more):
    return run("pin", "--source", database.source, "--reason", "agreed", "--until", until, *more)


def drawn(days, mix=MIX, haikus=HAIKUS, requests=480, seed=4):
    """Return (day, stream, served, requests in each bucket) of every day."""
    rng = np.random.default_rng(seed)
    for day in days:
        yield day, STREAM, HAIKU, rng.poisson(requests * mix * haikus)
        yield day, STREAM, SONNET, rng.poisson(requests * mix * (1 - haikus))


def written(database, counts):
    """Write the requests and their sizes."""
    counts = list(counts)
    for day, stream, served, bins in counts:
        per_hour, rest = divmod(int(sum(bins)), 24)
        database.write([(day, hour, stream, served, per_hour + (hour < rest)) for hour in range(24)])
    return database.measure(counts, BOUNDS)


# Pinning --------------------------------------------------------------------------------------------------------------


def test_a_pin_holds_how_large_requests_are_and_who_serves_which(run, database, day):
    written(database, drawn(range(28)))
    assert pin(run, database, day(28)).exit_code == 0
    kept = reference.load(FILE).streams[0].sizes
    assert kept.bounds == BOUNDS
    assert kept.share == pytest.approx(MIX, abs=0.01)
    assert kept.served[HAIKU] == pytest.approx(HAIKUS, abs=0.02)
    assert np.sum([kept.served[HAIKU], kept.served[SONNET]], axis=0) == pytest.approx(1, abs=0.002)
    assert kept.concentration > 300
    digits = {len(f"{n:.10g}".lstrip("0.").replace(".", "")) for n in (*kept.share, *kept.served[HAIKU])}
    assert max(digits) <= 3


def test_a_source_without_sizes_gives_none(run, database, day):
    database.add(range(28))
    assert pin(run, database, day(28)).exit_code == 0
    assert reference.load(FILE).streams[0].sizes is None
    assert "sizes:" not in FILE.read_text()


def test_sizes_of_only_some_requests_are_not_kept_and_that_is_said(run, database, day):
    database.add(range(28))
    database.measure(drawn(range(25, 28)), BOUNDS)
    result = pin(run, database, day(28))
    assert "no sizes for autocomplete / openrouter/auto: the sizes of only 11% of its requests" in " ".join(
        result.stdout.split()
    )
    assert reference.load(FILE).streams[0].sizes is None


def test_what_nobody_confirmed_is_no_served_model(run, database, day):
    written(database, drawn(range(28)))
    database.measure([(day_, STREAM, served, [9, 9, 900]) for day_ in range(28) for served in (AUTO, "")], BOUNDS)
    assert pin(run, database, day(28)).exit_code == 0
    kept = reference.load(FILE).streams[0].sizes
    assert set(kept.served) == {HAIKU, SONNET}
    assert kept.share == pytest.approx(MIX, abs=0.01)


def test_the_past_keeps_no_sizes(run, database, day):
    written(database, drawn(range(56)))
    pin(run, database, day(28))
    assert pin(run, database, day(56)).exit_code == 0
    stream = reference.load(FILE).streams[0]
    assert stream.sizes is not None
    assert [mix.sizes for mix in stream.before] == [None]


def test_the_reference_is_what_a_later_change_is_split_against(run, database, day):
    written(database, drawn(range(28)))
    pin(run, database, day(28))
    stream = reference.load(FILE).streams[0]
    start = int(np.datetime64(day(28), "s").astype(int))
    for number, (mix, haikus, verdict) in enumerate(
        [
            (MIX, HAIKUS, "none"),
            (np.array([0.85, 0.1, 0.05]), HAIKUS, "traffic"),
            (MIX, HAIKUS + 0.15, "router"),
            (np.array([0.1, 0.3, 0.6]), HAIKUS + 0.2, "both"),
        ]
    ):
        days = range(28 + 7 * number, 35 + 7 * number)
        database.measure(drawn(days, mix, haikus), BOUNDS)
        begin = start + number * 7 * 86_400
        now = sizes.read(open_source(database.source), begin, begin + 7 * 86_400).table(STREAM, stream.shares)
        assert decompose(sizes.pair(sizes.of_reference(stream), now)).verdict == verdict


# The file -------------------------------------------------------------------------------------------------------------

KEPT = {
    "bounds": (256.0, 1000.5),
    "share": (0.5, 0.3, 0.2),
    "served": {"a": (0.25, 0.25, 1.0), "b": (0.75, 0.75, 0)},
    "concentration": 400,
}
AT = "2026-01-29T00:00:00Z"


def whole(**said):
    act = Pin(id=1, at=AT, reason="agreed", start=AT, end=AT, source="sqlite:x.db")
    mix = {"pin": 1, "requests": 1000, "days": 28, "design_effect": 1.5, "concentration": 400}
    mix |= {"shares": {"a": 0.25, "b": 0.75}, "sizes": Kept(**{**KEPT, **said})}
    stream = ReferenceStream(**mix, surface="autocomplete", requested="auto", before=(Mix(**mix),))
    retired = RetiredStream(**mix, surface="old", requested="auto", retired_by=1)
    return Reference(pins=(act,), streams=(stream,), retired=(retired,))


def test_all_that_is_written_is_read_back():
    assert reference.parse(reference.dump(whole())) == whole()


def test_a_reviewer_reads_a_table():
    text = reference.dump(whole())
    assert (
        "  sizes:\n    bounds: [256, 1000.5]\n    share: [0.5, 0.3, 0.2]\n    served:\n"
        "      a: [0.25, 0.25, 1.0]\n      b: [0.75, 0.75, 0.0]\n    concentration: 400.0\n"
    ) in text


def test_names_in_the_table_are_read_back_to_the_letter():
    for name in ("yes", "a: b", "[b]", "# c", "x" * 300, "line\nbreak", "\u202egnp", "\x07", "{{ x }}", " lead"):
        said = (
            whole()
            .streams[0]
            .model_copy(
                update={
                    "shares": {name: 1.0},
                    "sizes": Kept(**{**KEPT, "served": {name: (1.0, 1.0, 1.0)}}),
                    "before": (),
                }
            )
        )
        one = Reference(pins=whole().pins, streams=(said,))
        assert reference.parse(reference.dump(one)) == one


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("bounds: [256, 1000.5]", "bounds: [1000.5, 256]", "bounds", "sizes.bounds: the bounds do not ascend"),
        ("bounds: [256, 1000.5]", "bounds: [0, 256]", "bounds", "sizes.bounds[0]: 0: input should be greater than 0"),
        ("share: [0.5, 0.3, 0.2]", "share: [0.5, 0.5]", "share", "sizes.share: 2 numbers for 3 buckets"),
        (
            "share: [0.5, 0.3, 0.2]",
            "share: [0.5, 0.5, 0.2]",
            "share",
            "sizes.share: the shares add up to 1.200, not to",
        ),
        ("a: [0.25, 0.25, 1.0]", "a: [0.25, 0.25]", "a", "sizes.served.a: 2 numbers for 3 buckets"),
        ("a: [0.25, 0.25, 1.0]", "a: [0.25, 0.35, 1.0]", "served", "the shares of bucket 2 add up to 1.100, not to 1"),
        ("a: [0.25, 0.25, 1.0]", "c: [0.25, 0.25, 1.0]", "c", "sizes.served.c: this model is not among the shares"),
        ("a: [0.25, 0.25, 1.0]", "a: [0.25, 2, 1.0]", "a", "sizes.served.a[1]: 2: input should be less than or equal"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(old, new, key, said):
    text = reference.dump(whole().model_copy(update={"retired": ()}))
    at = text.index(old, text.index("sizes:"))
    broken = text[:at] + new + text[at + len(old) :]
    with pytest.raises(ReferenceFileError) as error:
        reference.parse(broken)
    first = str(error.value).split("\n")[0]
    assert said in first
    line = broken.split("\n")[int(first.split(":")[1]) - 1]
    assert line.strip().startswith(f"{key}:"), (line, first)


def test_older_files_stay_valid_and_are_written_as_they_were():
    example = Path(__file__).parents[2] / "examples" / "policy" / "reference.yaml"
    assert reference.dump(reference.load(example)) == example.read_text("utf-8")


def test_a_table_for_many_models_stays_within_a_screen():
    rows = {f"model-{k}-20250929": tuple([0.125] * 11) for k in range(8)}
    bounds = tuple(256.0 * 2**n for n in range(10))
    kept = Kept(bounds=bounds, share=(0.1,) * 9 + (0.05,) * 2, served=rows, concentration=400)
    one = whole().streams[0].model_copy(update={"shares": dict.fromkeys(rows, 0.125), "sizes": kept, "before": ()})
    text = reference.dump(Reference(pins=whole().pins, streams=(one,)))
    table = list(itertools.dropwhile(lambda line: "sizes:" not in line, text.split("\n")))
    assert len(table) <= 15
    assert max(map(len, table)) <= 120
