"""Which column of a file is which, as the user says with options or in a small file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading.problems import CasesError

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = ("id", "surface", "input", "input_size", "score", "provider", "requested_model", "served_model", "match")
FILE = "file"
"""Names, instead of a column, a file of them: ``--column file=columns.yaml``."""
_MOST = 1 << 20


def resolved(given: Mapping[str, str]) -> dict[str, str]:
    """Return where each column is: what ``given`` says, and below that the file that it names.

    The file is YAML or JSON: ``surface: metadata.feature``, alone or under ``columns:``. Raises ``CasesError``.
    """
    own = {name: where for name, where in given.items() if name != FILE}
    if FILE not in given:
        return _checked(own, "--column")
    path = Path(str(given[FILE]))
    return {**_checked(_file(path), str(path)), **_checked(own, "--column")}


def _checked(columns: Mapping[Any, Any], place: str) -> dict[str, str]:
    """Return ``columns`` if each is one that a case has, and leads somewhere."""
    for name, where in columns.items():
        if name not in COLUMNS:
            msg = f"{place}: {str(name)[:80]!r} is no column of a case; columns are {', '.join(COLUMNS)}"
            raise CasesError(msg)
        if not isinstance(where, str) or not where:
            msg = f"{place}: {name} leads nowhere; write the name of a column, or a path such as metadata.feature"
            raise CasesError(msg)
    return dict(columns)


def _file(path: Path) -> Mapping[Any, Any]:
    import yaml  # noqa: PLC0415  (an extra)

    try:
        with path.open("rb") as file:
            data = file.read(_MOST)
        found = yaml.safe_load(data)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); name a file with lines such as surface: metadata.feature"
        raise CasesError(msg) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or type(error).__name__
        msg = f"{place}: no YAML ({reason}); write lines such as surface: metadata.feature"
        raise CasesError(msg) from None
    if isinstance(found, dict) and isinstance(found.get("columns"), dict):
        found = found["columns"]
    if not isinstance(found, dict):
        msg = f"{path}: no mapping; write lines such as surface: metadata.feature"
        raise CasesError(msg)
    return found
