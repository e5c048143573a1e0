"""A server that is killed at random moments, over and over, under load: what was acknowledged is there, and once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter

import components
from embedded import CUMULATIVE, DELTA, Server, export, grpc_call

KILLS = int(os.environ.get("KILLS", "5"))
SENDERS = 6


class Sender(threading.Thread):
    """Sends one export after the other, each until it is acknowledged, as exporters do."""

    def __init__(self, number, where):
        super().__init__()
        self.number = number
        self.where = where
        """Asked for the server before each try; None at the end."""
        self.sent = self.tries = 0
        self.source = random.Random(number)

    def run(self):
        for at in range(1, 100_000):
            more = self.source.randrange(1, 4)
            delta = self.number % 2 == 0
            value = (at - 1, at, more) if delta else (0, at, self.sent + more)
            request = export(
                value,
                temporality=DELTA if delta else CUMULATIVE,
                own={"llm_routing.surface": f"s{self.number}"},
                resource={"service.instance.id": str(self.number)},
            )
            while not self._delivered(request):
                if self.where() is None:
                    return
            self.sent += more
            if self.where() is None:
                return

    def _delivered(self, request):
        server = self.where()
        if server is None:
            return False
        self.tries += 1
        data = request.SerializeToString()
        try:
            if self.number % 3 == 0:
                return isinstance(grpc_call(server, data), bytes)
            return server.post("/v1/metrics", data)[0] == 200
        except OSError:
            return False


def test_every_acknowledged_point_is_there_after_each_kill_and_none_twice(tmp_path):
    source = random.Random(20261125)
    serving = [Server(tmp_path / "t.db")]
    senders = [Sender(number, lambda: serving[-1]) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    killed = Counter()
    for _ in range(KILLS):
        before = sum(sender.tries for sender in senders)
        components.wait_for("tries", lambda: sum(sender.tries for sender in senders) >= before + 5)  # noqa: B023
        time.sleep(source.uniform(0, 0.3))  # the random point
        killed[serving[-1].stop(signal.SIGKILL)] += 1
        told = {f"s{sender.number}": sender.sent for sender in senders}
        # The next one has to find everything that was acknowledged before it began.
        serving.append(Server(tmp_path / "t.db"))
        found = {surface: mix.requests for surface, mix in serving[-1].mixes().items()}
        assert all(found.get(surface, 0) >= sent for surface, sent in told.items()), (found, told)
    last = serving[-1]
    components.wait_for("twenty exports of each", lambda: min(sender.sent for sender in senders) >= 20, 100)
    serving.append(None)
    for sender in senders:
        sender.join(60)
    assert killed == {-9: KILLS}
    found = {surface: mix.requests for surface, mix in last.mixes().items()}
    for sender in senders:
        # Only the one that was under way at the end may be there without its acknowledgement.
        assert 0 <= found[f"s{sender.number}"] - sender.sent <= 3
    assert last.stop() == 0
