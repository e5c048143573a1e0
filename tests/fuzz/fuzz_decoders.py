"""Coverage-guided fuzzing of what reads OTLP: ``make fuzz``, or ``python fuzz_decoders.py exports -runs=100000``.

What is new in coverage is added to the folder that is named first; a find is written to a file ``crash-…``, which
belongs into ``exports/`` once the decoder is mended.
"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["otel_llm_routing", "google.protobuf.json_format"]):
    import decoders

if __name__ == "__main__":
    logging.disable()
    atheris.Setup(sys.argv, decoders.check)
    atheris.Fuzz()
