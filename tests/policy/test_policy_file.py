"""Reading the policy file: every mistake is named with its line and what to do, and nothing else ever happens."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from otel_llm_routing.policy.document import MAX_NODES, MAX_PROBLEMS, PolicyError
from otel_llm_routing.policy.loading import MAX_BYTES, json_schema, load, parse, read
from otel_llm_routing.policy.schema import Band

EXAMPLE = Path(__file__).parents[2] / "examples" / "policy" / "policy.yaml"
SCHEMA = jsonschema.Draft202012Validator(json_schema())
TOP = "version: 1\nsurfaces:\n  a:\n    uses: {router: x}\n"
"""A policy to which lines of the surface ``a`` can be added, from line 5 on."""


def refused(text):
    with pytest.raises(PolicyError) as found:
        parse(text, "p.yaml")
    return str(found.value).splitlines()


# What it says ---------------------------------------------------------------------------------------------------------


def test_the_example_says_what_it_says():
    policy = load(EXAMPLE)
    assert list(policy.surfaces) == ["autocomplete", "chart-tooltip", "long-form-draft", "nightly-digest"]
    first = policy.surface("autocomplete")
    assert (first.owner, first.severity, first.unknown_limit, first.pinned) == ("team-editor", "page", 0.05, False)
    assert [(e.glob, e.side, e.share) for e in first.edges] == [("*haiku*", "max", 0.25)]
    assert policy.surface("long-form-draft").pinned
    digest = policy.surface("nightly-digest")
    assert (digest.owner, digest.severity, digest.tolerance) == ("team-platform", "ticket", 10)


@pytest.mark.parametrize("said", ["95 %", "95%", '"95 %"', "0.95", '" 0.95 "', ".95", "95.0 %", "'095 %'"])
def test_a_share_is_a_percentage_or_a_number_quoted_or_not(said):
    surface = parse(f"{TOP}    expect:\n      c*: {said}\n").policy.surfaces["a"]
    assert surface.expect["c*"] == pytest.approx(0.95)


def test_a_share_has_an_edge_on_both_sides_as_far_away_as_is_tolerated():
    text = TOP + "    expect: {x*: 50 %, y*: 4 %, z*: {min: 10 %}}\n"
    edges = parse(text).policy.surface("a").edges
    assert [(e.glob, e.side, e.share) for e in edges] == [
        ("x*", "min", 0.4),
        ("x*", "max", 0.6),
        ("y*", "max", 0.14),
        ("z*", "min", 0.1),
    ]
    narrow = parse(text + "    tolerance: 2.5\n").policy.surface("a").edges
    assert [e.share for e in narrow] == [0.475, 0.525, 0.015, 0.065, 0.1]


def test_one_name_is_a_list_of_one():
    surface = parse(
        "version: 1\nsurfaces:\n  a:\n    uses: {router: x, pinned: [y]}\n    match: /a*\n"
    ).policy.surfaces["a"]
    assert (surface.uses.router, surface.uses.pinned, surface.match) == (("x",), ("y",), ("/a*",))


def test_json_may_write_a_character_as_two_escapes():
    said = {"version": 1, "surfaces": {"\N{ROCKET} é": {"purpose": "\N{ROCKET}", "uses": {"pinned": "x"}}}}
    text = json.dumps(said)
    assert r"\ud83d\ude80" in text
    assert parse(text).policy == parse(json.dumps(said, ensure_ascii=False)).policy
    assert parse(text).policy.surfaces["\N{ROCKET} é"].purpose == "\N{ROCKET}"
    with pytest.raises(PolicyError, match="write a sentence"):
        parse(text.replace(r'"\ud83d\ude80", "uses"', r'"\ud83d", "uses"'))


def test_what_the_surface_says_comes_before_the_defaults():
    text = "version: 1\ndefaults: {owner: d, severity: info, tolerance: 7, unknown_limit: 2 %}\nsurfaces:\n"
    policy = parse(text + "  a: {uses: {router: x}}\n  b: {uses: {router: x}, owner: b, tolerance: 3}\n").policy
    a, b = policy.resolved()
    assert (a.owner, a.severity, a.tolerance, a.unknown_limit) == ("d", "info", 7, 0.02)
    assert (b.owner, b.severity, b.tolerance) == ("b", "info", 3)


def test_aliases_and_merges_stand_for_what_they_name_and_lines_are_those_of_the_writer():
    text = "version: 1\nsurfaces:\n  a: &a\n    uses: {router: x}\n    owner: one\n  b:\n    <<: *a\n    owner: two\n"
    loaded = parse(text)
    assert loaded.policy.surfaces["b"].uses.router == ("x",)
    assert loaded.policy.surfaces["b"].owner == "two"
    assert loaded.located.line("surfaces", "b", "owner") == 8


def test_the_line_of_a_place_that_is_not_there_is_that_of_the_nearest_around_it():
    located = read(EXAMPLE).located
    lines = EXAMPLE.read_text().splitlines()
    assert (
        lines[located.line("surfaces", "autocomplete", "expect", "*haiku*", "max") - 1].strip().startswith('"*haiku*"')
    )
    assert lines[located.line("surfaces", "nightly-digest", "expect", "x") - 1].strip() == "nightly-digest:"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_are_counted_whatever_ends_them(tmp_path, newline, mark):
    file = tmp_path / "p.yaml"
    file.write_bytes((mark + TOP + "    tolerance: 99\n").replace("\n", newline).encode())
    with pytest.raises(PolicyError, match=r"p\.yaml:5: surfaces\.a\.tolerance: 99 is not"):
        load(file)


# What it refuses ------------------------------------------------------------------------------------------------------

# Lines after TOP (+), in the mapping ``surfaces`` (indented), or a whole file -> line, and what is said of it.
# @ is surfaces.a.
MISTAKES = [
    # The file as a whole
    ("", "1: empty; write one with otel-llm-routing policy init"),
    ("# nothing yet\n", "1: empty; write one"),
    ("- a\n", "1: not a policy; the file begins with version: 1"),
    ("hello\n", "1: not a policy"),
    ("---\n", "1: not a policy"),
    ("+---\nversion: 1\n", "6: a second document begins here; a policy is one, so take out the ---"),
    ("surfaces: {a: {uses: {}}}\n", "1: version: missing; write 1"),
    ("version: 2\n" + TOP[11:], "1: version: 2 is not a version of this format; write 1"),
    ("version: '1'\n" + TOP[11:], "1: version: 1 is text here; write it without quotes"),
    ("version: 1.0\n" + TOP[11:], "1: version: 1.0 is not a version of this format; write 1"),
    ("version: true\n" + TOP[11:], "1: version: true is not a version"),
    ("version: 1\n", "1: surfaces: missing; write the name of a surface"),
    ("version: 1\nsurfaces:\n", "2: surfaces: empty; write the name"),
    ("version: 1\nsurfaces: {}\n", "2: surfaces: empty; write the name"),
    ("  - a\n", "2: surfaces: a list is not a mapping; write the name"),
    ("version: 1\nx-common: {}\n" + TOP[11:], "2: x-common: unknown key; the keys here are version, def"),
    # YAML
    ("version: 1\nsurfaces:\n\ta:\n", "3: a tab; indent with spaces"),
    ("+   owner: z\n", "5: the indentation does not fit the lines above"),
    ('+    purpose: "never closed\n', "6: a quotation mark that is never closed; close it"),
    ("version: 1\nsurfaces: {a: {uses: {router: x}}\n", "3: a bracket that is never closed"),
    ("+    purpose: a: b\n", "5: a colon that does not fit here; put the text"),
    ("+    expect:\n      *haiku*: 5 %\n", r"6: a \* or & at the beginning is special in YAML; put the text"),
    ("+    purpose: *x\n", r"5: a \* at the beginning is an alias in YAML; put the text"),
    ("+    purpose: &a x\n    owner: &a y\n", "6: the same & name a second time; give one of the two another name"),
    ("+    purpose: %x\n", "5: a character that has a meaning in YAML; put the text"),
    ("+    purpose: a\0b\n", "5: a control character; take it out"),
    ("+    owner: x\n    owner: y\n", "6: @.owner: the same key a second time; take one of the two out"),
    ("+  a:\n    uses: {router: y}\n", "5: @: the same key a second time"),
    ("+  ' a ':\n    uses: {router: y}\n", "5: @: the same key a second time"),
    ("version: 1\nsurfaces: &s\n  a: *s\n", "2: @: an alias of something it is in; write the value out"),
    ("+    <<: 3\n", "5: @: <<: takes the alias of a mapping; write one"),
    ("+    ? [x]\n    : y\n", "5: @: a key that is not text; write a name"),
    ("+    purpose: !!python/object/apply:os.system [x]\n", "5: @.purpose: the tag .* is not used"),
    ("+    purpose: !!binary eHg=\n", "5: @.purpose: eHg= has a meaning of its own in YAML; put it"),
    ("+  \u00a0b: {uses: {router: x}}\n", "5: surfaces.b: a no-break space before it, .*; type ordinary spaces"),
    # Names
    ("  on:\n    uses: {router: x}\n", "3: surfaces.on: this key is not read as text; put it"),
    ("  404:\n    uses: {router: x}\n", "3: surfaces.404: this key is not read as text"),
    (f"  {'a' * 65}:\n    uses: {{router: x}}\n", "3: surfaces.a+: 65 characters are too many"),
    ("  ' ':\n    uses: {router: x}\n", "3: surfaces.'': empty; write 1 to 64 characters"),
    ('  "a\\tb":\n    uses: {router: x}\n', "3: surfaces.'a.tb': unprintable characters"),
    ("+    owner: 7\n", "5: @.owner: 7 is not read as text; put it"),
    ("+    custommer_facing: true\n", "5: @.custommer_facing: unknown key; did you mean customer_facing?"),
    # uses
    ("  a:\n    owner: x\n", "3: @.uses: missing; write what"),
    ("  a:\n", "3: @: empty; write what the surface uses"),
    ("  a:\n    uses: gpt-5\n", "4: @.uses: gpt-5 is not a mapping; write what"),
    ("  a:\n    uses: {routr: x}\n", "4: @.uses.routr: unknown key; did you mean router?"),
    ("  a:\n    uses: {pinned: 4.1}\n", "4: @.uses.pinned: 4.1 is not read as text; put it"),
    ("  a:\n    uses:\n      pinned:\n      - o3\n      - 2025-08-07\n", r"7: @.uses.pinned\[1\]: 2025-08-07 is"),
    ("  a:\n    uses: {pinned: x, alias: [x]}\n", "4: @.uses: x is listed twice; a name is of one kind, take one"),
    ("  a:\n    uses: {pinned: 2025-13-41}\n", "4: .*2025-13-41 has a meaning of its own in YAML; put it"),
    # match
    ("+    match:\n", "5: @.match: empty; write the HTTP route"),
    ("+    match: [task: send_digest]\n", r"5: @.match\[0\]: a mapping; write task:send_digest"),
    ("+    match: [[/a]]\n", r"5: @.match\[0\]: a list is not a pattern"),
    # shares
    ("+    expect: {c*: 95}\n", "5: @.expect.c.: 95 is not a share or a band; write a percentage"),
    ("+    expect: {c*: 120 %}\n", "5: @.expect.c.: 120 % is not a share or a band; write"),
    ("+    expect: {c*: 60-80 %}\n", "5: @.expect.c.: 60-80 % is not a share or a band; write"),
    ("+    expect: {c*: yes}\n", "5: @.expect.c.: true is not a share or a band; write"),
    ("+    expect: {c*: .nan}\n", "5: @.expect.c.: nan is not a share or a band; write"),
    ("+    expect:\n      c*:\n", "6: @.expect.c.: empty; write a percentage"),
    ("+    expect:\n      c*: {max: 95}\n", "6: @.expect.c..max: 95 is not a share; write a percentage"),
    ("+    expect:\n      c*: {maxi: 1}\n", "6: @.expect.c..maxi: unknown key; did you mean max?"),
    ("+    expect:\n      c*: {}\n", "6: @.expect.c.: a band needs min, max or both"),
    ("+    expect:\n      c*: {min: 80 %, max: 60 %}\n", r"6: @.expect.c.: min .80 %. is not below max .60 %.; write"),
    ("+    unknown_limit: 5\n", "5: @.unknown_limit: 5 is not a share; write"),
    # the rest
    ("+    tolerance: 3 %\n", "5: @.tolerance: 3 % is text here; write a number"),
    ("+    tolerance: 0.03\n", "5: @.tolerance: 0.03 is not a number of points; write a number"),
    ("+    tolerance: yes\n", "5: @.tolerance: true is not a number of points"),
    (f"+    tolerance: {'9' * 5000}\n", "5: @.tolerance: "),
    ("+    false_alarms_per_month: 0\n", "5: @.false_alarms_per_month: 0 is not a rate of false alarms; write"),
    ("+    customer_facing: 'yes'\n", "5: @.customer_facing: yes is text here; write true or false"),
    ("+    severity: critical\n", "5: @.severity: critical is not a severity; write page, ticket"),
    ("+    commitment: they said so\n", r"5: @.commitment: they said so is not a commitment; write a link"),
    (f"+    purpose: {'x' * 2001}\n", "5: @.purpose: 2001 characters are too many; write a sentence"),
    ("+defaults: {tolerence: 3}\n", "5: defaults.tolerence: unknown key; did you mean tolerance?"),
    ("+defaults:\n", "5: defaults: empty; write what holds for all surfaces"),
]  # fmt: skip


def whole(text):
    if text.startswith("+"):
        return TOP + text[1:]
    return f"version: 1\nsurfaces:\n{text}" if text.startswith("  ") else text


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[said[:60] for _, said in MISTAKES])
def test_a_mistake_is_named_with_its_line_and_what_to_do(text, said):
    lines = refused(whole(text))
    pattern = re.compile(rf"p\.yaml:{said.replace('@', 'surfaces.a')}")
    assert any(pattern.match(line) for line in lines), lines
    assert all(re.match(r"p\.yaml:\d+: ", line) for line in lines)


def test_all_problems_are_named_at_once_in_the_order_of_the_file():
    text = """version: 3
surfaces:
  a:
    uses: {routr: x}
    tolerance: 99
  on:
    owner: 5
    match: ["/a", task: b]
"""
    assert [line.split(": ")[:2] for line in refused(text)] == [
        ["p.yaml:1", "version"],
        ["p.yaml:4", "surfaces.a.uses.routr"],
        ["p.yaml:5", "surfaces.a.tolerance"],
        ["p.yaml:6", "surfaces.on"],
        ["p.yaml:6", "surfaces.on.uses"],
        ["p.yaml:7", "surfaces.on.owner"],
        ["p.yaml:8", "surfaces.on.match[1]"],
    ]


def test_of_very_many_problems_the_first_are_named_and_the_rest_counted():
    lines = refused("version: 1\nsurfaces:\n" + "".join(f"  s{n}: {{}}\n" for n in range(MAX_PROBLEMS + 50)))
    assert len(lines) == MAX_PROBLEMS + 1
    assert lines[-1] == "p.yaml: and 50 more; mend these first"


def test_a_problem_never_spans_lines_whatever_the_names_hold():
    lines = refused('version: 1\nsurfaces:\n  "a\\nb\\e[31m": {uses: {"x\\ny": 1}, owner: "q\\nr"}\n')
    assert len(lines) == 3
    assert all(line.isprintable() and line.startswith("p.yaml:3: ") for line in lines)


# Files that are no policies -------------------------------------------------------------------------------------------


def at(tmp_path, content):
    file = tmp_path / "p.yaml"
    file.write_bytes(content)
    with pytest.raises(PolicyError) as found:
        load(file)
    return str(found.value).replace(str(tmp_path), ".")


def test_a_file_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(PolicyError, match="no-such: no such file; write one with otel-llm-routing policy init"):
        load(tmp_path / "no-such")
    with pytest.raises(PolicyError, match=r"cannot be read .Is a directory.; name a readable file"):
        load(tmp_path)
    with pytest.raises(PolicyError, match=r"cannot be read .*name a readable file"):
        load("a\0b")


def test_bytes_that_are_no_text(tmp_path):
    assert at(tmp_path, b"version: 1\n# \xff\n") == "./p.yaml:2: not UTF-8 text; save the file as UTF-8"
    assert at(tmp_path, TOP.encode("utf-16")) == "./p.yaml:1: not UTF-8 text; save the file as UTF-8"
    assert at(tmp_path, b"version: 1\n\0") == "./p.yaml:2: a control character; take it out"


def test_a_file_of_two_mebibytes_is_refused_unread(tmp_path):
    assert at(tmp_path, b"#" * (2 * MAX_BYTES)) == "./p.yaml: larger than 1 MiB; this is not a policy file"


def test_a_small_file_that_stands_for_an_enormous_one():
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12))
    (line,) = refused(f"l0: &l0 [x]\n{levels}version: 1\n")
    assert re.fullmatch(
        rf"p\.yaml:\d+: more than {MAX_NODES:,} values with its aliases; this is not a policy file", line
    )


def test_the_same_by_merging():
    levels = "".join(f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
    assert "this is not a policy file" in refused(f"l0: &l0 {{a: b}}\n{levels}version: 1\n")[0]


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 5000, "a: " + "{b: " * 5000, "- " * 5000 + "x", "a: " + "[" * 90 + "]" * 90, "? " * 3000]
)
def test_deep_nesting(text):
    (line,) = refused(text)
    assert re.fullmatch(r"p\.yaml:1: (nested too deeply; this is not a policy file|not a policy.*)", line)


def test_arbitrary_bytes_raise_nothing_but_a_policy_error(tmp_path):
    chance = random.Random(4)
    alphabet = b"\n\n  :-[]{}&*!|>'\"%@`#?,~<=.0123456789abes\\\t\r\0\x85\xff\xe2\x80\xa8"
    file = tmp_path / "p.yaml"
    for _ in range(400):
        file.write_bytes(bytes(chance.choice(alphabet) for _ in range(chance.randrange(60))))
        with pytest.raises(PolicyError):
            load(file)


def test_a_policy_with_bytes_changed_is_read_or_refused_with_a_line(tmp_path):
    chance = random.Random(5)
    original = EXAMPLE.read_bytes()
    file = tmp_path / "p.yaml"
    read_at_all = 0
    for _ in range(150):
        content = bytearray(original)
        for _ in range(chance.randrange(1, 4)):
            content[chance.randrange(len(content))] = chance.choice(b"\n :-[{&*!'\"%\t\0\xffx5")
        file.write_bytes(content)
        try:
            load(file)
            read_at_all += 1
        except PolicyError as error:
            assert all(re.match(r".*p\.yaml:\d+: .", line) for line in str(error).splitlines())  # noqa: PT017
    assert 0 < read_at_all < 150


WILD = [
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    float("inf"),
    10**400,
    "",
    " ",
    "x",
    "95 %",
    "\ud800",
    "\0",
    [],
    [[]],
    {},
    {"a": {}},
]


def test_any_value_at_any_place_is_read_or_refused(tmp_path):
    chance = random.Random(6)
    fields = [
        "owner",
        "match",
        "uses",
        "expect",
        "tolerance",
        "unknown_limit",
        "commitment",
        "customer_facing",
        "pin_when",
    ]

    def anything(depth):
        if depth == 0 or chance.random() < 0.3:
            return chance.choice(WILD)
        if chance.random() < 0.3:
            return [anything(depth - 1) for _ in range(3)]
        return {chance.choice([*fields, "min", "max", "router", "", "on", "7"]): anything(depth - 1) for _ in range(3)}

    for _ in range(300):
        document = {"version": 1, "surfaces": {"a": {"uses": {"router": "x"}, chance.choice(fields): anything(3)}}}
        try:
            parse(yaml.safe_dump(document, allow_unicode=True).replace("\ud800", "\\ud800"), "p.yaml")
        except PolicyError as error:
            assert all(re.match(r"p\.yaml:\d+: .", line) for line in str(error).splitlines())  # noqa: PT017


# What editors are told ------------------------------------------------------------------------------------------------

YAML_ONLY = re.compile(
    r"same key a second time|alias of something|key that is not text|<<: takes|the tag|has a meaning of its own|"
    r"this key is not read|listed twice|is not below max|a band needs|\bnan\b|1\.0 is|no-break"
)
"""What a schema cannot say: of the text before it is data, and of two values at once."""


def plain(text):
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return None
    return value


def test_the_schema_accepts_the_example():
    assert list(SCHEMA.iter_errors(plain(EXAMPLE.read_text()))) == []


DATA_MISTAKES = [
    text
    for text, _ in ((whole(text), said) for text, said in MISTAKES)
    if plain(text) is not None and not any(map(YAML_ONLY.search, refused(text)))
]


def test_most_mistakes_are_in_the_data():
    assert len(DATA_MISTAKES) > 40


@pytest.mark.parametrize("text", DATA_MISTAKES, ids=[text[-50:] for text in DATA_MISTAKES])
def test_the_schema_refuses_what_the_reader_refuses(text):
    assert not SCHEMA.is_valid(plain(text))


ACCEPTED = [
    "    expect: {c*: 95 %}\n",
    "    expect: {c*: .95, d*: '1', e*: 0, f*: '0.5', g*: 100.0 %}\n",
    "    expect: {c*: {min: 5 %}, d*: {max: null, min: '0.1'}}\n",
    "    commitment: none\n",
    "    commitment: https://example.org/promise\n",
    "    commitment:\n",
    "    owner: ' padded '\n",
    "    purpose: |\n      two\n      lines\n",
    "    owner: |\n      team\n",
    "    match: []\n",
    "    match: /a\n    tolerance: 0.5\n    false_alarms_per_month: 10\n",
    "    customer_facing: false\n    severity: info\n",
    "    pin_when:\n    unpin_when: x\n    unknown_limit: 1\n",
    "defaults: {owner: x, severity: page, tolerance: 50, unknown_limit: 0}\n",
]


@pytest.mark.parametrize("more", ACCEPTED)
def test_the_schema_accepts_what_the_reader_accepts(more):
    parse(TOP + more)
    assert list(SCHEMA.iter_errors(plain(TOP + more))) == []


def test_every_key_has_a_description_for_the_editor():
    document = json_schema()
    jsonschema.Draft202012Validator.check_schema(document)
    for name in ("Surface", "Uses", "Defaults", "Band"):
        for key, value in document["$defs"][name]["properties"].items():
            assert value.get("description"), f"{name}.{key}"


def test_a_band_is_kept_apart_from_a_share():
    surface = parse(TOP + "    expect: {c*: {max: 5 %}}\n").policy.surfaces["a"]
    assert surface.expect["c*"] == Band(max=0.05)
