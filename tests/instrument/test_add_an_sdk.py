"""docs/add-an-sdk.md: its adapter and its test module, written down as they stand there, pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = (ROOT / "docs" / "add-an-sdk.md").read_text("utf-8")
# What the page's reader adds to SDKS, and a place for the reader's files beside the project's.
CONFTEST = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

import otel_llm_routing.instrument.adapters as adapters
from otel_llm_routing.instrument import instrumentor
from otel_llm_routing.instrument.adapters import Sdk

adapters.__path__.append({adapters!r})
instrumentor.SDKS = (*instrumentor.SDKS, {line})
spec = spec_from_file_location("project_conftest", {conftest!r})
project = module_from_spec(spec)
sys.modules["project_conftest"] = project
spec.loader.exec_module(project)
from project_conftest import *
"""


def test_the_adapter_and_the_tests_of_the_page_pass(tmp_path):
    pytest.importorskip("httpx", reason="the SDK of the example is over httpx, which is not installed")
    adapter, tests = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    line, supported = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert '"environments"' in supported
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "acme.py").write_text(adapter, "utf-8")
    (tmp_path / "test_acme.py").write_text(tests, "utf-8")
    settings = {"adapters": str(tmp_path / "adapters"), "line": line.strip().rstrip(",")}
    (tmp_path / "conftest.py").write_text(CONFTEST.format(conftest=str(HERE / "conftest.py"), **settings), "utf-8")
    options = [f"--rootdir={tmp_path}", "-c", os.devnull, "-o", "asyncio_mode=auto", "--import-mode=importlib"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT / "examples")])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 40, done.stdout
    assert "skipped" not in done.stdout


def test_the_page_is_not_longer_than_ten_minutes():
    assert len(PAGE.split()) < 1200
