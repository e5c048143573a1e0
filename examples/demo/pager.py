"""Prints whom Alertmanager tells of what: the receiver of every webhook, in place of a real pager."""

from __future__ import annotations

import argparse
import json
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Takes Alertmanager's notifications; the path is the receiver's name."""

    def do_POST(self) -> None:
        """Print the alerts."""
        try:
            document = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
            lines = [line(self.path, alert) for alert in document["alerts"]]
        except (ValueError, KeyError, TypeError) as error:
            self._answer(400, f"not a notification of Alertmanager's: {error!r}\n")
            return
        print(*lines, sep="\n", flush=True)
        self._answer(200, "")

    def do_GET(self) -> None:
        """Say that it is up."""
        self._answer(200, "alerts are posted here\n")

    def log_message(self, *_: object) -> None:
        """Keep requests to itself."""

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def line(path: str, alert: dict[str, dict[str, str]]) -> str:
    """Return one line: receiver, state, name and text of an alert."""
    notes = alert["annotations"]
    text = notes.get("description") or notes.get("summary", "")
    return f"pager     {path.strip('/')}: {alert['labels']['alertname']} is {alert['status']}: {text}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end())
    server.serve_forever()


def end() -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
