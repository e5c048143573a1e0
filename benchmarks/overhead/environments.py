"""An environment for each contender, made with uv, and kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from overhead.contenders import BARE, BESIDE, OURS, Contender

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENTS = ROOT / ".nox" / "bench"
SHOWN = ("openai", "anthropic", "opentelemetry-sdk", "wrapt")
"""Distributions whose versions decide what a call takes."""

_LIST = """
import importlib.metadata as m, json, os
found = {}
for d in m.distributions():
    files = [str(d.locate_file(f)) for f in d.files or () if not str(f).endswith(".pyc")]
    found[d.name.lower().replace("_", "-")] = [d.version, sum(os.path.getsize(f) for f in files if os.path.exists(f))]
print(json.dumps(found))
"""


class UnusableError(Exception):
    """An environment cannot be made; the message says why."""


class Installed(NamedTuple):
    """What a distribution is, and takes."""

    version: str
    size: int
    """In bytes, without compiled bytecode."""


class Environment(NamedTuple):
    """Where a contender is installed."""

    python: Path
    installed: dict[str, Installed]


def make(contender: Contender | None, *, fresh: bool) -> Environment:
    """Make the environment of a contender, or that of the bare SDKs; ``fresh`` brings every requirement up to date."""
    key = BARE if contender is None else contender.key
    requirements = () if contender is None else contender.requirements
    folder = ENVIRONMENTS / key
    python = folder / "bin" / "python"
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise UnusableError("uv is not installed")
    again: tuple[str, ...] = ("--upgrade",) if fresh else ()
    if contender is OURS:
        again += ("--reinstall-package", "otel-llm-routing")
    if not python.exists():
        _run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder)
    _run(uv, "pip", "install", "--quiet", "--python", python, *again, *BESIDE, *requirements)
    listed = json.loads(_run(python, "-c", _LIST))
    return Environment(python, {name: Installed(*entry) for name, entry in listed.items()})


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise UnusableError(f"{' '.join(map(str, command[1:3]))}: {said[-1].strip()}")
    return done.stdout
