"""What each tool's file tells of its cases: surface, size, score, and which model was requested and which served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eval_shop import HAIKU, SONNET, as_json, write

from otel_llm_routing.analyze.evals.cases import Case, CaseCall
from otel_llm_routing.analyze.evals.reading import CasesError, read_cases

FILES = Path(__file__).parent / "files"


def told(found):
    """Return of each case what it tells, without the place: (id, surface, size, score)."""
    return [(case.id, case.surface, case.size, case.score) for case in found.cases]


def lines(path, *objects):
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return path


# Ours and plain rows --------------------------------------------------------------------------------------------------


def test_what_is_written_of_cases_is_read_back(tmp_path):
    calls = (
        CaseCall("autocomplete", 40, "openai", "gpt-5", "gpt-5-2025-08-07", "resolved"),
        CaseCall("autocomplete", None, "", "", "", "unreported"),
    )
    cases = [
        Case("tests/test_a.py::test_b[x]", "autocomplete", 31, 0.5, calls),
        Case("no telemetry", "digest", None, None),
    ]
    found = read_cases(write(tmp_path / "cases.jsonl", cases))
    assert (found.format, found.warnings) == ("cases", [])
    assert [case._replace(place="") for case in found.cases] == cases
    assert [case.place for case in found.cases] == [f"{tmp_path}/cases.jsonl:1", f"{tmp_path}/cases.jsonl:2"]


def test_a_call_without_a_surface_is_of_the_surface_of_its_case(tmp_path):
    case = Case("a", "autocomplete", calls=(CaseCall(requested="gpt-5"), CaseCall("digest", requested="gpt-5")))
    (read,) = read_cases(write(tmp_path / "cases.jsonl", [case])).cases
    assert [call.surface for call in read.calls] == ["autocomplete", "digest"]


HEADER = ["id", "surface", "input", "score", "requested_model", "served_model", "provider"]
ROWS = [
    ["a", "autocomplete", "the quick brown", "0.5", "gpt-5", "gpt-5-2025-08-07", "openai"],
    ["b", "digest", "two\nlines", "passed", "gpt-5", "gpt-5", "openai"],
    ["c", "digest", "x", "", "gpt-5", "", "openai"],
]
PLAIN = [
    Case("a", "autocomplete", 15, 0.5, (CaseCall("autocomplete", 15, "openai", "gpt-5", ROWS[0][5], "resolved"),)),
    Case("b", "digest", 9, 1.0, (CaseCall("digest", 9, "openai", "gpt-5", "gpt-5", "unconfirmed"),)),
    Case("c", "digest", 1, None, (CaseCall("digest", 1, "openai", "gpt-5", "", "unreported"),)),
]


def as_rows(form, path):
    if form == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(
            pyarrow.table({name: list(of) for name, of in zip(HEADER, zip(*ROWS, strict=True), strict=True)}), path
        )
    elif form == "jsonl":
        lines(path, *[dict(zip(HEADER, row, strict=True)) for row in ROWS])
    elif form == "json":
        path.write_text(json.dumps([dict(zip(HEADER, row, strict=True)) for row in ROWS], indent=2))
    else:
        quoted = [[f'"{cell}"' if "\n" in cell else cell for cell in row] for row in ROWS]
        mark = {"csv": ",", "tsv": "\t", "excel": ";"}[form]
        path.write_text("\n".join(mark.join(row) for row in [HEADER, *quoted]) + "\n")


@pytest.mark.parametrize("form", ["csv", "tsv", "excel", "jsonl", "json", "parquet"])
def test_the_same_rows_give_the_same_cases_from_every_kind_of_file(form, tmp_path):
    path = tmp_path / "cases"
    as_rows(form, path)
    found = read_cases(path)
    assert (found.format, found.warnings) == ("plain", [])
    assert [case._replace(place="") for case in found.cases] == PLAIN


def test_a_served_model_is_never_taken_from_the_requested_one(tmp_path):
    rows = [{"id": "a", "requested_model": "gpt-5-2025-08-07"}, {"id": "b", "requested_model": "gpt-5"}]
    found = read_cases(lines(tmp_path / "rows.jsonl", *rows))
    assert [(case.calls[0].served, case.calls[0].match) for case in found.cases] == [("", ""), ("", "")]


def test_a_row_that_names_no_model_has_no_calls(tmp_path):
    found = read_cases(lines(tmp_path / "rows.jsonl", {"id": "a", "surface": "x", "score": 1, "served_model": "N/A"}))
    assert found.cases[0].calls == ()


def test_the_names_of_telemetry_are_known_in_rows(tmp_path):
    row = {"llm_routing.surface": "x", "gen_ai.request.model": "gpt-5", "gen_ai.response.model": "gpt-5-2025-08-07"}
    (case,) = read_cases(lines(tmp_path / "rows.jsonl", row)).cases
    assert (case.surface, case.id) == ("x", "rows.jsonl:1")
    assert (case.calls[0].requested, case.calls[0].served) == ("gpt-5", "gpt-5-2025-08-07")


def test_messages_are_as_long_as_their_text(tmp_path):
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    rows = [{"id": "list", "input": said}, {"id": "text", "input": json.dumps(said)}, {"id": "plain", "input": "[{Hi"}]
    found = read_cases(lines(tmp_path / "rows.jsonl", *rows))
    assert [case.size for case in found.cases] == [11, 11, 4]


# Inspect --------------------------------------------------------------------------------------------------------------


def test_a_log_of_inspect_tells_who_served_each_sample():
    pytest.importorskip("zstandard")
    found = read_cases(FILES / "inspect.eval")
    assert (found.format, found.warnings) == ("inspect", [])
    assert sorted(told(found)) == [
        ("surfaces:long", "long-form-draft", 170, 1.0),
        ("surfaces:long", "long-form-draft", 170, 1.0),
        ("surfaces:short", "autocomplete", 15, 1.0),
        ("surfaces:short", "autocomplete", 15, 1.0),
        ("surfaces:wrong", "autocomplete", 7, 0.0),
        ("surfaces:wrong", "autocomplete", 7, 0.0),
    ]
    served = {(case.id, case.place[-12:-5]): case.calls for case in found.cases}
    # The two epochs of one sample were served by two models, and its grader's call is none of it.
    call = CaseCall("autocomplete", 24, "openai", "auto", SONNET, "resolved")
    assert served["surfaces:short", "epoch_1"] == (call,)
    assert served["surfaces:short", "epoch_2"] == (call._replace(served=HAIKU),)


def test_a_sample_that_failed_has_no_score_and_the_calls_that_it_made():
    found = read_cases(FILES / "inspect.json")
    assert told(found) == [
        ("surfaces:failing", "autocomplete", 1, None),
        ("surfaces:long", "long-form-draft", 170, 1.0),
        ("surfaces:short", "autocomplete", 15, 1.0),
        ("surfaces:wrong", "autocomplete", 7, 0.0),
    ]
    assert [case.calls[0].served for case in found.cases] == [HAIKU, SONNET, HAIKU, HAIKU]


def test_a_folder_of_logs_is_read_as_one(tmp_path):
    for name in ("b.json", "a.json"):
        (tmp_path / name).write_bytes((FILES / "inspect.json").read_bytes())
    (tmp_path / "notes.txt").write_text("nothing")
    found = read_cases(tmp_path)
    assert len(found.cases) == 8
    assert found.cases[0].place == f"{tmp_path}/a.json:samples[0]"


def log(model="openai/gpt-5", sample=None, **event):
    """Return an Inspect log of one sample with one call."""
    given = {"event": "model", "model": model, "input": [{"role": "user", "content": "Hi"}], **event}
    case = {"id": 1, "epoch": 1, "input": "Hi", "target": "x", "scores": {}, "events": [given], **(sample or {})}
    return {"version": 2, "status": "success", "eval": {"task": "t", "model": model}, "samples": [case]}


def called(tmp_path, document):
    (case,) = read_cases(lines(tmp_path / "log.json", document)).cases
    return [(call.provider, call.requested, call.served, call.match) for call in case.calls]


def test_a_model_that_inspect_copied_from_the_request_is_not_taken_for_served(tmp_path):
    copied = {"output": {"model": "grok-4"}}
    assert called(tmp_path, log("grok/grok-4", **copied)) == [("x_ai", "grok-4", "", "unreported")]
    assert called(tmp_path, log("mockllm/model", output={"model": "mockllm"})) == [("", "", "", "unreported")]
    # The provider's own response names no model: Inspect's field holds the requested one.
    answered = {"output": {"model": "gpt-5"}, "call": {"response": {"id": "1"}}}
    assert called(tmp_path, log(**answered)) == [("openai", "gpt-5", "", "unreported")]


def test_the_response_itself_is_better_evidence_than_what_inspect_made_of_it(tmp_path):
    for response in ({"model": HAIKU}, {"modelVersion": HAIKU}, {"trace": {"promptRouter": {"invokedModelId": HAIKU}}}):
        document = log("bedrock/router", output={"model": "router"}, call={"response": response})
        assert called(tmp_path, document) == [("aws.bedrock", "router", HAIKU, "resolved")]


def test_a_call_through_a_litellm_proxy_is_unconfirmed(tmp_path):
    document = log("litellm-proxy/fast", output={"model": "fast-1"}, call={"response": {"model": "fast-1"}})
    assert called(tmp_path, document) == [("litellm", "fast", "fast-1", "unconfirmed")]


@pytest.mark.parametrize(
    ("name", "provider", "requested"),
    [
        ("openai/gpt-5", "openai", "gpt-5"),
        ("openai/azure/gpt-5", "azure.ai.openai", "gpt-5"),
        ("anthropic/bedrock/anthropic.claude-x-v1:0", "aws.bedrock", "anthropic.claude-x-v1:0"),
        ("openrouter/openai/gpt-5", "openrouter", "openai/gpt-5"),
        ("openai-api/deepseek/deepseek-chat", "deepseek", "deepseek-chat"),
        ("google/gemini-flash-latest", "gcp.gemini", "gemini-flash-latest"),
    ],
)
def test_the_names_of_inspect_are_a_provider_and_a_model(name, provider, requested, tmp_path):
    assert called(tmp_path, log(name))[0][:2] == (provider, requested)


def test_calls_of_scorers_and_graders_are_not_calls_of_the_case(tmp_path):
    model = {"event": "model", "model": "openai/gpt-5", "output": {"model": "gpt-5-2025-08-07"}}
    begin = {"event": "step", "type": "scorer", "action": "begin"}
    events = [
        model,
        {**model, "role": "grader"},
        {"event": "span_begin", "id": "s", "type": "scorers"},
        {"event": "span_begin", "id": "t", "parent_id": "s", "type": "agent"},
        {**model, "span_id": "t"},
        begin,
        model,
        {**begin, "action": "end"},
        {**model, "role": "critic"},
    ]
    assert len(called(tmp_path, log(sample={"events": events}))) == 2


def test_a_sample_without_events_tells_of_its_last_call_by_its_output(tmp_path):
    bare = {"events": [], "output": {"model": "gpt-5-2025-08-07", "choices": [{}]}}
    assert called(tmp_path, log(sample=bare)) == [("openai", "gpt-5", "gpt-5-2025-08-07", "resolved")]


def test_the_letters_of_inspect_are_numbers_and_a_score_of_several_values_has_names(tmp_path):
    path = FILES / "inspect.json"
    by = {name: [case.score for case in read_cases(path, columns={"score": name}).cases] for name in SCORERS}
    assert by == {
        "includes": [None, 1.0, 1.0, 0.0],
        "model_graded_qa": [None, None, None, None],
        "both.brief": [None, 1.0, 1.0, 1.0],
        "both.words": [None, 0.75, 0.75, 0.75],
    }
    letters = [
        {"id": n, "epoch": 1, "input": "", "target": "", "scores": {"s": {"value": v}}} for n, v in enumerate("CPIN")
    ]
    document = {"version": 2, "eval": {"task": "t"}, "samples": letters}
    assert [case.score for case in read_cases(lines(tmp_path / "l.json", document)).cases] == [1.0, 0.5, 0.0, 0.0]


def test_a_sample_that_the_first_scorer_did_not_score_has_no_score(tmp_path):
    scores = (
        {"a": {"value": 1}, "b": {"value": 0.5}},
        {"b": {"value": 0.5}},
        {"a.x": {"value": 0.25}},
        {"new": {"value": 0.75}},
    )
    samples = [{"id": n, "epoch": 1, "input": "", "target": "", "scores": one} for n, one in enumerate(scores)]
    document = {"version": 2, "eval": {"task": "t", "scorers": [{"name": "a"}, {"name": "b"}]}, "samples": samples}
    found = read_cases(lines(tmp_path / "log.json", document))
    assert [case.score for case in found.cases] == [1.0, None, 0.25, 0.75]  # the last log was scored anew


SCORERS = ("includes", "model_graded_qa", "both.brief", "both.words")


def test_a_text_that_inspect_keeps_apart_counts_in_full(tmp_path):
    sample = {
        "input": "attachment://1",
        "attachments": {"1": "x" * 500},
        "events_data": {"messages": [{"content": "Be brief."}, {"content": "attachment://1"}, {"content": "no"}]},
        "events": [{"event": "model", "model": "openai/gpt-5", "input": [], "input_refs": [[0, 2]]}],
    }
    (case,) = read_cases(lines(tmp_path / "log.json", log(sample=sample))).cases
    assert (case.size, case.calls[0].size) == (500, 509)


# promptfoo ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["promptfoo.json", "promptfoo.jsonl"])
def test_promptfoo_tells_who_served_where_it_kept_the_response(name):
    found = read_cases(FILES / name)
    assert (found.format, found.warnings) == ("promptfoo", [])
    assert len(found.cases) == 16
    calls = {(call.provider, call.requested, call.match) for case in found.cases for call in case.calls}
    assert calls == {
        ("openai", "auto", ""),  # chat: promptfoo keeps the text alone
        ("openai", "auto", "resolved"),  # responses: it keeps the response
        ("", "", "resolved"),  # http: the response, and no word of what was asked for
        ("openai", "gone", "unreported"),  # nobody answered
    }
    assert {case.calls[0].served for case in found.cases} == {"", HAIKU, SONNET}


def test_promptfoo_s_score_is_its_weighted_one_and_a_test_with_nothing_to_check_has_none():
    found = read_cases(FILES / "promptfoo.json")
    scores = {(case.surface, case.calls[0].requested == "gone", case.score) for case in found.cases}
    assert scores == {
        ("autocomplete", False, 0.5),
        ("autocomplete", True, None),
        ("long-form-draft", False, None),
        ("long-form-draft", True, None),
    }
    long = read_cases(FILES / "promptfoo.json", columns={"score": "long"})
    assert {case.score for case in long.cases} == {0.25, None}


def test_a_test_of_promptfoo_is_one_case_per_prompt_and_its_size_is_that_of_the_prompt():
    sizes = {(case.id, case.size) for case in read_cases(FILES / "promptfoo.json").cases}
    assert sizes == {
        ("test-0:c57edb4b", 25),
        ("test-0:367408fc", 24),  # messages: their text counts, not their brackets
        ("test-1:c57edb4b", 27),
        ("test-1:367408fc", 26),
    }


def test_a_repeat_of_promptfoo_is_a_repetition_of_its_test_although_it_has_a_number_of_its_own(tmp_path):
    def row(number, test, **more):
        return {"testIdx": number, "promptIdx": 0, "promptId": "p", "prompt": {"raw": "Hi"}, "testCase": test, **more}

    short, long = {"vars": {"q": "a"}, "assert": [1]}, {"vars": {"q": "a"}, "assert": [2]}
    rows = [row(0, short, vars={"q": "a"}), row(1, short, vars={"q": "a"}), row(2, long, vars={"q": "a"})]
    unlike = [
        row(3, {}, vars={}),
        row(4, {}, vars={}),
    ]  # PROMPTFOO_STRIP_TEST_VARS: whether they are repeats is not known
    found = read_cases(lines(tmp_path / "r.jsonl", *rows, *unlike))
    assert [case.id for case in found.cases] == ["test-0:p", "test-0:p", "test-2:p", "test-3:p", "test-4:p"]


def test_a_prompt_that_promptfoo_left_out_has_no_size(tmp_path):
    row = {"testIdx": 0, "promptIdx": 0, "prompt": {"raw": "[prompt stripped]"}}
    assert read_cases(lines(tmp_path / "r.jsonl", row)).cases[0].size is None


def test_what_promptfoo_evaluate_returns_is_read_as_its_file_is(tmp_path):
    whole = json.loads((FILES / "promptfoo.json").read_text())
    same = [case[:5] for case in read_cases(FILES / "promptfoo.json").cases]
    results = whole["results"]["results"]
    for returned in (whole["results"], {"id": "eval-x", "config": {}, "results": results, "prompts": []}):
        found = read_cases(lines(tmp_path / "returned.json", returned))
        assert (found.format, [case[:5] for case in found.cases]) == ("promptfoo", same)


def result(provider, **response):
    return {"promptIdx": 0, "testIdx": 0, "provider": {"id": provider}, "prompt": {"raw": "Hi"}, "response": response}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai:gpt-5", ("openai", "gpt-5")),
        ("openai:chat:ft:gpt-5:acme::1", ("openai", "ft:gpt-5:acme::1")),
        ("bedrock:anthropic.claude-x-v1:0", ("aws.bedrock", "anthropic.claude-x-v1:0")),
        ("openrouter:openai/gpt-5", ("openrouter", "openai/gpt-5")),
        ("vertex:gemini-2.5-pro", ("gcp.vertex_ai", "gemini-2.5-pro")),
        ("file://provider.py", ("", "")),
        ("https://example.com/v1", ("", "")),
        ("exec:python chat.py", ("", "")),
        ("echo", ("", "")),
        ("openai:chat", ("openai", "")),
    ],
)
def test_the_names_of_promptfoo_are_a_provider_and_a_model(name, expected, tmp_path):
    (case,) = read_cases(lines(tmp_path / "r.jsonl", result(name, output="x"))).cases
    assert (case.calls[0].provider, case.calls[0].requested) == expected


def test_a_header_that_names_the_served_model_wins_over_the_body(tmp_path):
    def of(headers, provider="azure:responses:prod", **more):
        kept = result(provider, raw={"model": "prod"}, metadata={"http": {"headers": headers}}, output="x", **more)
        (case,) = read_cases(lines(tmp_path / "r.jsonl", kept)).cases
        return case.calls[0].served, case.calls[0].match

    assert of({"X-MS-Served-Model": "gpt-5-2025-08-07"}) == ("gpt-5-2025-08-07", "resolved")
    assert of({}) == ("prod", "unconfirmed")  # Azure Responses writes the deployment's name over the model's
    assert of({"x-litellm-version": "1"}, "openai:chat:fast") == ("prod", "unconfirmed")
    assert of({"x-litellm-model-name": "gpt-5-2025-08-07"}, "litellm:fast") == ("gpt-5-2025-08-07", "resolved")


# OpenAI ---------------------------------------------------------------------------------------------------------------


def test_a_log_of_oaieval_tells_the_model_of_each_sampling():
    found = read_cases(FILES / "oaieval.jsonl")
    assert (found.format, found.warnings) == ("openai-evals", [])
    assert told(found) == [("surf.dev.1", "", 17, 0.0), ("surf.dev.0", "", 24, 1.0)]
    call = CaseCall("", 17, "openai", "gpt-3.5-turbo", "gpt-3.5-turbo", "unconfirmed")
    assert found.cases[0].calls == (call,)
    by_eval = read_cases(FILES / "oaieval.jsonl", columns={"surface": "spec.base_eval"})
    assert {case.surface for case in by_eval.cases} == {"surf"}


def event(kind, number=0, sample="s.1", **data):
    return {"run_id": "r", "event_id": number, "sample_id": sample, "type": kind, "data": data}


def spec(*functions, cls="evals.elsuite.basic.match:Match"):
    return {"spec": {"completion_fns": [*functions], "run_config": {"eval_spec": {"cls": cls}}, "run_id": "r"}}


def test_solvers_that_log_what_they_asked_for_do_not_tell_who_served(tmp_path):
    asked = event("sampling", prompt="Hi", sampled=["x"], model="claude-3-opus-20240229")
    (case,) = read_cases(lines(tmp_path / "l.jsonl", spec("generation/direct/claude"), asked)).cases
    assert case.calls == (CaseCall(size=2, requested="claude-3-opus-20240229"),)


def test_the_call_of_a_grading_model_is_not_one_of_the_case(tmp_path):
    graded = spec("gpt-5", "gpt-5-mini", cls="evals.elsuite.modelgraded.classify:ModelBasedClassify")
    events = [
        event("sampling", 1, prompt="Hi", model="gpt-5-2025-08-07"),
        event("sampling", 2, prompt="Grade: Hi", model="gpt-5-mini-2025-08-07"),
        event("metrics", 3, choice="B", score=0.75),
    ]
    (case,) = read_cases(lines(tmp_path / "l.jsonl", graded, *events, {"final_report": {"score": 0.75}})).cases
    assert (case.score, [call.served for call in case.calls]) == (0.75, ["gpt-5-2025-08-07"])


def test_a_sample_of_oaieval_that_failed_has_no_score(tmp_path):
    events = [
        event("match", 1, correct=True),
        event("error", 2, type="X", message="y"),
        event("match", 3, "s.2", correct=True),
    ]
    found = read_cases(lines(tmp_path / "l.jsonl", spec("gpt-5"), *events))
    assert [(case.id, case.score) for case in found.cases] == [("s.1", None), ("s.2", 1.0)]


def test_the_platform_s_items_tell_the_model_of_the_sample():
    found = read_cases(FILES / "openai-platform.jsonl")
    assert (found.format, found.warnings) == ("openai-platform", [])
    assert told(found) == [
        ("item-1", "autocomplete", 24, 1.0),
        ("item-2", "long-form-draft", 26, 0.0),  # one of its two graders did not pass
        ("item-3", "autocomplete", 16, None),  # it failed
    ]
    assert found.cases[0].calls == (CaseCall("autocomplete", 24, "openai", "gpt-5", "gpt-5-2025-08-07", "resolved"),)
    brief = read_cases(FILES / "openai-platform.jsonl", columns={"score": "brief"})
    assert [case.score for case in brief.cases] == [0.9, 0.8, None]


def test_an_item_whose_run_is_not_known_that_names_an_alias_is_unconfirmed(tmp_path):
    items = [json.loads(line) for line in (FILES / "openai-platform.jsonl").read_text().splitlines()][1:]
    page = {"object": "list", "data": items, "has_more": False}
    found = read_cases(lines(tmp_path / "page.json", page))
    assert [(case.calls[0].requested, case.calls[0].match) for case in found.cases] == [
        ("", "resolved"),
        ("", "resolved"),
        ("", "unconfirmed"),
    ]


def test_the_example_of_the_platform_is_what_its_sdk_takes():
    from openai.types.evals import RunListResponse
    from openai.types.evals.runs import OutputItemListResponse

    run, *items = map(json.loads, (FILES / "openai-platform.jsonl").read_text().splitlines())
    RunListResponse.model_validate(run, strict=True)
    for item in items:
        OutputItemListResponse.model_validate(item, strict=True)


# DeepEval and Ragas ---------------------------------------------------------------------------------------------------


def test_deepeval_tells_whether_a_case_passed_and_the_model_of_its_hyperparameters():
    found = read_cases(FILES / "deepeval.json")
    assert (found.format, found.warnings) == ("deepeval", [])
    assert told(found) == [("ac-1", "autocomplete", 15, 1.0), ("test_case_1", "long-form-draft", 17, 0.0)]
    # The served model of the first is from its metadata, where the test wrote it; of the second nobody knows.
    assert found.cases[0].calls[0][3:] == ("gpt-5", HAIKU, "resolved")
    assert found.cases[1].calls[0][3:] == ("gpt-5", "", "")


def test_a_metric_of_deepeval_is_a_score_by_its_name():
    for name in ("deepeval.json", "deepeval-result.json"):
        found = read_cases(FILES / name, columns={"score": "Short"})
        assert [case.score for case in found.cases] == [1.0, 0.25]


def test_a_case_of_deepeval_whose_metric_failed_has_no_score(tmp_path):
    metrics = [{"name": "a", "score": None, "success": False, "error": "no judge"}, {"name": "b", "score": 1.0}]
    run = {"testCases": [{"name": "x", "input": "Hi", "success": False, "metricsData": metrics}]}
    path = lines(tmp_path / "run.json", {"testRunData": run})
    assert read_cases(path).cases[0].score is None
    assert read_cases(path, columns={"score": "b"}).cases[0].score == 1.0


def test_a_conversation_of_deepeval_is_as_long_as_what_was_said_before_its_last_answer(tmp_path):
    turns = [{"role": "user", "content": "12345"}, {"role": "assistant", "content": "x"}]
    run = {"testCases": [], "conversationalTestCases": [{"name": "x", "success": True, "turns": [*turns, *turns]}]}
    assert read_cases(lines(tmp_path / "run.json", run)).cases[0].size == 11


@pytest.mark.parametrize("name", ["ragas.csv", "ragas.jsonl", "ragas-columns.json"])
def test_ragas_tells_texts_and_scores_and_nothing_of_models(name):
    found = read_cases(FILES / name)
    assert (found.format, found.warnings) == ("ragas", [])
    cases = [(case.surface, case.size, case.score, case.calls) for case in found.cases]
    assert cases == [("autocomplete", 15, 1.0, ()), ("long-form-draft", 17, 0.0, ())]
    other = read_cases(FILES / name, columns={"score": "non_llm_string_similarity"})
    assert [case.score for case in other.cases] == [1.0, pytest.approx(2 / 3)]


@pytest.mark.parametrize("form", ["lines", "columns"])
def test_a_row_of_ragas_whose_first_metric_is_empty_has_no_score(form, tmp_path):
    rows = [
        {"user_input": "a", "response": "b", "note": "", "mine": "x", "faithfulness": None, "relevancy": 0.9},
        {"user_input": "a", "response": "b", "note": "y", "mine": "z", "faithfulness": 0.5, "relevancy": 0.8},
        {"user_input": "a", "response": "b", "note": "y", "mine": "z", "faithfulness": None, "relevancy": 0.7},
    ]
    columns = {name: {str(n): row[name] for n, row in enumerate(rows)} for name in rows[0]}
    found = read_cases(lines(tmp_path / "ragas.json", *(rows if form == "lines" else [columns])))
    assert [case.score for case in found.cases] == [None, 0.5, None]
    alone = read_cases(lines(tmp_path / "ragas.json", rows[0]))
    assert [case.score for case in alone.cases] == [0.9]  # there is no other column with a number


# Telling formats apart ------------------------------------------------------------------------------------------------

NAMES = {
    "deepeval.json": "deepeval",
    "inspect.json": "inspect",
    "oaieval.jsonl": "openai-evals",
    "openai-platform.jsonl": "openai-platform",
    "promptfoo.json": "promptfoo",
    "ragas.csv": "ragas",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_told_by_what_is_in_it_and_not_by_its_name(name, tmp_path):
    path = tmp_path / "results.txt"
    path.write_bytes((FILES / name).read_bytes())
    assert read_cases(path).format == NAMES[name]
    for other in set(NAMES.values()) - {NAMES[name]}:
        with pytest.raises(CasesError, match="no case in it"):
            read_cases(path, other)


def test_lines_of_two_formats_are_not_guessed_at(tmp_path):
    line = {"promptIdx": 0, "testIdx": 3, "score": 1}
    path = lines(tmp_path / "mixed.jsonl", as_json(Case("a")), line, as_json(Case("b")))
    with pytest.raises(CasesError, match="could be cases and promptfoo; say which with --format"):
        read_cases(path)
    found = read_cases(path, "cases")
    assert [case.id for case in found.cases] == ["a", "b"]
    assert found.warnings == [f"{path}:2: no line of otel-llm-routing/cases/v1, left out"]


def test_what_is_of_no_format_says_what_it_has_and_how_to_map_it(tmp_path):
    path = lines(tmp_path / "x.jsonl", {"feature": "autocomplete", "grade": 1})
    with pytest.raises(CasesError, match=r"its first record has feature, grade\..*--column"):
        read_cases(path)
    assert read_cases(path, columns={"surface": "feature", "score": "grade"}).cases[0].score == 1.0


def test_promptfoo_s_csv_says_that_json_is_wanted(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text(
        "question,surface,[openai:chat:auto] {{q}},Status,Score,Named Scores,Grader Reason\nHi,x,Hello,PASS,1,,\n"
    )
    with pytest.raises(CasesError, match=r"write JSON: promptfoo eval -o results\.json"):
        read_cases(path)


def test_older_results_of_promptfoo_are_read(tmp_path):
    """Version 2 of its results, of promptfoo 0.50 to 0.80: rows without ids, scores without a grading."""
    row = {
        "provider": {"id": "openai:gpt-5"},
        "prompt": {"raw": "Hi"},
        "vars": {"surface": "x"},
        "success": True,
        "score": 0.5,
    }
    old = {
        "results": {"version": 2, "results": [row, {**row, "score": 0, "error": "timed out"}], "stats": {}},
        "config": {},
    }
    found = read_cases(lines(tmp_path / "old.json", old))
    assert [(case.surface, case.score) for case in found.cases] == [("x", 0.5), ("x", None)]
