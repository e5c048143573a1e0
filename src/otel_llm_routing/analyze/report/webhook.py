"""Sending the report to a chat: one HTTP request with the JSON that Slack's incoming webhooks take.

Source of the format: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, and its page on formatting.
Mattermost, Rocket.Chat and Discord (at its /slack address) read the same.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from otel_llm_routing._version import __version__
from otel_llm_routing.analyze.report.summary import summary, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.report.model import Report

TIMEOUT = 10.0
"""Seconds that one try may take."""
PAUSE = 1.0
"""Seconds before the second try."""
MOST_CHARACTERS = 2_900
"""Of a block; Slack takes 3,000."""
MOST_FINDINGS = 20
TOO_MANY = 429


class WebhookError(Exception):
    """The report was not delivered; the message names the host, and never the rest of the address."""


def message(report: Report) -> dict[str, Any]:
    """Return the message: one line as ``text``, and blocks with what is not calm."""
    line = escape(summary(report))
    blocks = [_section(f"*{line}*" if "`" not in line else line)]
    lines = list(_lines(report))
    listed = "\n".join(lines[:MOST_FINDINGS])
    if len(lines) > MOST_FINDINGS:
        listed += f"\nand {len(lines) - MOST_FINDINGS} more"
    if listed:
        blocks.append(_section(listed))
    return {"text": line, "blocks": blocks}


def escape(text: str) -> str:
    """Return ``text`` so that Slack reads neither a link nor a mention in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def send(url: str, body: dict[str, Any], *, timeout: float = TIMEOUT, pause: float = PAUSE) -> None:
    """Post ``body`` to ``url``; try once more where that may help. Raises ``WebhookError``."""
    where = host(url)
    request = urllib.request.Request(  # noqa: S310  (its scheme was checked)
        url,
        json.dumps(body).encode(),
        {"content-type": "application/json", "user-agent": f"otel-llm-routing/{__version__}"},
        method="POST",
    )
    opener = urllib.request.build_opener(_NoRedirect)
    why = ""
    for last in (False, True):
        try:
            with opener.open(request, timeout=timeout):
                return
        except urllib.error.HTTPError as error:
            error.close()
            why = f"it answered {error.code}"
            if not (error.code >= http.client.INTERNAL_SERVER_ERROR or error.code == TOO_MANY):
                raise WebhookError(f"{where}: {why}; {_todo(error.code)}") from None
        except (OSError, http.client.HTTPException) as error:
            why = _why(error, timeout)
        if not last:
            time.sleep(pause)
    raise WebhookError(f"{where}: {why}, twice; the report was not delivered, try again later")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Lets a redirect be the error that it is here: the message would go to whom nobody named."""

    def redirect_request(self, *_: Any) -> None:
        return None


def host(url: str) -> str:
    """Return the scheme and host of ``url``; what follows is a secret. Raises ``WebhookError`` for no address."""
    try:
        parts = urlsplit(url.strip())
        name, port = parts.hostname, parts.port
    except ValueError:
        _refuse()
    if parts.scheme not in ("http", "https") or not name or not url.isascii() or not url.isprintable() or " " in url:
        _refuse()
    return f"webhook {parts.scheme}://{name}{f':{port}' if port else ''}"


def _refuse() -> NoReturn:
    msg = "the webhook is not an address such as https://hooks.example.com/...; name one, or env:VARIABLE that holds it"
    raise WebhookError(msg)


def _why(error: Exception, timeout: float) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer within {timeout:g} s"
    # Only what the system says: other messages may quote the address.
    said = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
    return f"it cannot be reached ({said})"


def _todo(status: int) -> str:
    if http.client.MULTIPLE_CHOICES <= status < http.client.BAD_REQUEST:
        return "redirects are not followed, name the address itself"
    if status in (http.client.NOT_FOUND, http.client.FORBIDDEN, http.client.GONE, http.client.UNAUTHORIZED):
        return "is the webhook still valid?"
    return "does it take Slack's format?"


def _lines(report: Report) -> Iterator[str]:
    for surface in report.surfaces:
        if surface.verdict.level != "calm":
            owner = f", {surface.owner}" if surface.owner else ""
            name = surface.surface.replace("`", "'")
            yield escape(f"`{name}`{owner} — {words(surface)}. {surface.verdict.sentence}")[:MOST_CHARACTERS]


def _section(text: str) -> dict[str, Any]:
    cut = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS].rpartition(chr(10))[0] or text[:2000]}\n…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut}}
