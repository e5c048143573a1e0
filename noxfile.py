"""The instrumentation's tests over the versions and neighbours that users have, each in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # a Python that is not here is skipped, and said to be

TOOLS = ("httpx>=0.27,<1", "pytest>=8.3", "pytest-asyncio>=0.25", "pytest-timeout>=2.3", "pytest-xdist>=3.6")
QUIET = ("-q", "-p", "no:cacheprovider", "-n", "auto", "--dist", "loadfile")
SPREAD = (*QUIET[:-1], "worksteal")
"""For few modules: their tests are shared out too, though a worker has to set up what a module's tests share."""
FEW = 5
SDKS = json.loads(Path("tests/instrument/supported.json").read_text("utf-8"))["sdks"]
TOGETHER = "one-environment"  # "together" is an SDK
ALONE = [TOGETHER, *(name for name, entry in SDKS.items() if entry.get("alone"))]
FOUND = Path(".nox/found")
PRERELEASES = {"UV_PRERELEASE": "allow"}
# The oldest of everything that pyproject.toml allows.
LOWEST = (
    "opentelemetry-api==1.30.0",
    "opentelemetry-sdk==1.30.0",
    "opentelemetry-exporter-otlp==1.30.0",
    "opentelemetry-instrumentation==0.51b0",
    "wrapt==1.14.1",
)

if shutil.which("pyenv") and "PYENV_VERSION" not in os.environ:  # else its shims hide every Python but one
    installed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False)  # noqa: S607
    chosen = subprocess.run(["pyenv", "version-name"], capture_output=True, text=True, check=False)  # noqa: S607
    versions = [*chosen.stdout.strip().split(":"), *installed.stdout.split()]
    os.environ["PYENV_VERSION"] = ":".join(dict.fromkeys(versions))


def conformance(session: nox.Session, *requirements: str, tests: str = "tests/instrument") -> None:
    """Install this project with ``requirements``, and what reads the policy file, and run its instrumentation tests."""
    session.install("-e", ".[policy]", *TOOLS, *requirements, env=PRERELEASES)
    session.run("pytest", *(SPREAD if tests.endswith(".py") else QUIET), tests, *session.posargs)


def compatible(session: nox.Session, requirements: list[str], tests: list[str], name: str) -> None:
    """Run the test modules ``tests`` with ``requirements``, and keep what was found under ``name``."""
    modules = [f"tests/instrument/{test}" for test in tests]
    session.install("-e", ".[policy]", *TOOLS, *requirements)
    found = (FOUND / f"{name}.json").resolve()
    how = SPREAD if len(modules) <= FEW else QUIET
    session.run("pytest", *how, *modules, "--compatibility", str(found), *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Lowest dependencies, with SDKs of their time."""
    conformance(session, *LOWEST, "openai==1.66.0", "httpx<0.28", "anthropic<1")


EVERY = [(name, number) for name in SDKS for number in range(len(SDKS[name]["environments"]))]


@nox.session
@nox.parametrize("name,number", EVERY, ids=[f"{name}-{number}" for name, number in EVERY])
def sdk(session: nox.Session, name: str, number: int) -> None:
    """One SDK in one of its supported versions, oldest first; what was found is kept for ``page``."""
    entry = SDKS[name]
    compatible(session, entry["environments"][number], entry["tests"], f"{name}-{number}")


@nox.session
@nox.parametrize("name", ALONE, ids=ALONE)
def newest(session: nox.Session, name: str) -> None:
    """The newest version of every SDK: all that can be installed together in one environment, the others alone."""
    entries = [e for e in SDKS.values() if not e.get("alone")] if name == TOGETHER else [SDKS[name]]
    requirements = [requirement for entry in entries for requirement in entry["environments"][-1]]
    tests = dict.fromkeys(test for entry in entries for test in entry["tests"])
    compatible(session, requirements, list(tests), f"newest-{name}")


@nox.session(venv_backend="none")
def page(session: nox.Session) -> None:
    """Write docs/compatibility.md from what ``sdk`` found."""
    session.run(sys.executable, "tools/compatibility_page.py", str(FOUND), *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """Beside the other instrumentations, either started first."""
    conformance(
        session,
        "openai",
        "anthropic",
        "opentelemetry-instrumentation-genai-openai",
        "opentelemetry-instrumentation-genai-anthropic",
        "opentelemetry-instrumentation-openai",
        "opentelemetry-instrumentation-anthropic",
        "openinference-instrumentation-openai",
        "openinference-instrumentation-anthropic",
        tests="tests/instrument/test_beside_peers.py",
    )
    session.run("pytest", *SPREAD, "tests/collector/test_same_counts.py", "-k", "another_instrumentation")


@nox.session
def logfire(session: nox.Session) -> None:
    """Beside Logfire, which has providers of its own, and versions of OpenTelemetry that it works with."""
    conformance(session, "logfire", "openai", "anthropic", tests="tests/instrument/test_beside_logfire.py")


@nox.session(python=["3.10", "3.13"])
def python(session: nox.Session) -> None:
    """Other Pythons than the one that ``make test`` uses."""
    conformance(session, "openai", "anthropic[bedrock,vertex]")


@nox.session(python=["3.10"])
def commands(session: nox.Session) -> None:
    """The command line and what it calls, on the oldest Python; without the programs that tests/alerting runs."""
    session.install("-e", ".[all,html]", "--group", "test")
    session.run("pytest", *QUIET, "tests/policy", "tests/reference", "tests/detection")
    session.run("pytest", *QUIET, "tests/report", "tests/sources", *session.posargs)
    modules = ["tests/evals/test_check.py", "tests/evals/test_plan.py", "tests/evals/test_reading.py"]
    session.run("pytest", *QUIET, "tests/audit", "tests/pin", *modules, *session.posargs)


FUZZED = {"readers": ("corpus", "words.dict"), "decoders": ("exports", "otlp.dict")}
"""What is fuzzed, with the folder of examples that it begins with and the words that it knows."""


@nox.session(python="3.11")
@nox.parametrize("what", list(FUZZED), ids=list(FUZZED))
def fuzz(session: nox.Session, what: str) -> None:
    """Coverage-guided fuzzing of what reads responses, and of what reads OTLP; what is passed on goes to libFuzzer."""
    session.install("-e", ".[serve]", "atheris>=3")
    found = Path(session.create_tmp()).resolve() / what  # it is relative, and we are about to leave
    found.mkdir(exist_ok=True)
    session.chdir("tests/fuzz")
    begun, known = FUZZED[what]
    words = [f"-dict={known}", "-max_len=4096", "-timeout=10", f"-artifact_prefix={found.parent}/{what}-"]
    session.run("python", f"fuzz_{what}.py", str(found), begun, *words, *session.posargs, env={"PYTHONPATH": "."})
