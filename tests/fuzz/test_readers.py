"""The readers of responses, with the corpus of the coverage-guided fuzzer and with what hypothesis makes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import FORMS, READERS, check

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
WORDS = [
    line.strip()[1:-1]
    for line in (Path(__file__).parent / "words.dict").read_text("utf-8").splitlines()
    if line.startswith('"')
]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
BOUNDED = settings(
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=30,
)


@pytest.mark.parametrize("kept", CORPUS, ids=lambda path: path.name)
def test_what_the_fuzzer_keeps_is_read_as_it_must_be(kept):
    check(kept.read_bytes())


@BOUNDED
@given(st.integers(0, len(READERS) - 1), st.sampled_from(FORMS), st.dictionaries(st.sampled_from(WORDS), values))
def test_no_document_makes_a_reader_raise_or_name_a_model_that_nobody_named(reader, form, document):
    body = json.dumps(document).encode()
    if form == "events":
        body = b"data: " + body + b"\n\n"
    check(bytes([reader + len(READERS) * FORMS.index(form)]) + body)


@BOUNDED
@given(st.sampled_from(CORPUS), st.integers(0, 2000), st.binary(max_size=8), st.integers(0, 8))
def test_no_bytes_do_either(kept, at, put_in, cut_out):
    data = kept.read_bytes()
    at = 1 + at % len(data)
    check(data[:at] + put_in + data[at + cut_out :])
