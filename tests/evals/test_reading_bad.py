"""Files that are broken, hostile or mixed: what is good in them is read, what is not is said, and nothing breaks."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import random
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from eval_shop import as_json

from otel_llm_routing.analyze.evals.cases import Case, CaseCall
from otel_llm_routing.analyze.evals.reading import CasesError, archive, opening, read_cases
from otel_llm_routing.models import MATCHES

FILES = Path(__file__).parent / "files"
NONE = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cases.jsonl"


def line(name="a", **more):
    return json.dumps({**as_json(Case(name, "autocomplete", 10, 1.0)), **more})


def wrote(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_cases(path)


def ids(found):
    return [case.id for case in found.cases]


# Lines ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ['{"schema": "otel', "no JSON", "[1, 2", '{"a": 1}}', "\0\0\0", '{"a": "\x01"}'])
def test_a_broken_line_is_named_and_the_others_are_read(broken, path):
    for text in (f"{line('a')}\n{broken}\n{line('b')}", f"{broken}\n{line('a')}\n{line('b')}"):
        found = (
            wrote(path, text)
            if not text.startswith(("no", "\0"))
            else wrote(path, f"{line('a')}\n{broken}\n{line('b')}")
        )
        assert ids(found) == ["a", "b"]
        (warning,) = found.warnings
        assert warning.startswith(f"{path}:")
        assert "no whole JSON, left out" in warning


def test_losses_of_one_kind_are_one_warning_with_their_number(path):
    found = wrote(path, "\n".join([line("a"), "{", "{", "{", line("b"), "[]"]))
    assert found.warnings == [
        f"{path}:2: no whole JSON, left out (and 2 more like it)",
        f"{path}:6: no line of otel-llm-routing/cases/v1, left out",
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n  \n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_byte_order_marks_do_not_matter(encoding, end, path):
    found = wrote(path, end.join([line("ä"), line("b"), ""]).encode(encoding))
    assert (ids(found), found.warnings) == (["ä", "b"], [])
    found = wrote(path, end.join(["id,surface", "ä,x", "b,x", ""]).encode(encoding))
    assert (ids(found), found.warnings) == (["ä", "b"], [])


def test_bytes_that_are_no_text_are_replaced_and_that_is_said(path):
    found = wrote(path, f"{line(NONE)}\n".encode() + line("a").encode().replace(b'"a"', b'"a\xff"'))
    assert ids(found) == [NONE, f"a{NONE}"]
    assert found.warnings == [f"{path}:2: bytes that are no UTF-8, read as {NONE}; save it as UTF-8"]


def test_a_line_that_is_too_long_is_left_out_and_costs_no_memory(path, monkeypatch):
    monkeypatch.setattr(opening, "LONGEST", 1 << 12)
    with path.open("w") as file:
        file.write(line("a") + "\n")
        for _ in range(2000):
            file.write("x" * (1 << 12))
        file.write("\n" + line("b") + "\n")
    tracemalloc.start()
    found = read_cases(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids(found) == ["a", "b"]
    assert found.warnings == [f"{path}:2: a line of more than 4,096 characters, left out"]
    assert peak < 4_000_000


@pytest.mark.parametrize("deep", ["[" * 200_000, '{"a":' * 200_000, "[" * 50_000 + "]" * 50_000])
def test_a_depth_bomb_is_one_lost_line(deep, path):
    bomb = line("x")[:-1] + f', "deep": {deep}}}'
    found = wrote(path, f"{line('a')}\n{bomb}\n{line('b')}")
    assert ids(found) == ["a", "b"]
    assert len(found.warnings) == 1


def test_a_depth_bomb_alone_is_an_error(path):
    with pytest.raises(CasesError, match=r"no records of named values|no case in it"):
        wrote(path, "[" * 200_000)


def test_a_number_of_many_digits_is_one_lost_line(path):
    found = wrote(path, f'{line("a")}\n{line("b")[:-1]}, "n": {"9" * 10_000}}}\n{line("c")}')
    assert ids(found) == (["a", "c"] if hasattr(sys, "set_int_max_str_digits") else ["a", "b", "c"])


# Whole files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"\n\n  \n", b"\xef\xbb\xbf", b"\0" * 100, b"id,surface\n", b"{}", b"[]", b"null", b"7"]
)
def test_a_file_without_cases_is_an_error_that_names_it(data, path):
    with pytest.raises(CasesError) as error:
        wrote(path, data)
    assert str(error.value).startswith(str(path))
    assert "; " in str(error.value)  # and says what to do


@pytest.mark.parametrize("name", ["nothing.jsonl", "."])
def test_what_is_not_there_is_an_error(name, tmp_path):
    with pytest.raises(CasesError, match=r"no such file|No such file|in this folder"):
        read_cases(tmp_path / name)


def test_a_format_that_is_none_lists_those_that_are(path):
    path.write_text(line())
    with pytest.raises(CasesError, match="--format 'promptfo': no such format; formats are cases, promptfoo, inspect"):
        read_cases(path, "promptfo")


def test_a_newer_version_of_ours_asks_for_an_update(path):
    with pytest.raises(CasesError, match="another version than otel-llm-routing/cases/v1, left out; update"):
        wrote(path, line(schema="otel-llm-routing/cases/v2"))


def test_a_packed_file_is_read_and_a_damaged_one_as_far_as_it_goes(path):
    rng = random.Random(1)
    packed = gzip.compress("\n".join(line(f"{n}-{rng.random()}") for n in range(5000)).encode())
    assert len(wrote(path, packed).cases) == 5000
    for damaged in (packed[: len(packed) // 2], packed[: len(packed) // 2] + b"\xff" * 100):
        found = wrote(path, damaged)
        assert 1000 < len(found.cases) < 5000
        assert "its gzip ends early or is damaged" in " ".join(found.warnings)


def test_a_packed_log_and_packed_parquet_are_read_too_but_not_if_they_are_damaged(path):
    table = pytest.importorskip("pyarrow").table({"id": ["a"], "surface": ["s"]})
    pytest.importorskip("pyarrow.parquet").write_table(table, path)
    for whole, cases in ((path.read_bytes(), 1), ((FILES / "inspect.eval").read_bytes(), 6)):
        packed = gzip.compress(whole, mtime=0)
        assert len(wrote(path, packed).cases) == cases
        with pytest.raises(CasesError, match="its gzip ends early or is damaged"):
            wrote(path, packed[:-20])


def test_a_file_of_broken_lines_alone_says_what_is_broken(path):
    with pytest.raises(CasesError, match=r"no case in it; name a file of cases \(.*:1: no whole JSON from here on"):
        wrote(path, '{"id"}\n{"id": "a", \n')


def test_what_unpacks_to_too_much_is_an_error(path, monkeypatch):
    monkeypatch.setattr(opening, "UNPACKED", 1 << 20)
    path.write_bytes(gzip.compress((line() + "\n").encode() * 20_000))
    with pytest.raises(CasesError, match="unpacks to more than"):
        read_cases(path)


def test_a_document_that_is_cut_is_read_up_to_there(path):
    rows = json.dumps([{"id": "a", "score": 1}, {"id": "b", "score": 0}, {"id": "c"}], indent=2)
    found = wrote(path, rows[: rows.index('"c"')])
    assert ids(found) == ["a", "b"]
    assert found.warnings[0].startswith(f"{path}:11: no whole JSON from here on")
    text = (FILES / "promptfoo.json").read_text()
    with pytest.raises(CasesError, match=r"no whole JSON from here on|no records"):
        wrote(path, text[: len(text) // 2])


def test_a_document_that_is_too_large_asks_for_lines(path, monkeypatch):
    monkeypatch.setattr(opening, "LARGEST", 1000)
    with pytest.raises(CasesError, match="write one object a line"):
        wrote(path, json.dumps([{"id": "x" * 100}] * 20, indent=1))


def test_objects_one_after_the_other_are_read(path):
    assert ids(wrote(path, json.dumps({"id": "a"}, indent=2) + "\n" + json.dumps({"id": "b"}, indent=2))) == ["a", "b"]


# Values ---------------------------------------------------------------------------------------------------------------

NO_SCORES = [
    "NaN",
    "Infinity",
    "-Infinity",
    '"N/A"',
    '"nan"',
    '"85%"',
    '"0,8"',
    "[1]",
    "{}",
    "1e999",
    '"1_000"',
    f'"{"9" * 999}"',
]


@pytest.mark.parametrize("score", NO_SCORES)
def test_a_score_that_is_no_number_is_a_case_without_score(score, path):
    found = wrote(path, line().replace('"score": 1.0', f'"score": {score}'))
    assert [case.score for case in found.cases] == [None]
    assert found.warnings == [f"{path}:1: a score that is no number; read as a case without score"]


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("true", 1.0),
        ("false", 0.0),
        ('"PASS"', 1.0),
        ('"failed"', 0.0),
        ('" 0.5 "', 0.5),
        ("null", None),
        ('""', None),
        ("-3", -3.0),
    ],
)
def test_a_score_may_be_said_in_words(score, expected, path):
    found = wrote(path, line().replace('"score": 1.0', f'"score": {score}'))
    assert ([case.score for case in found.cases], found.warnings) == ([expected], [])


@pytest.mark.parametrize("size", [-1, 1.5, "many", True, [], 1e300, "1e999"])
def test_a_size_that_is_none_is_not_known(size, path):
    found = wrote(path, line(input_size=size))
    assert (found.cases[0].size, len(found.warnings)) == (None, 1)


def test_a_known_match_without_a_served_model_is_unreported(path):
    calls = [
        {"requested_model": "gpt-5", "served_model": None, "match": "resolved"},
        {"requested_model": "gpt-5", "served_model": "gpt-5-2025-08-07", "match": "sure"},
        {"requested_model": 7, "served_model": ["x"], "match": 5},
        "no call",
    ]
    found = wrote(path, line(calls=calls))
    assert [(call.requested, call.served, call.match) for call in found.cases[0].calls] == [
        ("gpt-5", "", "unreported"),
        ("gpt-5", "gpt-5-2025-08-07", "resolved"),
        ("", "", "unreported"),
    ]
    assert len(found.warnings) == 3


def test_names_are_printable_and_of_bounded_length(path):
    found = wrote(
        path, line("\x1b[31mred" + "y" * 9999, surface="\x1b]0;x\x07" + "z" * 999, calls=[{"served_model": "m" * 9999}])
    )
    (case,) = found.cases
    assert (case.id.isprintable(), len(case.id)) == (True, 512)
    assert (case.surface.isprintable(), len(case.surface)) == (True, 64)
    assert len(case.calls[0].served) == 256


def test_nothing_of_a_hostile_file_reaches_a_message_as_it_is(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"\x1b[31mfeature": 1}))
    with pytest.raises(CasesError) as error:
        read_cases(path)
    assert str(error.value).isprintable()
    path.write_text(line())
    found = read_cases(path, columns={"score": "nothing"})
    assert found.warnings == [f"{path}: no case has 'nothing', which was named for score; scorers are score"]


def test_an_id_that_comes_again_is_a_repetition_unless_the_case_is_another(path):
    assert wrote(path, f"{line('a')}\n{line('a')}").warnings == []
    assert wrote(path, f"{line('a')}\n{line('a', surface='digest')}").warnings == []  # two cases
    unsized = line("a", input_size=None)
    assert wrote(path, f"{unsized}\n{line('a')}\n{unsized}").warnings == []
    found = wrote(path, f"{unsized}\n{line('a')}\n{line('a', input_size=11)}")
    assert len(found.cases) == 3
    assert found.warnings[0].startswith(f"{path}:3: an id that came before with an input of another size")


# Tables ---------------------------------------------------------------------------------------------------------------


def test_a_row_of_another_length_is_left_out_since_its_cells_may_be_shifted(path):
    found = wrote(path, "id,surface,score\na,x,1\nb,y, with a comma,0\nc,z\nd,w,1,,\n\n")
    assert ids(found) == ["a", "d"]
    assert found.warnings == [
        f"{path}:3: a row with more or fewer fields than the header, left out (and 1 more like it)"
    ]


def test_a_field_of_many_characters_and_many_lines_is_read_and_the_lines_are_counted_on(path):
    before = csv.field_size_limit()
    text = io.StringIO()
    csv.writer(text).writerows([["id", "input"], ["a", "x\n" * 200_000], ["b"], ["c", "y"]])
    found = wrote(path, text.getvalue())
    assert [(case.id, case.size, case.place) for case in found.cases] == [
        ("a", 400_000, f"{path}:2"),
        ("c", 1, f"{path}:200004"),
    ]
    assert csv.field_size_limit() == before


def test_a_quote_that_is_never_closed_costs_the_rows_after_it(path, monkeypatch):
    monkeypatch.setattr(opening, "LONGEST", 10_000)
    found = wrote(path, 'id,surface\na,x\n"b,y\n' + "c,z\n" * 5000)
    assert ids(found)[0] == "a"
    assert found.warnings


def test_a_file_that_is_no_parquet_says_so(path):
    pytest.importorskip("pyarrow")
    with pytest.raises(CasesError, match="no Parquet that can be read"):
        wrote(path, b"PAR1" + b"\0" * 100 + b"PAR1")


def test_without_pyarrow_parquet_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CasesError, match=r"pip install 'otel-llm-routing\[parquet\]'"):
        wrote(path, b"PAR1")


# Inspect's zip --------------------------------------------------------------------------------------------------------

HEADER = json.dumps({"version": 2, "status": "success", "eval": {"task": "t", "model": "openai/gpt-5"}})


def sample(name):
    return json.dumps({"id": name, "epoch": 1, "input": "Hi", "target": "x", "scores": {"s": {"value": "C"}}})


def zipped(path, parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in parts.items():
            file.writestr(name, text)


def test_a_part_that_is_damaged_or_too_large_is_left_out(tmp_path, monkeypatch):
    path = tmp_path / "a.eval"
    good = {"header.json": HEADER, "samples/a_epoch_1.json": sample("a"), "samples/c_epoch_1.json": sample("c")}
    zipped(path, {**good, "samples/b_epoch_1.json": "x" * 5000, "samples/d_epoch_1.json": "[" * 100_000})
    data = path.read_bytes()
    monkeypatch.setattr(opening, "LONGEST", 50_000)
    found = read_cases(path)
    assert ids(found) == ["t:a", "t:c"]
    assert [warning.partition(":samples/")[2] for warning in found.warnings] == [
        "b_epoch_1.json: a part that is damaged, left out",
        "d_epoch_1.json: a sample of more than 0 MiB, left out",
    ]
    at = data.index(b"samples/c_epoch_1.json") + len("samples/c_epoch_1.json") + 3
    path.write_bytes(data[:at] + b"\xff\xff" + data[at + 2 :])
    assert ids(read_cases(path)) == ["t:a"]
    locked = bytearray(data)
    locked[data.rindex(b"PK\x01\x02", 0, data.rindex(b"samples/c_epoch_1.json")) + 8] |= 1  # says: with a password
    path.write_bytes(locked)
    assert ids(read_cases(path)) == ["t:a"]


def test_a_zip_bomb_is_read_no_further_than_what_a_log_may_unpack_to(tmp_path, monkeypatch):
    path = tmp_path / "a.eval"
    monkeypatch.setattr(opening, "UNPACKED", 1 << 22)
    zipped(
        path, {"header.json": HEADER, **{f"samples/{n}_epoch_1.json": " " * (1 << 20) + sample(n) for n in range(40)}}
    )
    started = time.process_time()
    for longest in (1 << 26, 1 << 18):  # also where every part is too large to be read
        monkeypatch.setattr(opening, "LONGEST", longest)
        with pytest.raises(CasesError, match="unpacks to more than"):
            read_cases(path)
    assert time.process_time() - started < 5


def test_a_log_that_was_cut_off_is_known_by_its_journal(tmp_path):
    path = tmp_path / "a.eval"
    zipped(path, {"_journal/start.json": HEADER.replace("success", "started"), "samples/a_epoch_1.json": sample("a")})
    found = read_cases(path)
    assert ids(found) == ["t:a"]
    assert "did not end well (status started)" in found.warnings[0]


def test_another_zip_and_half_a_zip_say_what_they_are(tmp_path):
    path = tmp_path / "a.eval"
    zipped(path, {"word/document.xml": "x"})
    with pytest.raises(CasesError, match="a zip that is no Inspect log"):
        read_cases(path)
    path.write_bytes((FILES / "inspect.eval").read_bytes()[:5000])
    with pytest.raises(CasesError, match="a zip that cannot be read"):
        read_cases(path)


def test_without_zstandard_a_log_says_what_to_install(monkeypatch):
    if hasattr(zipfile, "ZIP_ZSTANDARD"):
        pytest.skip("this Python's zipfile reads Zstandard")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(CasesError, match=r"pip install 'otel-llm-routing\[evals\]'"):
        read_cases(FILES / "inspect.eval")


@pytest.mark.parametrize("at", [600, 3000, 9000, 20_000])
def test_a_damaged_part_of_zstandard_is_one_lost_sample(at, tmp_path):
    pytest.importorskip("zstandard")
    path = tmp_path / "a.eval"
    data = bytearray((FILES / "inspect.eval").read_bytes())
    data[at : at + 8] = b"\xff" * 8
    path.write_bytes(data)
    found = read_cases(path)
    assert 5 <= len(found.cases) <= 6
    assert archive.HEADERS


def test_a_folder_is_read_without_the_files_that_are_no_logs(tmp_path):
    (tmp_path / "a.json").write_bytes((FILES / "inspect.json").read_bytes())
    (tmp_path / "eval-set.json").write_text('{"eval_set_id": "x", "tasks": []}')
    found = read_cases(tmp_path)
    assert (found.format, len(found.cases)) == ("inspect", 4)
    assert len(found.warnings) == 1
    assert "eval-set.json" in found.warnings[0]


def test_of_a_folder_files_without_a_suffix_are_read_if_they_are_json(tmp_path):
    (tmp_path / "20261126_054405").write_bytes((FILES / "deepeval.json").read_bytes())  # as DeepEval up to 3 names them
    (tmp_path / "LICENSE").write_text("Apache License")
    (tmp_path / "more").mkdir()
    found = read_cases(tmp_path)
    assert (found.format, found.warnings) == ("deepeval", [])
    assert found.cases == [
        case._replace(place=case.place.replace("deepeval.json", "20261126_054405").replace(str(FILES), str(tmp_path)))
        for case in read_cases(FILES / "deepeval.json").cases
    ]


def test_of_a_document_that_holds_its_records_in_a_list_it_is_said_how_to_get_at_them(tmp_path):
    path = tmp_path / "report.json"
    path.write_text('{"name": "task", "cases": [{"inputs": "the quick brown", "scores": {}}], "failures": []}')
    with pytest.raises(
        CasesError, match=r"its first record has name, cases, failures\. If its cases are in cases.*jq -c"
    ):
        read_cases(path)


# Anything -------------------------------------------------------------------------------------------------------------

ODD = [
    None,
    True,
    -1,
    1e308,
    float("nan"),
    10**400,
    "",
    "x" * 3000,
    "\x1b[31m",
    "{",
    '{"a": 1}',
    '[{"role": 1}]',
    [],
    {},
]
ODD += [
    [[]],
    [None],
    {"": None},
    {"id": {}},
    [{"role": "x", "content": {"content": {"content": []}}}],
    "attachment://x",
]
MAPPINGS = [None, {"score": "x"}, {"surface": "metadata.surface", "score": "score"}, {"input": "input", "id": "vars"}]
MAPPINGS += [{"served_model": "response.raw", "input_size": "epoch", "match": "id", "provider": "metadata"}]


def places(value, above=()):
    yield above
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*above, name))


@pytest.mark.parametrize("name", sorted(file.name for file in FILES.glob("*.json*")))
def test_whatever_stands_in_a_file_it_is_cases_or_an_error(name, path):
    rng = random.Random(name)
    text = (FILES / name).read_text()
    documents = list(map(json.loads, text.splitlines() if name.endswith(".jsonl") else [text]))
    for _ in range(40):
        changed = copy.deepcopy(documents)
        for _ in range(rng.choice([1, 1, 3])):
            inner = rng.choice(changed)
            way = rng.choice([place for place in places(inner) if place])
            for step in way[:-1]:
                inner = inner[step]
            inner[way[-1]] = copy.deepcopy(rng.choice(ODD))
        path.write_text("\n".join(map(json.dumps, changed)))
        try:
            found = read_cases(path, columns=rng.choice(MAPPINGS))
        except CasesError as error:
            assert str(error).startswith(str(path))  # noqa: PT017  (that it is raised is one of two good ends)
            continue
        for case in found.cases:
            assert case.id
            assert case.score is None or abs(case.score) < float("inf")
            assert case.size is None or case.size >= 0
            for call in case.calls:
                assert call.match in MATCHES | {""}
                assert call.served or call.match in ("", "unreported")
        assert all(warning.isprintable() for warning in found.warnings)


def test_many_lines_are_read_in_seconds_and_names_are_held_once(path):
    call = CaseCall("autocomplete", 10, "openai", "gpt-5", "gpt-5-2025-08-07", "resolved")
    with path.open("w") as file:
        for number in range(20_000):
            file.write(json.dumps(as_json(Case(f"t{number}", "autocomplete", number % 999, 0.5, (call,)))) + "\n")
    started = time.process_time()
    found = read_cases(path)
    assert time.process_time() - started < 10  # 0.5 here
    assert (len(found.cases), found.warnings) == (20_000, [])
    assert len({id(case.calls[0].served) for case in found.cases}) == 1
