"""Texts of files that are read as YAML and may be JSON, for whoever reads them."""

from __future__ import annotations


def whole(text: str) -> str:
    """Return ``text`` with characters whole: JSON may write one beyond U+FFFF as two escapes, and YAML reads two.

    What is half a character stays that.
    """
    try:
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return text
