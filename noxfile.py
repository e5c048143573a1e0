"""The instrumentation's tests over the versions and neighbours that users have, each in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # a Python that is not here is skipped, and said to be

TOOLS = ("pytest>=8.3", "pytest-asyncio>=0.25", "pytest-timeout>=2.3", "pytest-xdist>=3.6")
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
    session.run("pytest", "-q", "-p", "no:cacheprovider", "-n", "auto", tests, *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Lowest dependencies, with SDKs of their time."""
    conformance(session, *LOWEST, "openai==1.66.0", "httpx<0.28", "anthropic<1")


@nox.session
@nox.parametrize("major", ["<2", "<3", ">=3,<4"])
def openai(session: nox.Session, major: str) -> None:
    """The newest openai of each major version."""
    conformance(session, f"openai{major}", "anthropic")


@nox.session
@nox.parametrize("major", ["<1", "<2", ">=2,<3"])
def anthropic(session: nox.Session, major: str) -> None:
    """The newest anthropic of each major version, with its Bedrock and Vertex clients."""
    conformance(session, f"anthropic[bedrock,vertex]{major}", "openai")


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


@nox.session(python=["3.10", "3.13"])
def python(session: nox.Session) -> None:
    """Other Pythons than the one that ``make test`` uses."""
    conformance(session, "openai", "anthropic[bedrock,vertex]")


@nox.session(python=["3.10"])
def commands(session: nox.Session) -> None:
    """The command line and what it calls, on the oldest Python; without the programs that tests/alerting runs."""
    session.install("-e", ".[all,html]", "--group", "test")
    session.run(
        "pytest", "-q", "-p", "no:cacheprovider", "-n", "auto", "tests/policy", "tests/reference", "tests/detection"
    )
    session.run(
        "pytest", "-q", "-p", "no:cacheprovider", "-n", "auto", "tests/report", "tests/sources", *session.posargs
    )
