"""What is particular to the cerebras-cloud-sdk: its namespace package, and the request that warms up a connection."""

from __future__ import annotations

import pytest
from conformance import CallHeader, Calls, Raw, Retries, Streams
from driver import settled
from sdk_drivers import StainlessDriver

cerebras = pytest.importorskip("cerebras.cloud.sdk", reason="the cerebras-cloud-sdk package is not installed")


class CerebrasChat(StainlessDriver):
    """Chat completions of the cerebras-cloud-sdk."""

    distribution = "cerebras-cloud-sdk"
    package = "cerebras.cloud.sdk"
    provider = "cerebras"
    label = "chat.completions"
    requested = served = "llama3.1-8b"
    kind, match = "unknown", "exact"
    halfway = match

    def make(self, url, is_async, options):
        self.url = url
        cls = cerebras.AsyncCerebras if is_async else cerebras.Cerebras
        return cls(base_url=url, warm_tcp_connection=False, **options)

    def resource(self, client):
        return client.chat.completions

    async def retrying(self, retries):
        # A client made by ``with_options`` warms its connection up again, which is one more request.
        client = self.make(self.url, self.is_async, {"api_key": "k", "max_retries": retries})
        return await settled(self.resource(client).create(**self.arguments()))


class CerebrasCompletions(CerebrasChat):
    """Text completions of the cerebras-cloud-sdk."""

    label = "completions"
    operation = "text_completion"

    def resource(self, client):
        return client.completions

    def arguments(self, **more):
        return {"model": self.requested, "prompt": "hello", **more}


class TestChat(Calls, Streams, Raw, Retries, CallHeader):
    driver = CerebrasChat


class TestCompletions(Calls, Streams):
    driver = CerebrasCompletions


def test_what_is_not_a_call_to_a_model_is_not_counted(provider, telemetry):
    client = cerebras.Cerebras(api_key="k", base_url=provider.url, max_retries=0)
    client.models.list()
    assert [r.path for r in provider.requests] == ["/v1/tcp_warming", "/v1/models"]
    assert telemetry.spans == []
    assert telemetry.counted() == []
