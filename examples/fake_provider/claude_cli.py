"""A stand-in for the Claude Code CLI: the stream-json protocol on its standard streams, Anthropic's API behind it.

Run as a program, for ``ClaudeAgentOptions(cli_path=…)``. It posts to ``ANTHROPIC_BASE_URL``, as the real one does, and
says what comes back (source: claude-agent-sdk 0.2.189, ``_internal/query.py``, ``_internal/message_parser.py``).
``FAKE_CLAUDE`` in the environment makes it do more, as a comma-separated list: ``tool`` asks whether it may use a tool
before it answers, ``subagent`` lets a subagent with another model answer first, ``local`` prints a line of its own,
``die`` ends without a result.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from argparse import ArgumentParser
from typing import Any

DEFAULT_MODEL = "claude-sonnet-5"
SUBAGENT_MODEL = "claude-haiku-4-5"
SESSION = "5e551047-0000-4000-8000-000000000000"


def say(message: dict[str, Any]) -> None:
    """Write one message."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def heard() -> Any:
    """Return the next message, or None at the end."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


class Cli:
    """One session."""

    def __init__(self, model: str | None, *, partial: bool) -> None:
        self.model = model or DEFAULT_MODEL
        self.partial = partial
        self.does = os.environ.get("FAKE_CLAUDE", "").split(",")
        self.number = 0

    def run(self) -> None:
        """Answer until the input ends."""
        while (message := heard()) is not None:
            if message.get("type") == "control_request":
                self.control(message)
            elif message.get("type") == "user":
                self.turn(message["message"]["content"])

    def control(self, message: dict[str, Any]) -> None:
        """Do what the SDK asks of the CLI itself."""
        request = message["request"]
        if request["subtype"] == "set_model":
            self.model = request.get("model") or DEFAULT_MODEL
        response = {"subtype": "success", "request_id": message["request_id"], "response": {"commands": []}}
        say({"type": "control_response", "response": response})

    def turn(self, prompt: Any) -> None:
        """Answer a prompt."""
        say({"type": "system", "subtype": "init", "session_id": SESSION, "model": self.model, "tools": []})
        if "local" in self.does:
            self.assistant({"id": "local", "model": "<synthetic>", "content": [text("a line of the CLI's own")]})
        if "subagent" in self.does:
            self.respond(SUBAGENT_MODEL, prompt, parent="toolu_task")
        if "tool" in self.does and not self.use_tool(prompt):
            return
        if "die" in self.does:
            sys.exit(3)
        failure = self.respond(self.model, prompt)
        result = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "session_id": SESSION, "usage": {}}
        say({"type": "result", "subtype": "success", "is_error": failure is not None, "result": failure, **result})

    def use_tool(self, prompt: Any) -> bool:
        """Answer in two parts, of which the second uses a tool, and ask for leave; false where the input ended."""
        tool = {"type": "tool_use", "id": "toolu_1", "name": "Weather", "input": {"city": "lorem"}}
        self.respond(self.model, prompt, then=tool)
        request = {"subtype": "can_use_tool", "tool_name": "Weather", "input": tool["input"], "tool_use_id": "toolu_1"}
        say({"type": "control_request", "request_id": "ask-1", "request": request})
        while (answer := heard()) is not None:
            if answer.get("type") == "control_response":
                result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sun"}
                say({"type": "user", "message": {"role": "user", "content": [result]}, "session_id": SESSION})
                return True
        return False

    def respond(self, model: str, prompt: Any, *, parent: str | None = None, then: Any = None) -> str | None:
        """Let the model respond, and say each block of its message in a message of its own; return a failure."""
        body = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": prompt}]}
        try:
            with urllib.request.urlopen(posted({**body, "stream": self.partial})) as answer:  # noqa: S310  (the test's own server)
                message = self.events(answer, parent) if self.partial else json.load(answer)
        except urllib.error.HTTPError as error:
            failure = {429: "rate_limit", 401: "authentication_failed"}.get(error.code, "server_error")
            said = f"API Error: {error.code}"
            self.number += 1
            failed = {"id": f"synthetic-{self.number}", "model": "<synthetic>", "content": [text(said)]}
            self.assistant(failed, error=failure)
            return said
        for block in [*message["content"], *([then] if then else [])]:
            # The parts of one response: none of them is the whole, so none of them says why it stopped.
            self.assistant({**message, "content": [block], "stop_reason": None}, parent)
        return None

    def events(self, answer: Any, parent: str | None) -> dict[str, Any]:
        """Pass the events of a streamed response on; return its message."""
        message: dict[str, Any] = {}
        for line in answer:
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line[6:])
            if event["type"] == "message_start":
                message = {**event["message"], "content": [text("")]}
            elif event["type"] == "content_block_delta":
                message["content"][0]["text"] += event["delta"].get("text", "")
            elif event["type"] == "content_block_stop":
                self.assistant({**message, "stop_reason": None}, parent)
            self.number += 1
            about = {"uuid": f"uuid-{self.number}", "session_id": SESSION, "parent_tool_use_id": parent}
            say({"type": "stream_event", "event": event, **about})
        return {**message, "content": []}

    def assistant(self, message: dict[str, Any], parent: str | None = None, error: str | None = None) -> None:
        """Say a message of the model."""
        self.number += 1
        document = {"type": "assistant", "message": {"type": "message", "role": "assistant", **message}}
        about = {"uuid": f"uuid-{self.number}", "session_id": SESSION, "parent_tool_use_id": parent}
        say({**document, **about, **({"error": error} if error else {})})


def text(said: str) -> dict[str, Any]:
    """Return a block of text."""
    return {"type": "text", "text": said}


def posted(body: dict[str, Any]) -> urllib.request.Request:
    """Return the request for a message."""
    url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
    headers = {"content-type": "application/json", "x-api-key": "k", "anthropic-version": "2023-06-01"}
    return urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  (the test's own server)


def main() -> None:
    """Read the options that matter here, and serve."""
    parser = ArgumentParser(allow_abbrev=False)
    parser.add_argument("-v", "--version", action="store_true")
    parser.add_argument("--model")
    parser.add_argument("--include-partial-messages", action="store_true")
    parser.add_argument("--print", action="store_true", help="answer the prompt behind -- and end (SDKs of 2025)")
    options, rest = parser.parse_known_args()
    if options.version:
        sys.stdout.write("2.9.0 (Claude Code)\n")
        return
    cli = Cli(options.model, partial=options.include_partial_messages)
    if options.print:
        cli.turn(rest[-1])
    else:
        cli.run()


if __name__ == "__main__":
    main()
