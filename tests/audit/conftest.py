"""A source tree of its own for every test, and the command as people run it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.out)

    def found(self, **wanted):
        """Return ``line: identifier`` of the findings that have what is wanted."""
        findings = self.document["findings"]
        return [f"{f['line']}: {f['identifier']}" for f in findings if all(f[k] == v for k, v in wanted.items())]

    def one(self, identifier):
        (found,) = [f for f in self.document["findings"] if f["identifier"] == identifier]
        return found


class Tree:
    def __init__(self, path):
        self.path = path

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def audit(self, *arguments):
        result = CliRunner().invoke(app, ["audit", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def json(self, *arguments):
        return self.audit("--json", "--all", *arguments)

    def of(self, name, text, *arguments):
        self.write(name, text)
        return self.json(name, *arguments)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Tree(tmp_path)
