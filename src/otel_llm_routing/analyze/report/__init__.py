"""The report of one window of time, as a table for people and as JSON for scripts."""

from otel_llm_routing.analyze.report.document import SCHEMA, as_json
from otel_llm_routing.analyze.report.terminal import as_table

__all__ = ["SCHEMA", "as_json", "as_table"]
