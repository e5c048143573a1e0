"""What switching a contender on takes: CPU time, memory, and which SDKs are imported for it. Prints one line of JSON.

Everything that an application has anyway is imported before: OpenTelemetry and its instrumentor's base class, and, if
asked for, the SDKs.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

from overhead import instrumentations, telemetry
from overhead.resident import resident

SDKS = ("anthropic", "openai")


def main() -> None:
    """Measure ``contender``, with the SDKs imported before where the second argument says so."""
    contender, before = sys.argv[1:]
    importlib.import_module("opentelemetry.instrumentation.instrumentor")
    if before == "sdks":
        for name in SDKS:
            importlib.import_module(name)
    telemetry.set_up("exporting")
    had, began = resident(), time.process_time()
    instrumentations.SWITCH_ON[contender]()
    seconds = time.process_time() - began
    imported = [name for name in SDKS if name in sys.modules]
    print(json.dumps({"seconds": seconds, "bytes": resident() - had, "imported": imported}))


if __name__ == "__main__":
    main()
