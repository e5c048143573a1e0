"""Which column is which: mapped by dotted paths, by constants, by a file of such pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otel_llm_routing.analyze.evals.reading import COLUMNS, CasesError, read_cases

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
FILES = Path(__file__).parent / "files"
ROW = {
    "name": "first",
    "metadata": {"feature": "autocomplete", "a.b": "dotted", "chars": "31"},
    "turns": [{"text": "Hi"}, {"text": "there"}],
    "result": {"grade": "passed"},
    "model": {"asked": "gpt-5", "answered": "gpt-5-2025-08-07", "host": "openai", "how": "resolved"},
}
MAPPING = {
    "id": "name",
    "surface": "metadata.feature",
    "input_size": "metadata.chars",
    "score": "result.grade",
    "requested_model": "model.asked",
    "served_model": "model.answered",
    "provider": "model.host",
    "match": "model.how",
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW))
    return path


def test_every_column_can_be_mapped_by_a_dotted_path(path):
    found = read_cases(path, columns=MAPPING)
    (case,) = found.cases
    assert case[:4] == ("first", "autocomplete", 31, 1.0)
    assert case.calls[0][2:] == ("openai", "gpt-5", "gpt-5-2025-08-07", "resolved")
    assert found.warnings == []


@pytest.mark.parametrize(
    ("where", "surface"),
    [
        ("metadata.a.b", "dotted"),
        ("turns.1.text", "there"),
        ("=digest", "digest"),
        ("turns.9.text", ""),
        ("turns.x", ""),
    ],
)
def test_a_path_goes_into_lists_and_names_with_dots_and_may_be_a_constant(where, surface, path):
    assert read_cases(path, columns={"id": "name", "surface": where}).cases[0].surface == surface


def test_the_length_of_a_mapped_input_is_the_size(path):
    assert read_cases(path, columns={"input": "turns"}).cases[0].size == 7
    assert read_cases(path, columns={"input": "turns", "input_size": "metadata.chars"}).cases[0].size == 31


def test_a_cell_that_is_json_is_looked_into(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('id,metadata\na,"{""feature"": ""autocomplete""}"\nb,{broken\n')
    found = read_cases(path, columns={"surface": "metadata.feature"})
    assert [case.surface for case in found.cases] == ["autocomplete", ""]


def test_metadata_may_name_the_surface_without_a_mapping(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "metadata": {"llm_routing.surface": "digest"}}')
    assert read_cases(path).cases[0].surface == "digest"


def test_the_records_of_tools_can_be_mapped_too():
    by_description = read_cases(FILES / "promptfoo.json", columns={"id": "testCase.description", "score": "success"})
    assert {(case.id, case.score) for case in by_description.cases} >= {("a completion", 1.0), ("a completion", 0.0)}
    by_task = read_cases(FILES / "inspect.json", columns={"surface": "eval.task"})
    assert {case.surface for case in by_task.cases} == {"surfaces"}
    assert {call.surface for case in by_task.cases for call in case.calls} == {"surfaces"}
    # Where the mapping leads nowhere, what the tool itself tells stays.
    served = read_cases(FILES / "promptfoo.json", columns={"served_model": "metadata.model"})
    assert {call.served for case in served.cases for call in case.calls} == {"", HAIKU, SONNET}


def test_a_mapping_that_leads_nowhere_is_said_with_the_scorers_there_are(path):
    found = read_cases(path, columns={"id": "name", "surface": "metadata.featre"})
    assert found.warnings == [f"{path}: no case has 'metadata.featre', which was named for surface"]
    scored = read_cases(FILES / "inspect.json", columns={"score": "exact"})
    assert "scorers are includes, model_graded_qa, both.brief, both.words" in scored.warnings[-1]


@pytest.mark.parametrize("columns", [{"surfaces": "x"}, {"surface": ""}, {"surface": 7}])
def test_a_mapping_of_what_no_case_has_is_an_error(columns, path):
    with pytest.raises(CasesError, match=r"is no column of a case; columns are id, surface|surface leads nowhere"):
        read_cases(path, columns=columns)


# A file of them -------------------------------------------------------------------------------------------------------


def test_a_file_says_where_columns_are_and_an_option_says_it_better(path, tmp_path):
    file = tmp_path / "columns.yaml"
    file.write_text("columns:\n  id: name\n  surface: metadata.feature\n  score: result.grade\n")
    (case,) = read_cases(path, columns={"file": str(file), "surface": "metadata.a.b"}).cases
    assert (case.id, case.surface, case.score) == ("first", "dotted", 1.0)
    (tmp_path / "columns.json").write_text(json.dumps(MAPPING))
    mapped = read_cases(path, columns={"file": str(tmp_path / "columns.json")})
    assert mapped.cases == read_cases(path, columns=MAPPING).cases
    assert set(MAPPING) | {"input"} == set(COLUMNS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("surface: [", r"columns\.yaml:1: no YAML"),
        ("- surface", "no mapping; write lines such as surface: metadata.feature"),
        ("surfaces: x", "'surfaces' is no column of a case"),
        ("surface: 7", "surface leads nowhere"),
        ("surface: !!python/object/apply:os.getcwd []", "no YAML"),
        ("", "no mapping"),
        ("[" * 1200, "no YAML"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_mapping_says_where_and_what_to_write(text, message, path, tmp_path):
    file = tmp_path / "columns.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CasesError, match=message):
        read_cases(path, columns={"file": str(file)})


def test_the_example_of_the_page_is_read_as_the_page_says(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "eval-files.md").read_text()
    blocks = {kind: page.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("csv", "yaml", "json")}
    monkeypatch.chdir(tmp_path)
    Path("results.csv").write_text(blocks["csv"])
    Path("columns.yaml").write_text(blocks["yaml"])
    Path("cases.jsonl").write_text(blocks["json"])
    short, long = read_cases(Path("results.csv"), columns={"file": "columns.yaml"}).cases
    assert short[:4] == ("short-1", "autocomplete", 15, 1.0)
    assert [call.served for call in short.calls] == ["gpt-5-2025-08-07"]
    assert long[:4] == ("long-1", "long-form-draft", 16, 0.4)
    assert [(call.served, call.match) for call in long.calls] == [("", "unreported")]
    own = read_cases(Path("cases.jsonl"))
    assert (own.format, own.cases[0].calls[0].match) == ("cases", "resolved")
    assert own.cases[0][:4] == short[:4]
