"""``otel-llm-routing policy``: the check as people and scripts see it, a first policy from traffic, the docs."""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from otel_llm_routing.analyze.sources.sqlite import BUCKET
from otel_llm_routing.cli.app import app
from otel_llm_routing.policy.draft import MAX_IDENTIFIERS, SeenName, SeenSurface, draft, quoted
from otel_llm_routing.policy.loading import json_schema, parse
from otel_llm_routing.policy.schema import Band, Defaults, Policy, Surface, Uses, Waiver
from otel_llm_routing.serve.receiver import Point
from otel_llm_routing.serve.store import Store

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "policy"
DOCS = (ROOT / "docs" / "policy.md").read_text("utf-8")
WARNED = "version: 1\nsurfaces:\n  a:\n    uses: {router: x}\n"
REFUSED = "version: 1\nsurfaces:\n  a:\n    uses: {routr: x}\n    tolerance: 99\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


# check ----------------------------------------------------------------------------------------------------------------


def test_a_good_policy_is_compared_with_the_reference_beside_it_and_that_is_said():
    result = run("check", EXAMPLES / "policy.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    beside = f"compared with {EXAMPLES / 'reference.yaml'}, which is beside it"
    assert result.stdout == f"{EXAMPLES / 'policy.yaml'}: 4 surfaces, 0 warnings; {beside}\n"


def test_policy_yaml_is_what_is_checked_when_nothing_is_named(here):
    assert "policy.yaml: error: no such file; write one with otel-llm-routing policy init" in run("check").stderr
    shutil.copy(EXAMPLES / "policy.yaml", here)
    result = run("check")
    assert result.exit_code == 0
    assert result.stdout == "policy.yaml: 4 surfaces, 0 warnings; no reference, so nothing is said of shares\n"


def test_a_named_reference_is_the_one_compared_with(here):
    shutil.copy(EXAMPLES / "policy.yaml", here)
    (here / "reference.yaml").write_text("this one is broken")
    result = run("check", "--reference", EXAMPLES / "reference.yaml")
    assert result.exit_code == 0
    assert result.stdout.endswith(f"; compared with {EXAMPLES / 'reference.yaml'}\n")


def test_warnings_are_printed_and_are_no_failure_unless_strict(here):
    (here / "policy.yaml").write_text(WARNED)
    result = run("check")
    assert result.exit_code == 0
    first, last = result.stdout.splitlines()
    assert first.startswith("policy.yaml:3: warning: surfaces.a: customers see it, and x is not pinned")
    assert last == "policy.yaml: 1 surface, 1 warning; no reference, so nothing is said of shares"
    strict = run("check", "--strict")
    assert (strict.exit_code, strict.stdout) == (1, result.stdout)


def test_all_errors_of_a_policy_are_printed_with_their_lines(here):
    (here / "policy.yaml").write_text(REFUSED)
    result = run("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "otel-llm-routing: 2 errors, so the policy cannot be used",
        "policy.yaml:4: error: surfaces.a.uses.routr: unknown key; did you mean router?",
        "policy.yaml:5: error: surfaces.a.tolerance: 99 is not a number of points; write a number from 0.5 to 50",
    ]
    assert run("check", "--strict").exit_code == 2


def test_a_limit_within_noise_is_an_error(here):
    text = (EXAMPLES / "policy.yaml").read_text().replace('max: "25 %"', 'max: "15 %"')
    (here / "policy.yaml").write_text(text)
    assert run("check").exit_code == 0
    result = run("check", "--reference", EXAMPLES / "reference.yaml")
    assert result.exit_code == 2
    line = text[: text.index("*haiku*")].count("\n") + 1
    assert f"policy.yaml:{line}: error: surfaces.autocomplete.expect.*haiku*.max: " in result.stderr
    assert "write 17.6 % or more" in result.stderr


def test_a_reference_that_cannot_be_read_is_an_error_and_the_policy_is_checked_all_the_same(here):
    (here / "policy.yaml").write_text(REFUSED)
    (here / "reference.yaml").write_text("[]")
    for arguments in ((), ("--reference", "reference.yaml")):
        result = run("check", *arguments)
        assert result.exit_code == 2
        assert "\nreference.yaml:" in result.stderr
        assert "policy.yaml:5: error: surfaces.a.tolerance" in result.stderr
    (here / "policy.yaml").write_text(WARNED)
    (here / "reference.yaml").write_text("version: 1\nsurfaces: {}\n")
    assert "policy" not in run("check").stderr  # only the reference cannot be used
    result = run("check", "--reference", "no-such.yaml")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "no-such.yaml: no such file" in result.stderr


@pytest.mark.parametrize("file", [".", "..", "/"])
def test_a_folder_is_no_policy(here, file):
    result = run("check", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot be read (Is a directory)" in result.stderr


def test_of_very_many_errors_the_first_are_printed(here):
    (here / "policy.yaml").write_text("version: 1\nsurfaces:\n" + "".join(f"  s{n}: {{}}\n" for n in range(150)))
    lines = run("check").stderr.splitlines()
    assert len(lines) == 102
    assert lines[-1] == "and 50 more; mend these first"
    assert len(json.loads(run("check", "--json").stdout)["problems"]) == 150


@pytest.mark.parametrize(
    ("text", "code", "problems"),
    [
        (WARNED, 0, [(3, "surfaces.a", "warning")]),
        (REFUSED, 2, [(4, "surfaces.a.uses.routr", "error"), (5, "surfaces.a.tolerance", "error")]),
        ("", 2, [(1, "", "error")]),
        ("version: 1\nsurfaces: {a: {uses: {pinned: x}}}\n", 0, []),
    ],
)
def test_json_says_the_same_in_a_document_for_scripts(here, text, code, problems):
    (here / "policy.yaml").write_text(text)
    result = run("check", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == code
    assert list(document) == ["schema", "file", "reference", "problems"]
    assert document["schema"] == "otel-llm-routing/policy-check/v1"
    assert (document["file"], document["reference"]) == ("policy.yaml", None)
    assert [(p["line"], p["place"], p["level"]) for p in document["problems"]] == problems
    assert all(p["text"] for p in document["problems"])


def test_json_is_a_document_whatever_is_wrong(here):
    result = run("check", "no-such.yaml", "--reference", "neither.yaml", "--json")
    assert (result.exit_code, result.stderr) == (2, "")
    problems = json.loads(result.stdout)["problems"]
    assert [(p["line"], p["level"]) for p in problems] == [(None, "error"), (None, "error")]
    assert "neither.yaml: no such file" in problems[0]["text"]


def test_names_are_printed_as_they_are_and_never_as_markup(here):
    (here / "policy.yaml").write_text('version: 1\nsurfaces:\n  "[red]x[/red]": {uses: {router: "[bold]y"}}\n')
    assert "surfaces.[red]x[/red]: customers see it, and [bold]y is not pinned" in run("check").stdout


# init -----------------------------------------------------------------------------------------------------------------


class Traffic:
    """A database as ``serve`` writes it."""

    def __init__(self, path):
        self.path = path
        self.points = []

    def add(self, requests, surface, requested, served="big-1", kind="router", days_ago=0.0, **more):
        columns = {"match": "resolved" if served else "unreported", "source": "body", "cached": "", "error": "", **more}
        at = int(time.time() - days_ago * 86_400)
        key = (surface, "openai", "chat", requested, served, kind, *columns.values(), "shop")
        number = len(self.points).to_bytes(4, "big")
        bucket = at // BUCKET * BUCKET
        self.points.append(
            Point(number, at * 10**9, True, bucket, "llm_routing.requests", key, (float(requests),), None)
        )

    def source(self):
        store = Store(str(self.path))
        store.write(self.points)
        store.close()
        return f"sqlite:{self.path}"


@pytest.fixture
def traffic(here):
    return Traffic(here / "t.db")


def test_the_draft_has_the_surfaces_by_traffic_and_their_names_by_kind(here, traffic):
    traffic.add(30, "digest", "auto")
    traffic.add(60, "autocomplete", "openrouter/auto", "big-1")
    traffic.add(30, "autocomplete", "openrouter/auto", "small-1")
    traffic.add(8, "autocomplete", "gpt-5", kind="alias")
    traffic.add(2, "autocomplete", "gpt-5-2025-08-07", kind="pinned", match="exact")
    traffic.add(1, "old", "auto", days_ago=20)
    result = run("init", "--source", traffic.source(), "--days", 14)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "policy.yaml: 2 surfaces; fill in what is commented out" in result.stdout
    text = (here / "policy.yaml").read_text()
    policy = parse(text).policy
    assert list(policy.surfaces) == ["autocomplete", "digest"]
    uses = policy.surfaces["autocomplete"].uses
    assert (uses.pinned, uses.alias, uses.router) == (("gpt-5-2025-08-07",), ("gpt-5",), ("openrouter/auto",))
    assert "  autocomplete:  # 100 requests, 77 %\n" in text
    assert "        - openrouter/auto  # 90 %\n" in text
    assert "    #   small-1: 30 %\n" in text
    assert "14 days of calls up to 20" in text
    assert "t.db" not in text


def test_the_draft_passes_the_check_which_says_what_is_to_be_filled_in(traffic):
    traffic.add(60, "autocomplete", "openrouter/auto")
    traffic.add(60, "drafts", "claude-sonnet-4-5-20250929", kind="pinned", match="exact")
    assert run("init", "--source", traffic.source()).exit_code == 0
    result = run("check")
    assert result.exit_code == 0
    assert [line.split(": ")[2] for line in result.stdout.splitlines()[:-1]] == ["surfaces.autocomplete"]


def test_what_is_commented_out_can_be_filled_in_by_taking_the_marks_away(here, traffic):
    traffic.add(60, "/api/complete", "openrouter/auto")
    run("init", "--source", traffic.source())
    file = here / "policy.yaml"
    keys = "owner|purpose|match|expect|commitment|pin_when|unpin_when"
    file.write_text(re.sub(rf"(?m)^( +)# ({keys}): ", r"\1\2: ", file.read_text()))
    surface = parse(file.read_text()).policy.surfaces["/api/complete"]
    assert surface.match == ("/api/complete",)
    assert surface.expect == {"*haiku*": Band(max=0.25)}
    assert (surface.owner, surface.commitment) == ("team-platform", "none")
    result = run("check", "--strict")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_file_that_exists_is_left_alone(here, traffic):
    traffic.add(1, "a", "auto")
    source = traffic.source()
    (here / "policy.yaml").write_text("mine")
    (here / "dangling.yaml").symlink_to("nowhere")
    for name in ("policy.yaml", "dangling.yaml"):
        result = run("init", "--source", source, "-o", name)
        assert result.exit_code == 2
        assert f"{name}: exists, and is not overwritten; name another file with -o" in result.stderr
    assert (here / "policy.yaml").read_text() == "mine"
    assert not (here / "nowhere").exists()
    assert run("init", "--source", source, "-o", "new/p.yaml").exit_code == 0
    assert parse((here / "new" / "p.yaml").read_text()).policy.surfaces["a"].uses.router == ("auto",)


def test_a_source_without_calls_or_without_names_makes_no_file(here, traffic):
    traffic.add(3, "unknown", "auto", days_ago=5)
    source = traffic.source()
    assert run("init", "--source", "nonsense").exit_code == 2
    early = run("init", "--source", source, "--days", 2)
    assert early.exit_code == 2
    assert re.search(r"no calls in the last 2 days, and the last are of \d{4}-", early.stderr)
    unnamed = run("init", "--source", source)
    assert unnamed.exit_code == 2
    assert "no surface has a name to write down\nunknown: 3 requests, 100 %; calls without a name" in unnamed.stderr
    assert not (here / "policy.yaml").exists()


HOSTILE = [
    "on", "null", "~", "404", "1e3", "2025-08-07", "12:30:45", "0x1f", ".inf", "y", "<<", "=", "-", "--- a", "a: b",
    "a #b", "#a", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "'a'", '"a"', 'a"b\\c', "{a: b}", "[a]", "a,b", "? a",
    "a\\nb", "{{ $labels.x }}", "\u00e4\u00f6 \u6f22\u5b57 \U0001f600", "/api/{id}:predict", "owner: x", "True", "...",
]  # fmt: skip


def test_hostile_names_come_out_as_the_same_names(here, traffic):
    for number, name in enumerate(HOSTILE):
        traffic.add(1000 - number, name, name, name, kind="<script>" if number % 2 else "pinned")
    result = run("init", "--source", traffic.source())
    assert (result.exit_code, result.stderr) == (0, "")
    policy = parse((here / "policy.yaml").read_text()).policy
    assert list(policy.surfaces) == HOSTILE
    assert [surface.uses.identifiers for surface in policy.surfaces.values()] == [(name,) for name in HOSTILE]
    assert {s.uses.unknown for s in policy.surfaces.values()} == {(), *((name,) for name in HOSTILE[1::2])}
    assert run("check").exit_code == 0


def test_names_that_no_policy_can_hold_are_left_out_and_said(here, traffic):
    cannot = ["a\nb", "\x1b[31m", "x" * 65, " a", "\u2028", "unknown", "other", ""]
    for name in cannot:
        traffic.add(5, name, "auto")
        traffic.add(5, "good", name + "\n" if name in {"unknown", "other"} else name, name, days_ago=1)
    result = run("init", "--source", traffic.source())
    assert result.exit_code == 0
    assert result.stdout.count("left out: ") == len(cannot)
    text = (here / "policy.yaml").read_text()
    assert "\x1b" not in text
    assert list(parse(text).policy.surfaces) == ["good"]
    assert parse(text).policy.surfaces["good"].uses.identifiers == ("x" * 65,)
    assert "88 % asked for nothing, or for what is not listed here" in text
    assert run("check").exit_code == 0


def test_a_name_recorded_as_two_kinds_is_listed_once_as_what_it_mostly_was():
    names = (SeenName("m", "alias", 3), SeenName("m", "unknown", 5), SeenName("m", "?", 4), SeenName("n", "pinned", 1))
    text = draft([SeenSurface("a", 13, names, {})], "a day").text
    uses = parse(text).policy.surfaces["a"].uses
    assert (uses.pinned, uses.alias, uses.unknown) == (("n",), (), ("m",))
    assert "    # No response named the model that served it.\n" in text


def test_a_surface_that_never_named_a_model_uses_nothing_and_passes():
    text = draft([SeenSurface("a", 5, (SeenName("", "unknown", 5),), {"x": 5})], "a day").text
    assert parse(text).policy.surfaces["a"].uses.identifiers == ()


def test_a_source_full_of_names_still_makes_a_policy_that_can_be_read():
    names = tuple(SeenName(f"{'m' * 240}-{n}", "router", 100 - n % 90) for n in range(80))
    made = draft([SeenSurface(f"s{n:04}", 10_000 - n, names, {"x" * 300: 7}) for n in range(120)], "28 days")
    assert len(made.text.encode()) < 2**20
    assert len(made.written) + len(made.left_out) == 120
    assert "the file is large enough" in made.left_out[-1]
    policy = parse(made.text).policy
    assert tuple(policy.surfaces) == made.written == tuple(f"s{n:04}" for n in range(len(made.written)))
    assert len(policy.surfaces["s0000"].uses.router) == MAX_IDENTIFIERS


def test_any_printable_name_comes_out_as_itself():
    chance = random.Random(7)
    marks = [*" :#-'\"\\\\{}[],&*!|>%@`?~<=.0e_/+xnoy\u00e9\u6f22\U0001f600"]
    names = {"".join(chance.choice(marks) for _ in range(chance.randrange(1, 7))).strip() for _ in range(600)} - {""}
    made = draft([SeenSurface(name, 1, (SeenName(name, "router", 1),), {name: 1}) for name in names], "a day")
    assert made.left_out == ()
    surfaces = parse(made.text).policy.surfaces
    assert {name: s.uses.router for name, s in surfaces.items()} == {name: (name,) for name in names}


@pytest.mark.parametrize("name", ["gpt-5", "openrouter/auto", "/api/complete", "claude-sonnet-4-5-20250929", "GPT_4.1"])
def test_plain_names_stay_plain(name):
    assert quoted(name) == name


# schema ---------------------------------------------------------------------------------------------------------------


def test_the_schema_is_printed_for_editors():
    document = json.loads(run("schema").stdout)
    assert document == json_schema()
    jsonschema.Draft202012Validator(document).validate(yaml.safe_load((EXAMPLES / "policy.yaml").read_text()))


# The page -------------------------------------------------------------------------------------------------------------

BLOCKS = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)


def test_the_example_of_the_page_is_a_policy_about_which_there_is_nothing_to_say(here):
    (here / "policy.yaml").write_text(BLOCKS[0])
    result = run("check", "--strict")
    assert (result.exit_code, result.stderr) == (0, "")
    compared = run("check", "--reference", EXAMPLES / "reference.yaml", "--json")
    assert {p["place"] for p in json.loads(compared.stdout)["problems"]} == {"surfaces"}  # two are not in the excerpt


def test_the_line_for_editors_can_stand_in_a_policy():
    assert parse(BLOCKS[1] + WARNED).policy.surfaces


TABLES = {
    "the file": Policy,
    "`defaults`": Defaults,
    "a surface": Surface,
    "`uses`": Uses,
    "a band": Band,
    "a waiver": Waiver,
}


@pytest.mark.parametrize("name", TABLES)
def test_every_key_is_in_its_table_in_the_order_of_the_schema(name):
    (table,) = re.findall(rf"^Of {name}[^|]*?:\n\n(\|.*?)\n\n", DOCS, re.DOTALL | re.MULTILINE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
    fields = TABLES[name].model_fields
    assert [key.strip("`") for key, *_ in rows] == list(fields)
    for (key, _, default, meaning), field in zip(rows, fields.values(), strict=True):
        assert (default == "required") == field.is_required(), key
        assert meaning.endswith("."), key


def test_the_page_tells_the_defaults_that_the_schema_has():
    assert "| `owner` | name | `unowned` |" in DOCS
    assert Defaults().owner == "unowned"
    assert "| `unknown_limit` | share | 5 % |" in DOCS
    assert Defaults().unknown_limit == 0.05
    assert "| `customer_facing` | `true` or `false` | `true` |" in DOCS
    assert Surface(uses=Uses()).customer_facing is True
