"""Surface rules from the policy file: the ones its full reader sees, and no file that the application would notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from opentelemetry import context
from opentelemetry.trace import SpanKind, use_span
from sdk_drivers import OpenAIChat

from otel_llm_routing import LLMRoutingInstrumentor
from otel_llm_routing.instrument import environment, guard
from otel_llm_routing.instrument.surface import SurfaceResolver
from otel_llm_routing.policy import loading
from otel_llm_routing.policy.document import PolicyError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "policy" / "policy.yaml"

POLICY = """\
version: 1
surfaces:
  autocomplete:
    match: [/api/complete/*, "task:complete.*"]
    uses: {router: openrouter/auto}
  everything-else:
    match: /api/*
    uses: {router: openrouter/auto}
  named-in-code:
    uses: {router: openrouter/auto}
"""


@pytest.fixture(autouse=True)
def _nothing_was_said_before(monkeypatch):
    monkeypatch.setattr(guard, "_seen", set())


@pytest.fixture
def written(tmp_path):
    """Write a policy and return what names it in the environment."""

    def write(text):
        path = tmp_path / "policy.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {environment.POLICY: str(path)}

    return write


def read(environ):
    return environment.read(environ).surface_rules


def said(caplog):
    """What was logged, which is then forgotten."""
    lines = [r.getMessage() for r in caplog.records if r.name == "otel_llm_routing"]
    caplog.clear()
    return lines


def by_the_full_reader(text):
    """The same rules by way of the schema, and of the parser of the environment."""
    policy = loading.parse(text).policy
    return tuple(
        rule
        for name, surface in policy.surfaces.items()
        for pattern in surface.match
        for rule in environment.parse_rules(f"{name}={pattern}")
    )


def test_json_may_write_a_character_as_two_escapes(written):
    text = json.dumps({"version": 1, "surfaces": {"\N{ROCKET} go": {"match": "/\N{ROCKET}", "uses": {"router": "x"}}}})
    assert r"\ud83d\ude80" in text
    assert read(written(text)) == by_the_full_reader(text) == (("\N{ROCKET} go", "route", "/\N{ROCKET}"),)


# In the application ---------------------------------------------------------------------------------------------------


@pytest.fixture
def call(telemetry, provider, monkeypatch, written):
    """Call a model, with the policy in force."""
    LLMRoutingInstrumentor().uninstrument()
    for name, value in written(POLICY).items():
        monkeypatch.setenv(name, value)
    telemetry.instrument()
    driver = OpenAIChat(provider.url)
    return lambda: driver.client.chat.completions.create(**driver.arguments()).model


def test_a_fastapi_route(telemetry, call):
    pytest.importorskip("fastapi")
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.get("/api/complete/{user}")(lambda user: call())
    instrumentation.FastAPIInstrumentor.instrument_app(app, tracer_provider=telemetry.tracer_provider)
    assert TestClient(app).get("/api/complete/17").status_code == 200
    assert telemetry.surface() == ("autocomplete", "rule")


def test_a_flask_route(telemetry, call):
    pytest.importorskip("flask")
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.flask")
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/api/drafts/<user>", "drafts", lambda user: call())
    instrumentation.FlaskInstrumentor().instrument_app(app, tracer_provider=telemetry.tracer_provider)
    assert app.test_client().get("/api/drafts/17").status_code == 200
    assert telemetry.surface() == ("everything-else", "rule")


def test_a_route_that_no_rule_knows(telemetry, call):
    tracer = telemetry.tracer_provider.get_tracer("framework")
    root = tracer.start_span("GET /other", kind=SpanKind.SERVER, attributes={"http.route": "/other"})
    with use_span(root, end_on_exit=True):
        call()
    assert telemetry.surface() == ("/other", "route")


def test_a_broken_file_leaves_the_application_and_its_telemetry_alone(
    telemetry, provider, monkeypatch, written, caplog
):
    LLMRoutingInstrumentor().uninstrument()
    monkeypatch.setenv(environment.POLICY, written("surfaces: [")[environment.POLICY])
    telemetry.instrument()
    driver = OpenAIChat(provider.url)
    driver.client.chat.completions.create(**driver.arguments())
    assert telemetry.one()["llm_routing.surface"] == "unknown"
    assert len(said(caplog)) == 1


# Which rules ----------------------------------------------------------------------------------------------------------


def test_the_example_gives_the_surfaces_that_the_full_reader_sees():
    rules = read({environment.POLICY: str(EXAMPLE)})
    assert rules == by_the_full_reader(EXAMPLE.read_text("utf-8"))
    assert rules == (
        ("autocomplete", "route", "/api/complete*"),
        ("chart-tooltip", "route", "/api/charts/*/tooltip"),
        ("chart-tooltip", "name", "GET tooltip"),
        ("long-form-draft", "route", "/api/drafts*"),
        ("nightly-digest", "task", "digest.send"),
    )


@pytest.mark.parametrize(
    "match",
    [
        "/api/x",
        "[/a, /b]",
        "[]",
        '" /padded "',
        '["task:a.b", "message:q-*", "rpc:S/M", "faas:f", "name:GET *", "route:/x"]',
        '"http://host/x"',
        '"TASK:not-a-kind"',
        '"task: spaced"',
        '"5"',
        "!!str 5",
        "'/[ab]/?'",
        "|\n      /block",
        "/übung/*",
    ],
)
def test_a_pattern_means_what_it_means_to_the_full_reader(written, match):
    text = f"version: 1\nsurfaces:\n  a:\n    match: {match}\n    uses: {{router: x}}\n"
    assert read(written(text)) == by_the_full_reader(text)


@pytest.mark.parametrize(
    "text",
    [
        # Anchors and merges, whose keys come first and are overridden by the surface's own.
        "version: 1\nsurfaces:\n  a: &a {match: &m [/a, /b], uses: {router: x}}\n  b: {<<: *a, match: /c}\n  c: *a\n",
        "version: 1\nsurfaces:\n  a: {match: &m [/a, /b], uses: {router: x}}\n  b: {uses: {router: x}, match: *m}\n",
        "version: 1\nsurfaces:\n  a: &a {match: /a, uses: {router: x}}\n  b: {<<: [*a], customer_facing: false}\n",
        "%YAML 1.1\n---\nversion: 1\nsurfaces: {' padded ': {match: /x, uses: {router: x}}}\n...\n",
        "\ufeffversion: 1\nsurfaces: {a: {match: /x, uses: {router: x}}}\n",
        '{"version": 1, "surfaces": {"a": {"match": ["/x"], "uses": {"router": "x"}}}}',
    ],
)
def test_a_file_is_yaml_to_both_readers(written, text):
    assert read(written(text)) == by_the_full_reader(text.removeprefix("\ufeff")) != ()


def test_rules_of_the_environment_come_first(written):
    rules = read({**written(POLICY), environment.SURFACES: "mine=/api/complete/*"})
    assert rules[0] == ("mine", "route", "/api/complete/*")
    assert [name for name, *_ in rules[1:]] == ["autocomplete", "autocomplete", "everything-else"]
    resolver = SurfaceResolver(environment.Settings(surface_rules=rules))
    assert resolver.resolve(context.get_current(), None, {"http.route": "/api/complete/x"}) == ("mine", "rule")


def test_the_first_pattern_of_the_file_that_matches_wins(written):
    resolver = SurfaceResolver(environment.Settings(surface_rules=read(written(POLICY))))
    for root, surface in (
        ({"http.route": "/api/complete/x"}, "autocomplete"),
        ({"http.route": "/api/other"}, "everything-else"),
        ({"celery.task_name": "complete.all"}, "autocomplete"),
    ):
        assert resolver.resolve(context.get_current(), None, root) == (surface, "rule")


# Files that cannot be used --------------------------------------------------------------------------------------------

HEAD = "version: 1\nsurfaces:\n  a: {match: /x, uses: {router: x}}\n"
LAUGHS = "l0: &l0 [x, x]\n" + "".join(f"l{i}: &l{i} [*l{i - 1}, *l{i - 1}]\n" for i in range(1, 40))
MERGES = "m0: &m0 {match: /y}\n" + "".join(f"m{i}: &m{i} {{<<: [{f'*m{i - 1}, ' * 9}]}}\n" for i in range(1, 15))
MANY = 2**20 - 100
UNUSABLE = {
    "empty": ("", "empty"),
    "comments only": ("# nothing\n", "empty"),
    "not a mapping": ("- a\n", "the file is not a mapping"),
    "no version": ("surfaces: {a: {match: /x}}\n", "no policy of version 1"),
    "a later version": (HEAD.replace("1", "2", 1), "no policy of version 1"),
    "a version in quotes": (HEAD.replace("1", '"1"', 1), "no policy of version 1"),
    "no surfaces": ("version: 1\n", "surfaces is not a mapping"),
    "not yaml": ("version: 1\nsurfaces: {a: [}\n", "line 2: not YAML"),
    "a surface that is text": ("version: 1\nsurfaces: {a: b}\n", "surfaces.a is not a mapping"),
    "a match that is a number": ("version: 1\nsurfaces: {a: {match: 5}}\n", "surfaces.a.match is not text"),
    "a match that is nothing": ("version: 1\nsurfaces: {a: {match: }}\n", "surfaces.a.match is not text"),
    "a match that is a mapping": ("version: 1\nsurfaces: {a: {match: {task: x}}}\n", "surfaces.a.match is not text"),
    "an empty pattern": ("version: 1\nsurfaces: {a: {match: ['']}}\n", "a pattern is 1 to 2,000 characters"),
    "a long pattern": (f"version: 1\nsurfaces: {{a: {{match: {'x' * 2001}}}}}\n", "a pattern is 1 to 2,000"),
    "a long name": (f"version: 1\nsurfaces: {{{'n' * 65}: {{match: /x}}}}\n", "is not the name of a surface"),
    "an unprintable name": ('version: 1\nsurfaces: {"a\\u202e": {match: /x}}\n', "is not the name of a surface"),
    "a name that is a truth": ("version: 1\nsurfaces: {on: {match: /x}}\n", "a key of surfaces is not text"),
    "a surface twice": (HEAD + "  a: {match: /y}\n", "the key 'a' a second time"),
    "two documents": (HEAD + "---\n" + HEAD, "more than one document"),
    "an alias of nothing": ("version: 1\nsurfaces: *s\n", "an alias of nothing"),
    "a mapping that takes in itself": ("version: 1\nsurfaces: &s {<<: *s}\n", "something it is in"),
    "a list that holds itself": ("version: 1\nsurfaces: {a: {match: &m [*m]}}\n", "something it is in"),
    "laughs": (LAUGHS + HEAD, "more than 100,000 values"),
    "merges": (MERGES + "version: 1\nsurfaces: {a: *m14}\n", "more than 100,000 values"),
    "values": (f"version: 1\nsurfaces: [{'a,' * (MANY // 2)}]\n", "more than 100,000 values"),
    "anchors": ("".join(f"- &a{i} x\n" for i in range(70_000)), "the file is not a mapping"),
    "nested lists": ("[" * MANY, "nested too deeply|maximum nesting depth"),
    "nested blocks": ("- " * (MANY // 2), "nested too deeply"),
    "nested mappings": ("{a: " * (MANY // 4), "nested too deeply"),
    "patterns": (f"version: 1\nsurfaces: {{a: {{match: [{'/x,' * 2001}]}}}}\n", "more than 2,000 patterns"),
    "stars": (f"version: 1\nsurfaces: {{a: {{match: [{('/' + '*a' * 900 + ',') * 200}]}}}}\n", "200,000 characters"),
    "one long text": ("version: 1\nsurfaces: " + "x" * MANY, "surfaces is not a mapping"),
    "blanks": (" " * MANY, "empty"),
    "an object": ("version: 1\nsurfaces: !!python/object/apply:os.abort []\n", "surfaces is not a mapping"),
    "control characters": ("version: 1\x00\n", "not YAML"),
    "another encoding": (HEAD.encode("utf-16"), "not UTF-8"),
    "binary": (bytes(range(256)) * 100, "not UTF-8"),
    "larger than a policy": (HEAD + "#" * 2**20, "larger than 1 MiB"),
}


# Python's own scanner of YAML takes a second for a megabyte; our limits are the same with it.
SLOW = {name for name, (text, _) in UNUSABLE.items() if len(text) > 500_000 and not name.startswith("nested")}


@pytest.mark.parametrize(
    ("name", "libyaml"),
    [*((name, True) for name in UNUSABLE), *((name, False) for name in sorted(UNUSABLE.keys() - SLOW))],
)
def test_a_file_that_cannot_be_used_is_said_once_and_left_out(written, caplog, monkeypatch, name, libyaml):
    text, why = UNUSABLE[name]
    if not libyaml:
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    environ = {**written(text), environment.SURFACES: "mine=/mine"}
    begun = time.perf_counter()
    assert read(environ) == (("mine", "route", "/mine"),)
    assert time.perf_counter() - begun < 5
    assert read(environ) == (("mine", "route", "/mine"),)
    [line] = said(caplog)
    assert line.startswith(f"{environment.POLICY}: ")
    assert any(reason in line for reason in why.split("|")), line
    assert line.isprintable()
    assert len(line) < 600


@pytest.mark.parametrize("name", sorted(UNUSABLE.keys() - SLOW - {"stars", "patterns"}))
def test_the_full_reader_takes_none_of_them_either(written, name):
    with pytest.raises(PolicyError):
        loading.load(written(UNUSABLE[name][0])[environment.POLICY])


def test_a_path_where_no_file_is(tmp_path, caplog):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, why in (
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "not a regular file"),
        (pipe, "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("a\0b", "cannot be read"),
    ):
        assert read({environment.POLICY: str(path)}) == ()
        [line] = said(caplog)
        assert why in line


def test_a_link_is_followed_as_kubernetes_mounts_have_it(tmp_path):
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "policy.yaml").write_text(POLICY)
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    assert len(read({environment.POLICY: str(tmp_path / "policy.yaml")})) == 3


def test_without_pyyaml_it_says_what_to_install(written, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert read(written(POLICY)) == ()
    [line] = said(caplog)
    assert "pip install 'otel-llm-routing[policy]'" in line


def test_whatever_else_goes_wrong_is_swallowed(written, caplog, monkeypatch):
    monkeypatch.setattr(yaml, "CSafeLoader", None, raising=False)  # not the PyYAML that we know
    assert read(written(POLICY)) == ()
    [line] = said(caplog)
    assert "could not read the policy file" in line


# What it costs --------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from otel_llm_routing import LLMRoutingInstrumentor
LLMRoutingInstrumentor().instrument()
print(*(name in sys.modules for name in ("yaml", "pydantic", "otel_llm_routing.instrument.policy_file")))
"""


@pytest.mark.parametrize(("environ", "imported"), [({}, "False False False"), (None, "True False True")])
def test_yaml_is_imported_only_where_a_file_is_named(written, environ, imported):
    environ = written(POLICY) if environ is None else environ
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environ}, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == (imported, "")


def test_a_large_policy_is_read_in_no_time(written):
    surface = "  s{}: {{match: [/api/s{}/*, 'task:s{}'], uses: {{router: x}}, expect: {{'*a*': '95 %'}}}}\n"
    text = "version: 1\nsurfaces:\n" + "".join(surface.format(i, i, i) for i in range(1000))
    environ = written(text)
    begun = time.perf_counter()
    resolver = SurfaceResolver(environment.read(environ))
    assert time.perf_counter() - begun < 2
    assert resolver.resolve(context.get_current(), None, {"celery.task_name": "s999"}) == ("s999", "rule")
