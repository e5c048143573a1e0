"""Label matchers that the user adds to every selector of the counter."""

from __future__ import annotations

import re
from typing import NamedTuple

from otel_llm_routing.generate.promql import quote


class Matcher(NamedTuple):
    """One condition on a label."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quote(self.value)}"

    def accepts(self, value: str) -> bool:
        """Return whether a label of this value, empty where there is none, meets the condition."""
        found = re.fullmatch(self.value, value, re.DOTALL) is not None if "~" in self.operator else value == self.value
        return found != self.operator.startswith("!")


_MATCHER = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\\n]|\\["\\n])*)"\s*(?:,|$)')
_NOT_RE2 = re.compile(r"\(\?(?:[=!>(#]|<[=!]|P[=>])|\\[1-9ZGK]|[*+?}]\+")


def matchers(text: str) -> list[Matcher]:
    """Read label matchers as they stand in a selector: ``job="shop", env!="test"``.

    Raises ``ValueError`` for anything else, and for regular expressions that RE2 might not take.
    """
    found: list[Matcher] = []
    at = 0
    while at < len(text.rstrip()):
        if (match := _MATCHER.match(text, at)) is None:
            msg = f'{text[at:].strip()!r} is no label matcher; write label="value", also with !=, =~ or !~'
            raise ValueError(msg)
        value = re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], match[3])
        one = Matcher(match[1], match[2], value)
        if one.label == "__name__":
            msg = "__name__ is not for choosing; the rules read one counter"
            raise ValueError(msg)
        if one.label == "llm_routing_cached":
            msg = "llm_routing_cached is not for choosing; the rules leave out what a cache answered"
            raise ValueError(msg)
        if "~" in one.operator:
            _check_regex(value)
        found.append(one)
        at = match.end()
    return found


def _check_regex(value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        msg = f"{value!r} is no regular expression ({error})"
        raise ValueError(msg) from None
    if _NOT_RE2.search(value):
        msg = f"{value!r} has what RE2, the syntax of Prometheus, does not know, such as look-around"
        raise ValueError(msg)


def example_labels(conditions: list[Matcher]) -> dict[str, str]:
    """Return labels that meet all ``conditions``. Raises ``ValueError`` where none come to mind."""
    labels: dict[str, str] = {}
    for name in dict.fromkeys(one.label for one in conditions):
        own = [one for one in conditions if one.label == name]
        tries = ["", "x", "x1"]
        for one in own:
            for part in [one.value, *one.value.split("|")] if one.operator in ("=", "=~") else []:
                tries += [
                    part,
                    re.sub(r"\[[^]]*\][*+?]?|\.[*+?]?|[()^$]", "x", part),
                    re.sub(r"[()^$\\?]|\.[*+?]", "", part),
                ]
        found = next((value for value in tries if all(one.accepts(value) for one in own)), None)
        if found is None:
            said = ", ".join(map(str, own))
            msg = f"no label value comes to mind that meets {said}; the tests need one: list the values, a|b|c"
            raise ValueError(msg)
        if found:
            labels[name] = found
    return labels
