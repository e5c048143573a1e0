"""A policy and a reference of thirty surfaces whose names try to be something else."""

from __future__ import annotations

import yaml

PRINTABLE = (
    'a "quoted" surface',
    "back\\slash\\",
    "it's",
    "{{ $labels.owner }}",
    "{{ end }}{{ if }}",
    "$value $labels",
    "}",
    'x"} or vector(1) #',
    "`tick` ` %q %d %!s",
    "ünïcödé 日本 🙂",
    "s" * 64,
    ".*",
    "(?i)a|b",
    "[!a-z]",
    "open [ bracket",
    "1e3",
    "0o17",
    "yes",
    "null",
    "2026-11-02",
    "# comment",
    "key: value",
    "&anchor",
    "!tag",
    "\ufffd",
    "unknown",
    "<b>bold</b>",
    "\\n",
    "a, b=~c",
    "~",
)
"""Names that a policy accepts, as surfaces, owners and models."""
GLOBS = ('*"*', "*\\*", "[!a-z]*", "[z-a]?", "m[", "[]a]*", "{{*}}", "*", "(?i)*", "[^a]*", "*\ufffd")
UNPRINTABLE = ("line\nbreak", " leading", "trailing ", "bell\x07", "cr\r\n", "nul\0", "sep\u2028x")
"""Names that only a reference can have: it holds what was counted."""


def write(folder, surfaces=PRINTABLE, unprintable=UNPRINTABLE):
    """Write policy.yaml and reference.yaml to ``folder``."""
    declared, streams = {}, []
    for number, name in enumerate(surfaces):
        kind = ("router", "alias", "pinned", "unknown")[number % 4]
        glob = GLOBS[number % len(GLOBS)]
        declared[name] = {"owner": f"team {name}"[:64].strip(), "uses": {kind: f"ask {name}"}}
        declared[name]["expect"] = {glob: {("min", "max")[number % 2]: 0.4}}
        streams.append(_stream(name, f"ask {name}", {f"m{name}": 0.5, name * (256 // len(name)): 0.45, "tiny": 0.05}))
    streams += [_stream(name, name, {name: 0.9, f"{name}{name}": 0.1}) for name in unprintable]
    streams.append(_stream("no model asked for", "", {"m": 0.7, "n": 0.3}))
    pin = {
        "id": 1,
        "at": "2026-11-02T09:00:00Z",
        "reason": "{{ hostile }}",
        "start": "2026-10-05T09:00:00Z",
        "end": "2026-11-02T09:00:00Z",
        "source": "sqlite:x",
    }
    policy = {"version": 1, "surfaces": declared}
    reference = {"version": 1, "pins": [pin], "streams": streams}
    for name, document in (("policy.yaml", policy), ("reference.yaml", reference)):
        (folder / name).write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")


def _stream(surface, requested, shares):
    return {
        "surface": surface,
        "requested": requested,
        "pin": 1,
        "requests": 50_000,
        "days": 28,
        "design_effect": 2.5,
        "concentration": 300,
        "shares": shares,
    }
