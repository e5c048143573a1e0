"""Every SDK that is installed, against a provider whose answers are spoilt on the way: the outcome is that without us.

The drivers are those of the conformance suite. Between them and the fake provider is a proxy that changes, cuts or
doubles bytes of the answers' bodies, the same ones each time it is given the same number.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import random
import re
import socket
import threading
from pathlib import Path

import pytest
from driver import Driver
from fake_provider import FakeProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from outcomes import Observed, Script, chain, seen
from sdk_drivers import DRIVERS

SEEDS = range(int(os.environ.get("SPOILT", "4")))
SPOILS = ("byte", "bytes", "cut", "type", "double", "zero")


def found():
    """Return the drivers of all SDKs that can be imported here and that speak HTTP to the URL they are given."""
    drivers = {*DRIVERS}
    for path in sorted((Path(__file__).parents[1] / "instrument").glob("test_*.py")):
        with contextlib.suppress(ImportError, pytest.skip.Exception):
            module = importlib.import_module(path.stem)
            drivers |= {cls.driver for cls in vars(module).values() if isinstance(getattr(cls, "driver", None), type)}
    speaks_http = [d for d in drivers if issubclass(d, Driver) and d.served_at.__func__ is Driver.served_at.__func__]
    return sorted(speaks_http, key=lambda d: (d.__module__, d.__qualname__))


class SpoilingProxy:
    """Passes requests to ``target``, and spoils the bodies of answers as ``seed`` says; None spoils nothing."""

    def __init__(self, target):
        self.target = target
        self.seed = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._pass, args=(self._listener.accept()[0],), daemon=True).start()

    def _pass(self, client):
        host, port = self.target.removeprefix("http://").split(":")
        with client, socket.create_connection((host, int(port))) as provider, contextlib.suppress(OSError):
            threading.Thread(target=self._requests, args=(client, provider), daemon=True).start()
            try:
                self._answers(client, provider)
            finally:  # closing alone would not end it while the other thread reads
                client.shutdown(socket.SHUT_RDWR)

    def _answers(self, client, provider):
        spoil, head, in_body = Spoil(self.seed), b"", False
        # A spoilt length makes a client wait for more than there is: the connection is closed then.
        provider.settimeout(0.5)
        while data := provider.recv(65536):
            if not in_body:
                head += data
                start, empty, data = head.partition(b"\r\n\r\n")
                if not empty:
                    continue
                client.sendall(start + empty)
                in_body = True
            client.sendall(spoil(data))
            if spoil.over:
                break

    def _requests(self, client, provider):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                provider.sendall(data)
            provider.shutdown(socket.SHUT_WR)


class Spoil:
    """Changes the bytes that pass, at places that only the seed decides."""

    def __init__(self, seed):
        chance = random.Random(seed)
        self.what = None if seed is None else SPOILS[seed % len(SPOILS)]
        self.at = sorted(chance.sample(range(2, 500), 12 if self.what == "bytes" else 1))
        self.by = [chance.choice(b'0\x00\xff"{}[],:n\n\r e-') for _ in self.at]
        self.passed = 0
        self.over = False

    def __call__(self, data):
        first, self.passed = self.passed, self.passed + len(data)
        if self.what in ("byte", "bytes", "zero"):
            changed = bytearray(data)
            for at, by in zip(self.at, self.by, strict=True):
                if first <= at < self.passed:
                    changed[at - first] = 0 if self.what == "zero" else by
            return bytes(changed)
        if self.what == "type":  # as long as what it replaces: the framing stays right
            data = re.sub(rb'"model": ?"([^"]{4,})"', lambda m: b'"model": ' + b"[7]".ljust(len(m[0]) - 9), data)
            return data.replace(b'"usage": {', b'"usage":[{').replace(b'"id"', b'"di"')
        if self.what in ("cut", "double") and first <= self.at[0] < self.passed:
            self.over = True
            return data[: self.at[0] - first] * (2 if self.what == "double" else 1)
        return data


@pytest.fixture(scope="module")
def world():
    with FakeProvider() as provider:
        proxy = SpoilingProxy(provider.url)
        yield provider, proxy, Observed(InMemoryMetricReader())
        proxy.close()


async def use(script, driver, mode, url):
    """Make a call whose answer comes whole, and one that is streamed."""
    sdk = driver(url, is_async=mode == "async")
    with contextlib.suppress(NotImplementedError):
        await _noted(script, "whole", sdk.create)
    with contextlib.suppress(NotImplementedError):
        await _noted(script, "stream", lambda: _stream(script, sdk))
    gc.collect()
    await asyncio.sleep(0)


async def _stream(script, sdk):
    stream = await sdk.stream()
    script.note("type", seen(stream)[:2])
    return await sdk.items(stream)


async def _noted(script, name, action):
    try:
        script.note(name, seen(await action()))
    except NotImplementedError:
        raise
    except Exception as error:
        script.note(name, [(*seen(e)[:2], _steady(str(e))) for e in chain(error)])


def _steady(text):
    return re.sub(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+\.\d+|..:..:.. GMT|127.0.0.1:\d+", "", text)


def outcome(world, driver, mode, seed):
    provider, proxy, _ = world
    proxy.seed = seed
    provider.number = 0
    provider.requests.clear()
    notes = asyncio.run(Script().run_async(use, driver, mode, proxy.url))
    return _steady(str(notes)), [(r.method, r.path, r.body) for r in provider.requests]


MODES = [(driver, mode) for driver in found() for mode in driver.modes]


@pytest.mark.parametrize(("driver", "mode"), MODES, ids=[f"{d.distribution}-{d.__name__}-{m}" for d, m in MODES])
def test_spoilt_answers_are_what_they_are_without_us(world, driver, mode, caplog):
    observed = world[2]
    if not outcome(world, driver, mode, None)[1]:
        pytest.skip(f"{driver.distribution} does not ask the URL it is given")
    compared = 0
    for seed in SEEDS:
        without_us = outcome(world, driver, mode, seed)
        if outcome(world, driver, mode, seed) != without_us:
            continue  # what an SDK says of this fault is not the same each time: nothing to compare with
        caplog.clear()
        with observed.on():
            assert outcome(world, driver, mode, seed) == without_us, (seed, SPOILS[seed % len(SPOILS)])
        compared += 1
        counted, started, ended = observed.since()
        assert started == len(ended) == len(counted), seed
        assert [r.getMessage() for r in caplog.records if r.name == "otel_llm_routing"] == [], seed
    assert compared >= len(SEEDS) / 2


logging.getLogger("httpx").setLevel(logging.WARNING)
