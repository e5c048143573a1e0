"""Beside Logfire, whichever starts first: its instrumentations of the SDKs silence whatever is beneath their spans."""

from __future__ import annotations

import beside
import pytest


@pytest.mark.parametrize("order", ["theirs first", "ours first"])
def test_a_call_is_counted_once_and_its_attributes_are_on_logfires_span(order):
    pytest.importorskip("logfire", reason="logfire is not in this environment; the nox session 'logfire' has it")
    results = beside.run("beside_logfire.py", order)
    assert len(results) == 12
    for label, result in results.items():
        requested, served = result["expected"]
        assert result["added"] == 1, label
        [counted] = result["counted"]
        assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == (requested, served), label
        assert counted["llm_routing.match"] == "resolved", label
        [span] = result["spans"]
        assert span["llm_routing.surface"] == label
        if not result["stream"]:  # of a stream it has ended before the first item
            assert span["llm_routing.match"] == "resolved", label
            assert span["gen_ai.response.model"] == served, label
