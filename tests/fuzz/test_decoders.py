"""The readers of OTLP, with the exports that the coverage-guided fuzzer begins with, and with damaged ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from decoders import check, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXPORTS = sorted((Path(__file__).parent / "exports").iterdir())
WORDS = [
    line.strip()[1:-1].encode().decode("unicode_escape").encode("latin-1")
    for line in (Path(__file__).parent / "otlp.dict").read_text("utf-8").splitlines()
    if line.startswith('"')
]
BOUNDED = settings(
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("kept", EXPORTS, ids=lambda path: path.name)
def test_an_export_is_read_is_the_same_in_every_encoding_and_is_stored_as_it_is(kept):
    assert read(kept.read_bytes()).ListFields()
    check(kept.read_bytes())


@BOUNDED
@given(
    st.sampled_from(EXPORTS),
    st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(WORDS) | st.binary(max_size=8), st.integers(0, 30))),
)
def test_and_so_is_whatever_can_be_read_of_a_damaged_one(kept, changes):
    data = kept.read_bytes()
    for at, put_in, cut_out in changes:
        place = 1 + at % len(data)
        data = data[:place] + put_in + data[place + cut_out :]
    check(data)
