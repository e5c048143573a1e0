"""What a rule's pattern is matched against: ``kind:glob``, as the environment and the policy file write it."""

from __future__ import annotations

RULE_KINDS = ("route", "task", "message", "rpc", "faas", "name")


def kind_and_glob(text: str) -> tuple[str, str]:
    """Split ``task:send_digest`` into its kind and its glob. Without a kind of ours, all of it is about the route."""
    kind, colon, glob = text.partition(":")
    return (kind, glob.strip()) if colon and kind in RULE_KINDS else ("route", text)
