"""The parts of an Inspect log (``.eval``): a zip of JSON documents, its header first, then a sample at a time.

Layout: inspect_ai 0.3.285, ``inspect_ai/log/_recorders/eval.py``. Newer versions pack the parts with Zstandard (zip
method 93), which Python's ``zipfile`` reads from 3.14 on.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

from otel_llm_routing.analyze.evals.reading import opening
from otel_llm_routing.analyze.evals.reading.opening import Record
from otel_llm_routing.analyze.evals.reading.problems import CasesError, Notes
from otel_llm_routing.analyze.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZSTANDARD = 93
HEADERS = ("header.json", "_journal/start.json")
"""What says which eval this is. The second is all there is of a run that was cut off."""
_LOCAL = struct.Struct("<4s22xHH")
"""A part's own header: its signature, then the lengths of its name and of its extra field (APPNOTE 4.3.7)."""


class _TooLargeError(Exception):
    """A part that unpacks to more than is read."""


def parts(path: Path, raw: BinaryIO, notes: Notes) -> Iterator[Record]:
    """Yield the header, then every sample."""
    try:
        archive = zipfile.ZipFile(raw)
        names = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        msg = f"{path}: a zip that cannot be read ({error}); an Inspect log that is still being written has no end yet"
        raise CasesError(msg) from None
    header = next((name for name in HEADERS if name in names), None)
    if header is None:
        msg = f"{path}: a zip that is no Inspect log (no header.json in it); unpack it, and name a file in it"
        raise CasesError(msg)
    left = opening.UNPACKED
    samples = [name for name in names if name.startswith("samples/") and name.endswith(".json")]
    for name in (header, *samples):
        place = f"{path}:{printable(name)}"
        try:
            data = _part(archive, raw, names[name], place)
            left -= len(data)
            value = json.loads(data)
        except _TooLargeError:
            left -= opening.LONGEST
            notes.add(f"a sample of more than {opening.LONGEST >> 20} MiB, left out", place)
        except RecursionError:
            notes.add("JSON nested too deeply, left out", place)
        except (zipfile.BadZipFile, ValueError):
            notes.add("a part that is damaged, left out", place)
        else:
            yield Record(place, value)
        if left < 0:
            msg = f"{path}: unpacks to more than {opening.UNPACKED >> 30} GiB; split it"
            raise CasesError(msg)


def _part(archive: zipfile.ZipFile, raw: BinaryIO, info: zipfile.ZipInfo, place: str) -> bytes:
    """Return the bytes of a part, as long as there are not too many: what a zip says of its sizes may be untrue."""
    if info.compress_type == ZSTANDARD and not hasattr(zipfile, "ZIP_ZSTANDARD"):
        return _zstandard(raw, info, place)
    try:
        with archive.open(info) as stream:
            return _bounded(stream)
    except _TooLargeError:
        raise
    except Exception as error:  # noqa: BLE001  (each way of packing, and of locking, has errors of its own)
        raise zipfile.BadZipFile(error) from None


def _zstandard(raw: BinaryIO, info: zipfile.ZipInfo, place: str) -> bytes:
    try:
        import zstandard  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError:
        msg = (
            f"{place}: packed with Zstandard, and zstandard is not installed; pip install 'otel-llm-routing[evals]', "
            "or inspect log convert --to json"
        )
        raise CasesError(msg) from None
    try:
        raw.seek(info.header_offset)
        _, name, extra = _LOCAL.unpack(raw.read(_LOCAL.size))
        raw.seek(name + extra, io.SEEK_CUR)
        packed = raw.read(min(info.compress_size, opening.LONGEST))
        data = _bounded(zstandard.ZstdDecompressor().stream_reader(packed))
    except (zstandard.ZstdError, OSError, OverflowError, struct.error, MemoryError) as error:
        raise zipfile.BadZipFile(error) from None
    if zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile(info.filename)
    return data


def _bounded(stream: Any) -> bytes:
    data: bytes = stream.read(opening.LONGEST + 1)
    if len(data) > opening.LONGEST:
        raise _TooLargeError
    return data
