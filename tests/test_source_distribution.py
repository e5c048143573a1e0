"""The source distribution holds all that there is in the repository: its tests and its Makefile work there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: nobody knows what belongs to it")
def test_the_source_distribution_holds_every_file_of_the_repository(tmp_path):
    pytest.importorskip("hatchling")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    kept = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for name in kept:
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "copy" / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path / "out")]
    subprocess.run(command, cwd=tmp_path / "copy", check=True, capture_output=True, timeout=100)
    [made] = (tmp_path / "out").iterdir()
    with tarfile.open(made) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert len(kept) > 500
    assert held == kept | {"PKG-INFO"}
