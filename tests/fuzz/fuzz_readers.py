"""Coverage-guided fuzzing of the response readers: ``make fuzz``, or ``python fuzz_readers.py corpus -runs=100000``.

What is new in coverage is added to the folder that is named first; a find is written to a file ``crash-…``, which
belongs into ``corpus/`` once the reader is mended.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["otel_llm_routing"]):
    import readers

if __name__ == "__main__":
    atheris.Setup(sys.argv, readers.check)
    atheris.Fuzz()
