"""What is installed is what was reviewed, wheels come out the same each time, and no file that is read is executed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from stored import AUTO, HAIKU, Traffic, key
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app
from otel_llm_routing.policy import loading
from otel_llm_routing.policy import reference as pinned
from otel_llm_routing.policy.document import PolicyError

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "dev.txt"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PLATFORMS = ("linux", "darwin", "win32")


def wanted():
    """Return every requirement of the project, of all its extras, and of the group with which it is developed."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project, groups = document["project"], document["dependency-groups"]

    def group(name):
        for entry in groups[name]:
            yield from group(entry["include-group"]) if isinstance(entry, dict) else [entry]

    extras = project["optional-dependencies"]
    found = [*project["dependencies"], *group("dev")]
    used = {"all", "html", "parquet"}
    for _ in extras:
        for extra in list(used):
            for text in extras[extra]:
                if Requirement(text).name == project["name"]:
                    used |= Requirement(text).extras
    found += [text for extra in sorted(used) for text in extras[extra]]
    return [one for text in found if (one := Requirement(text)).name != project["name"]]


def locked():
    """Return what is pinned, by name: versions with the environments that they are for, and how many hashes."""
    found = {}
    for entry in re.split(r"\n(?=\S)", LOCK.read_text("utf-8")):
        if not entry.startswith("#") and entry.strip():
            line = entry.partition("\\")[0]
            requirement = Requirement(line)
            [specifier] = requirement.specifier
            assert specifier.operator == "==", line
            hashes = len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
            assert hashes, line
            found.setdefault(canonicalize_name(requirement.name), []).append((specifier.version, requirement.marker))
    return found


def environments():
    for python in PYTHONS:
        for platform in PLATFORMS:
            system = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[platform]
            yield default_environment() | {
                "python_version": python, "python_full_version": f"{python}.0", "sys_platform": platform,
                "platform_system": system, "os_name": "nt" if platform == "win32" else "posix",
                "implementation_name": "cpython", "platform_python_implementation": "CPython",
                "platform_machine": "x86_64",
            }  # fmt: skip


def test_the_lock_has_one_version_of_everything_that_pyproject_asks_for_in_every_environment():
    pins = locked()
    for environment in environments():
        where = f"Python {environment['python_version']} on {environment['sys_platform']}"
        for requirement in wanted():
            if requirement.marker is not None and not requirement.marker.evaluate(environment):
                continue
            versions = {
                version
                for version, marker in pins.get(canonicalize_name(requirement.name), ())
                if marker is None or marker.evaluate(environment)
            }
            assert len(versions) == 1, f"{requirement.name} is pinned {len(versions)} times for {where}: make lock"
            assert requirement.specifier.contains(versions.pop(), prereleases=True), f"{requirement}: make lock"


def test_the_lock_says_where_nothing_is_from():
    # Where packages come from is the business of whoever installs them.
    assert "://" not in LOCK.read_text("utf-8")


# Wheels --------------------------------------------------------------------------------------------------------------

CONTENT = ("src", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml")


def built(folder, mode, when):
    """Build in a copy of the project whose files have these permissions and times; return the digests by name."""
    for name in CONTENT:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    for path in sorted(folder.rglob("*"), reverse=bool(mode % 2)):
        path.chmod(mode | (0o111 if path.is_dir() else 0))
        os.utime(path, (when, when))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1780000000"}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", "out"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=100)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "out").iterdir()}


def test_two_builds_are_the_same_to_the_byte_whatever_the_folder_the_times_and_the_permissions(tmp_path):
    pytest.importorskip("hatchling")
    one, two = tmp_path / "one", tmp_path / "another"
    one.mkdir()
    two.mkdir()
    first, second = built(one, 0o644, 1_600_000_000), built(two, 0o600, 1_700_000_001)
    assert len(first) == 2
    assert first == second
    [wheel] = (one / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.endswith((".pyc", ".db", ".so"))]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"otel_llm_routing"}


# Files that are read -------------------------------------------------------------------------------------------------

TAGS = (
    "!!python/object/apply:os.system ['touch {mark}']",
    "!!python/object/apply:subprocess.check_output [[touch, '{mark}']]",
    "!!python/object/new:os.system ['touch {mark}']",
    "!!python/object/apply:builtins.exec [\"open('{mark}', 'w')\"]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!include /etc/passwd",
    "!ENV ${{HOME}}",
    "&a [*a]",
)
PLACES = ("{tag}", "version: 1\nsurfaces: {tag}", "version: 1\nsurfaces:\n  a: {{owner: {tag}}}", "? {tag}\n: 1",
          "version: {tag}\n", "version: 1\nsurfaces:\n  {tag} : {{}}")  # fmt: skip


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("place", PLACES)
def test_a_tag_in_a_policy_or_a_reference_is_an_error_and_executes_nothing(tmp_path, tag, place):
    mark = tmp_path / "executed"
    path = tmp_path / "file.yaml"
    path.write_text(place.format(tag=tag.format(mark=mark)), "utf-8")
    with pytest.raises(PolicyError, match=re.escape(str(path))):
        loading.load(path)
    with pytest.raises(pinned.ReferenceFileError, match=re.escape(str(path))):
        pinned.load(path)
    assert not mark.exists()


EVALS = (
    b"\x80\x04\x95",  # a pickle
    b"cos\nsystem\n(S'touch {mark}'\ntR.",
    b'{{"model": "$(touch {mark})", "input": "`touch {mark}`"}}\n',
    b"=cmd|'/C touch {mark}'!A0,model\n",
    b"!!python/object/apply:os.system ['touch {mark}']\n",
    b"__import__('os').system('touch {mark}')\n",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    traffic = Traffic(tmp_path_factory.mktemp("traffic") / "t.db")
    return traffic.write([(int(time.time()) - 3600 * back, key("a", AUTO, HAIKU), 50) for back in range(1, 20)]).source


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "yaml", "pkl", "py", "parquet", "eval", "jsonl.gz"])
def test_what_is_in_a_file_of_eval_cases_is_never_executed(tmp_path, source, ending):
    mark = tmp_path / "executed"
    for number, content in enumerate(EVALS):
        path = tmp_path / f"{number}.{ending}"
        path.write_bytes(content.replace(b"{{", b"{").replace(b"}}", b"}").replace(b"{mark}", str(mark).encode()))
        for name in ("check", "score"):
            done = CliRunner().invoke(app, ["evals", name, str(path), "--source", source])
            assert done.exception is None or isinstance(done.exception, SystemExit), (path.read_bytes(), done.exception)
            if done.exit_code == 2:
                assert str(path) in done.output.replace("\n", "")
            assert not mark.exists()


def test_nothing_in_the_package_loads_what_could_be_executed():
    # What the tests above tried by example, said of all of the source.
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text("utf-8")
        assert not re.search(r"\b(pickle|marshal|shelve|dill|cloudpickle)\b\.?(loads?\b)", text), path
        assert not re.search(r"yaml\.(load|unsafe_load|full_load|UnsafeLoader|FullLoader|Loader)\b", text), path
        assert not re.search(r"(?<![\w.])(eval|exec)\(", text), path
        assert "shell=True" not in text, path
