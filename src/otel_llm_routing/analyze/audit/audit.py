"""One audit: what names models in a source tree, joined with everything that is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.audit import baseline
from otel_llm_routing.analyze.audit.finding import LEVELS, Finding, Level, marked
from otel_llm_routing.analyze.audit.identity import Knowledge, priced
from otel_llm_routing.analyze.audit.problems import judge
from otel_llm_routing.analyze.audit.scan import Scanned, scan
from otel_llm_routing.analyze.audit.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otel_llm_routing.analyze.audit.baseline import Known
    from otel_llm_routing.analyze.audit.mention import Unreadable
    from otel_llm_routing.analyze.audit.problems import Evidence


@dataclass(frozen=True)
class Audit:
    """What was found."""

    uses: tuple[Finding, ...]
    """Where the program asks for a model, by file and line, and what is said of the policy's waivers."""
    spoken_of: tuple[Finding, ...]
    """Where it speaks of one: catalogues and comparisons."""
    unreadable: tuple[Unreadable, ...]
    files: int
    lines: int
    fixed: tuple[Known, ...]
    """What the baseline knows and is no longer there, in the files that were read or are gone."""
    baselined: bool
    by: Evidence

    @property
    def new(self) -> tuple[Finding, ...]:
        """The uses that the baseline does not know."""
        return tuple(finding for finding in self.uses if not finding.known)

    def count(self, level: Level) -> int:
        """Return how many new uses are of ``level``."""
        return sum(finding.level == level for finding in self.new)

    def fails(self, least: Level) -> bool:
        """Return whether a new use is as bad as ``least``."""
        return any(LEVELS.index(finding.level) <= LEVELS.index(least) for finding in self.new)


def audit(
    paths: Sequence[Path],
    by: Evidence,
    *,
    exclude: Sequence[str] = (),
    gitignore: bool = True,
    known: Sequence[Known] | None = None,
) -> Audit:
    """Read the files below ``paths`` and judge what they name. Raises ``PolicyError`` of a waiver's glob.

    ``known`` is the baseline, None if there is none.
    """
    declared = frozenset(
        name
        for surface in (by.loaded.policy.surfaces.values() if by.loaded else ())
        for name in surface.uses.identifiers
    )
    walk = Walk(exclude, gitignore=gitignore)
    scanned = scan(walk.files(paths), Knowledge(priced(), declared))
    judged = judge(scanned.findings, by)
    keys = frozenset(one.key for one in known or ())
    uses = [marked(finding, keys) for finding in (*judged.of_waivers, *judged.findings) if finding.is_use]
    return Audit(
        uses=tuple(sorted(uses, key=lambda finding: (finding.file, finding.line, finding.column))),
        spoken_of=tuple(finding for finding in judged.findings if not finding.is_use),
        unreadable=tuple(sorted((*scanned.unreadable, *walk.unread), key=lambda one: (one.file, one.line or 0))),
        files=scanned.files,
        lines=scanned.lines,
        fixed=_fixed(known or (), uses, scanned, whole=by.whole),
        baselined=known is not None,
        by=by,
    )


def _fixed(known: Sequence[Known], uses: Sequence[Finding], scanned: Scanned, *, whole: bool) -> tuple[Known, ...]:
    """Return what is known of the files that were read and is no longer so; of other files nothing is said.

    Of single files it is not known which of their names are asked for elsewhere.
    """
    there = {one.key for one in baseline.of(uses)}
    return tuple(
        one
        for one in known
        if one.key not in there
        and scanned.looked_at(one.file)
        and (whole or not scanned.has_a_name_for(one.file, one.identifier))
    )
