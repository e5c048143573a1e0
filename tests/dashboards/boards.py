"""Dashboards as Grafana sees them: panels, their queries, and variables put in."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from urllib.parse import quote

import components

from otel_llm_routing.generate.grafana import dashboards

BOARDS = {name: json.loads(text) for name, text in dashboards().items()}
INTERVAL, RATE = "5m", "20m"
"""What ``$__interval`` and ``$__rate_interval`` are for samples five minutes apart."""
VALUES = re.compile(r"label_values\((.+), (\w+)\)")


@dataclass(frozen=True)
class Query:
    """One query of one panel."""

    board: str
    panel: dict
    target: dict

    @property
    def name(self):
        return f"{self.board.removesuffix('.json')}: {self.panel['title']}: {self.target['refId']}"


def queries():
    """Return every query of every panel."""
    return [
        Query(name, panel, target)
        for name, board in BOARDS.items()
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]


def variables(board):
    """Return the variables that have values to choose from, in the order in which they depend on each other."""
    return [variable for variable in BOARDS[board]["templating"]["list"] if variable["type"] in ("query", "custom")]


def choices(board, prometheus, at):
    """Return every combination of the variables' values, as Prometheus has them, as dictionaries."""
    found = [{}]
    for variable in variables(board):
        found = [
            {**chosen, variable["name"]: value}
            for chosen in found
            for value in _values(variable, chosen, prometheus, at)
        ]
    return found


def _values(variable, chosen, prometheus, at):
    if variable["type"] == "custom":
        return variable["query"].split(",")
    selector, label = VALUES.fullmatch(put_in(variable["query"]["query"], chosen, 0)).groups()
    data = components.get(
        f"{prometheus.url}/api/v1/label/{quote(label)}/values", **{"match[]": selector, "start": at - 3600, "end": at}
    )
    return [*data["data"], ".*"] if variable.get("includeAll") else data["data"]


def put_in(expr, chosen, seconds):
    """Return ``expr`` with the variables ``chosen``, over a board's time of so many seconds."""
    given = {"__interval": INTERVAL, "__rate_interval": RATE, "__range": f"{seconds}s"}
    expr = re.sub(r"\$(__\w+)", lambda m: given[m[1]], expr)
    expr = re.sub(r"\$([a-z]\w*)", lambda m: chosen[m[1]], expr)
    assert "$" not in expr.replace('"$1"', "")
    return expr


def combinations(queries_, prometheus, at):
    """Return (query, chosen) for every combination of the board's variables that the query mentions."""
    by_board = {name: choices(name, prometheus, at) for name in BOARDS}
    for query in queries_:
        used = set(re.findall(r"\$(\w+)", query.target["expr"]))
        seen = set()
        for chosen in by_board[query.board]:
            mine = tuple((name, value) for name, value in chosen.items() if name in used)
            if mine not in seen:
                seen.add(mine)
                yield query, dict(chosen if not mine else itertools.chain(mine))
