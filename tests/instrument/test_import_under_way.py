"""An SDK that is being imported at the moment when the instrumentation starts, by another thread or further up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HELD = """
import sys, threading
from conftest import Telemetry
from fake_provider import FakeProvider
from otel_llm_routing import LLMRoutingInstrumentor
from otel_llm_routing.instrument.instrumentor import WAITING

telemetry = Telemetry()


class Held:
    "Comes by in the middle of the import of the SDK."

    def find_spec(self, name, path=None, target=None):
        if name == "openai._client":
            sys.meta_path.remove(self)
            in_the_middle()


def in_another_thread():
    reached, go_on = threading.Event(), threading.Event()

    def in_the_middle():
        reached.set()
        assert go_on.wait(30)

    globals()["in_the_middle"] = in_the_middle
    thread = threading.Thread(target=__import__, args=("openai",))
    thread.start()
    assert reached.wait(30)
    telemetry.instrument()
    go_on.set()
    thread.join()


def further_up():
    globals()["in_the_middle"] = telemetry.instrument
    import openai


sys.meta_path.insert(0, Held())
globals()[sys.argv[1]]()
for thread in threading.enumerate():
    if thread.name == WAITING:
        thread.join()
import openai

with FakeProvider() as provider, openai.OpenAI(base_url=provider.url + "/v1", api_key="k") as client:
    client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "hello"}])
print(telemetry.one()["gen_ai.response.model"])
LLMRoutingInstrumentor().uninstrument()
"""


@pytest.mark.parametrize("where", ["in_another_thread", "further_up"])
def test_its_calls_are_counted_once_it_is_there(where):
    pytest.importorskip("openai", reason="openai is not in this environment; make test has it")
    path = os.pathsep.join([str(HERE), str(HERE.parent.parent / "examples")])
    done = subprocess.run(
        [sys.executable, "-c", HELD, where],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["gpt-5-2025-08-07"]), done.stderr
    assert done.stderr == ""
