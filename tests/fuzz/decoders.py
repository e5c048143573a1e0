"""What the readers of OTLP must satisfy, of any bytes: they agree, raise what they may, and what they take adds up.

``check(data)`` takes any bytes: the first chooses a signal and an encoding, the others are the body of an export. It is
called by the coverage-guided fuzzer (``fuzz_decoders.py``), by hypothesis, and with the exports kept beside this.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import tempfile
from collections import defaultdict
from pathlib import Path

from google.protobuf import json_format

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.sources.otlp_json import OTLPFileSource
from otel_llm_routing.analyze.sources.otlp_lines import File
from otel_llm_routing.analyze.sources.points import COUNTERS, HISTOGRAMS
from otel_llm_routing.analyze.sources.sqlite import SQLiteSource
from otel_llm_routing.serve.receiver import MalformedError, decode, points
from otel_llm_routing.serve.spans import spans
from otel_llm_routing.serve.store import Store

SIGNALS = ("metrics", "traces", "logs")
METRICS = (*sorted(COUNTERS), *sorted(HISTOGRAMS))
DEEP = 90
"""Messages within messages that every decoder must take; protobuf takes 100."""
FAR = 2.0**40
"""Seconds since the epoch; after every time that a body can name and is believed."""

# Where it is safely on disk at once, if there is such a place: a thousand times a second is the disk's business else.
_folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)  # noqa: S108


def check(data: bytes) -> None:
    """Read ``data`` as its first byte says, and raise an AssertionError where a reader did what it must not."""
    if not data:
        return
    signal, as_json = kind(data)
    in_file = read_as_a_file(data[1:]) if as_json else None
    try:
        request = read(data)
    except MalformedError:
        return
    request.DiscardUnknownFields()  # JSON cannot have them; in an attribute's value they tell streams apart
    text, wire = in_json(request), request.SerializeToString()
    forms = [request, decode(signal, wire, as_json=False)]
    try:
        forms.append(decode(signal, text, as_json=True))
    except MalformedError:
        assert depth(json.loads(text)) > DEEP, text
    if signal == "metrics":
        if in_file and not in_file[1]:  # else it says that it left out something
            _agree(in_file, points(request))
        check_metrics(forms, text)
    elif signal == "traces":
        check_spans(forms)


def kind(data: bytes) -> tuple[str, bool]:
    """Return the signal that the first byte stands for, and whether it is in JSON."""
    return SIGNALS[data[0] % len(SIGNALS)], bool(data[0] // len(SIGNALS) % 2)


def read(data: bytes):
    """Return the export after the first byte. Raises ``MalformedError``."""
    signal, as_json = kind(data)
    return decode(signal, data[1:], as_json=as_json)


def in_json(request) -> bytes:
    """Return a request as OTLP's JSON has it."""
    document = json_format.MessageToDict(request)
    _hexadecimal(document)
    return json.dumps(document).encode()


def _hexadecimal(document) -> None:
    for name, value in document.items() if type(document) is dict else ():
        if type(value) is str and name in ("traceId", "spanId", "parentSpanId"):
            document[name] = base64.b64decode(value).hex()
    for value in document.values() if type(document) is dict else document if type(document) is list else ():
        _hexadecimal(value)


def depth(document) -> int:
    """Return how many objects are within objects."""
    within = document.values() if type(document) is dict else document if type(document) is list else ()
    return (type(document) is dict) + max(map(depth, within), default=0)


# Metrics --------------------------------------------------------------------------------------------------------------


def check_metrics(forms, text) -> None:
    """Check that all forms of an export are the same points, also in a file, and that these are stored as they are."""
    found, senders, refused = points(forms[0])
    for form in forms[1:]:
        others = points(form)
        assert others[1:] == (senders, refused)
        assert [_said(one) for one in others[0]] == [_said(one) for one in found]
        assert [one.stream for one in others[0]] == [one.stream for one in found]
    if len(forms) > 2:
        _agree(read_as_a_file(text), (found, senders, refused))
    check_store(found, senders)


def _agree(in_file, served):
    reads, warnings = in_file
    found, _, refused = served
    assert [_said(one) for one in reads] == [_said(one) for one in found], (reads, found)
    assert alike([one.stream for one in reads], [one.stream for one in found])
    assert not refused or "make no sense" in warnings, (refused, warnings)


def _said(one):
    return one.metric, one.key, one.values, one.bounds, one.cumulative, one.time


def alike(one, two) -> bool:
    """Return whether the same places of two lists are equal to each other."""
    return [one.index(of) for of in one] == [two.index(of) for of in two]


def read_as_a_file(text):
    """Return the points of a file of the Collector that holds ``text``, and what is said of it."""
    path = Path(_folder.name, "metrics.json")
    path.write_bytes(text)
    file = File(path, METRICS, lambda _: None)
    file._written = FAR
    reads = [read.point for _, line in file.lines() for read in line]
    try:
        source = OTLPFileSource(str(path))
        list(source.counts(-FAR, FAR))
    except SourceError as error:
        assert "no OTLP-JSON" in str(error)  # noqa: PT017  (it may also raise nothing)
    return reads, "; ".join(file.warnings())


def check_store(found, senders) -> None:
    """Check that what is stored is what came, and no more when it comes again."""
    if found:
        expected = truth(found)
        with empty_store() as store:
            for _ in range(2):
                assert store.write(found, (), senders) == 0
                assert_near(read_back(store.path), expected, slack=0.5 * len(found))


@contextlib.contextmanager
def empty_store():
    """Give a store with nothing in it."""
    for name in ("t.db", "t.db-wal", "t.db-shm"):
        Path(_folder.name, name).unlink(missing_ok=True)
    store = Store(str(Path(_folder.name, "t.db")))
    try:
        yield store
    finally:
        store.close()


def truth(found):
    """Return what the points add up to, told in the simplest way."""
    totals = defaultdict(float)
    last = {}
    for one in found:
        before = last.get(one.stream)
        if before is not None and (not one.cumulative or one.time <= before.time):
            continue
        last[one.stream] = one
        values = one.values
        if before is not None and all(new >= old for new, old in zip(values, before.values, strict=True)):
            values = [new - old for new, old in zip(values, before.values, strict=True)]
        surface, provider, _, requested, served = one.key[:5]
        if one.metric == semconv.REQUESTS:
            totals[(one.metric, *one.key[:-1])] += values[0]
        elif one.metric in COUNTERS:
            totals[one.metric, surface, provider, requested, served] += values[0]
        elif one.metric == semconv.INPUT_SIZE:
            for bound, value in zip(one.bounds, values[2:], strict=False):
                totals[one.metric, surface, requested, served, float(bound)] += value
    return totals


def read_back(path):
    """Return the sums of a database, as ``truth`` has them."""
    totals = defaultdict(float)
    source = SQLiteSource(path)
    for one in source.counts(-FAR, FAR):
        cached, error = one.cached, one.error
        words = (one.surface, one.provider, one.operation, one.requested, one.served, one.kind, one.match)
        totals[(semconv.REQUESTS, *words, one.served_source, "true" if cached else "", error)] += one.requests
    for one in source.tokens(-FAR, FAR):
        words = one.surface, one.provider, one.requested, one.served
        totals[(semconv.INPUT_TOKENS_TOTAL, *words)] += one.read
        totals[(semconv.OUTPUT_TOKENS_TOTAL, *words)] += one.written
    for one in source.sizes(-FAR, FAR):
        totals[semconv.INPUT_SIZE, one.surface, one.requested, one.served, one.bound] += one.requests
    return totals


def assert_near(one, two, slack) -> None:
    """Check that two sets of sums are the same, but for fractions of requests."""
    for key in {*one, *two}:
        assert math.isclose(one[key], two[key], rel_tol=1e-9, abs_tol=slack), (key, one[key], two[key])


# Spans ----------------------------------------------------------------------------------------------------------------


def check_spans(forms) -> None:
    """Check that all forms of an export are the same calls, and that these are counted once."""
    found, senders = spans(forms[0])
    for form in forms[1:]:
        others = spans(form)
        assert others[1] == senders
        assert [(one.id, one.parent, one.sender, one.key) for one in others[0]] == [
            (one.id, one.parent, one.sender, one.key) for one in found
        ]
    assert len({one.id for one in found}) == len(found)
    others = [one for one in found if one.sender not in senders]
    if found:
        with empty_store() as store:
            counted = []
            for _ in range(2):
                store.write((), found, senders)
                counted.append(sum(one.requests for one in SQLiteSource(store.path).counts(-FAR, FAR)))
        assert counted[0] == counted[1]
        assert bool(others) <= counted[0] <= len(others), (counted, found)
