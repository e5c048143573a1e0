"""Two servers and one file: the second is sent away; where that fails, both count right."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from embedded import Server, export, refused


def test_the_second_server_is_refused_and_the_first_goes_on(tmp_path):
    server = Server(tmp_path / "t.db")
    assert "another otel-llm-routing serve has this database" in refused("--db", server.db)
    link = tmp_path / "link.db"
    link.symlink_to(server.db)
    assert "another otel-llm-routing serve has this database" in refused("--db", link)
    server.metrics(export((0, 10, 5)))
    assert server.requests() == 5
    assert server.stop() == 0


def test_two_that_write_at_once_lose_nothing_and_count_nothing_twice(tmp_path):
    first = Server(tmp_path / "t.db")
    Path(f"{first.db}.lock").unlink()  # as on a file system without locks
    second = Server(tmp_path / "t.db")
    failures = []

    def send(server, sender):
        for at in range(1, 31):
            for surface in ("both", f"only-{sender}"):  # new series of the one are met by the other
                own = {"llm_routing.surface": surface, "gen_ai.response.model": f"m{at % 7}"}
                request = export((0, at, at), own=own, resource={"service.instance.id": f"{sender}"})
                for receiver in (server, first if at % 5 == 0 else server):  # now and then the other has it as well
                    status = receiver.post("/v1/metrics", request.SerializeToString())[0]
                    while status == 503:
                        status = receiver.post("/v1/metrics", request.SerializeToString())[0]
                    if status != 200:
                        failures.append(status)

    threads = [threading.Thread(target=send, args=(server, n)) for n, server in enumerate((first, second, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    # Each model's stream is cumulative and last had the greatest multiple that leaves its rest.
    expected = sum(max(at for at in range(1, 31) if at % 7 == rest) for rest in range(7))
    found = {surface: mix.requests for surface, mix in second.mixes().items()}
    assert found == {"both": 3 * expected, **{f"only-{sender}": expected for sender in range(3)}}
    with contextlib.closing(sqlite3.connect(first.db)) as connection:
        orphans = "SELECT count(*) FROM points WHERE series NOT IN (SELECT id FROM series)"
        assert connection.execute(orphans).fetchone() == (0,)
    assert (first.stop(), second.stop()) == (0, 0)
