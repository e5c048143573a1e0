"""What is known about model identifiers: which are spellings of one model, and which can move to another.

``kind_of("gpt-5", "openai")`` is ``"alias"``; ``classify`` says by which rule. The knowledge itself is data, in
``rules.json`` and ``providers.json``, each entry with the place where it was read.
"""

from otel_llm_routing.models.identifiers import canonical, clean_model, provider_name, provider_of_host, same_model
from otel_llm_routing.models.matching import (
    EXACT,
    KNOWN_MATCHES,
    MATCHES,
    RESOLVED,
    SUBSTITUTED,
    UNCONFIRMED,
    UNREPORTED,
    forget,
    match,
)
from otel_llm_routing.models.rules import (
    KINDS,
    RULES_VARIABLE,
    Classification,
    Rule,
    RulesError,
    builtin_rules,
    classify,
    kind_of,
    load_rules,
)

__all__ = [
    "EXACT",
    "KINDS",
    "KNOWN_MATCHES",
    "MATCHES",
    "RESOLVED",
    "RULES_VARIABLE",
    "SUBSTITUTED",
    "UNCONFIRMED",
    "UNREPORTED",
    "Classification",
    "Rule",
    "RulesError",
    "builtin_rules",
    "canonical",
    "classify",
    "clean_model",
    "forget",
    "kind_of",
    "load_rules",
    "match",
    "provider_name",
    "provider_of_host",
    "same_model",
]
