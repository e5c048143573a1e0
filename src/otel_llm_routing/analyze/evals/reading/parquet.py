"""The rows of a Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from otel_llm_routing.analyze.evals.reading.opening import Record
from otel_llm_routing.analyze.evals.reading.problems import CasesError, Notes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BATCH = 4096
"""Rows that are held at a time."""


def rows(path: Path, raw: BinaryIO, notes: Notes) -> Iterator[Record]:
    """Yield each row as a dictionary, numbered from 1."""
    try:
        from pyarrow import ArrowException  # noqa: PLC0415
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ModuleNotFoundError as error:
        msg = f"{path}: {error.name} is not installed; Parquet needs pip install 'otel-llm-routing[parquet]'"
        raise CasesError(msg) from None
    number = 0
    try:
        with ParquetFile(raw) as file:
            for batch in file.iter_batches(BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(f"{path}:{number}", row)
    except (ArrowException, OSError, ValueError) as error:
        if not number:
            msg = f"{path}: no Parquet that can be read ({str(error).splitlines()[0]}); write it anew"
            raise CasesError(msg) from None
        notes.add("its Parquet is damaged from here on; the rows before were read", f"{path}:{number + 1}")
