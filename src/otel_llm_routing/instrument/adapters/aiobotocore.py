"""aiobotocore 2.16 to 3.10, and aioboto3 above it: bedrock-runtime as in ``boto3``, asynchronous.

``AioBaseClient._make_api_call`` is a method of its own, as are the iteration of its event streams and the reading of
its bodies (sources: aiobotocore 2.16.0 and 3.10.0 ``client.py``, ``eventstream.py``, ``response.py``).
"""

from __future__ import annotations

import sys
from typing import Any

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters import aws_body
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.boto3 import begin, call_of, close, finish

BODIES = ("AioStreamingBodyBase", "AioStreamingBody", "AioHttpxStreamingBody", "StreamingBody", "HttpxStreamingBody")
"""Bodies over aiohttp and over httpx; some names are others' older ones."""
METHODS = {
    "read": aws_body.read_async,
    "readinto": aws_body.read_async,
    "close": aws_body.close,
    "aclose": aws_body.close,
    "__aenter__": aws_body.enter_async,
    "__aexit__": aws_body.leave,
}


class AioBotocoreAdapter(Adapter):
    """Hooks aiobotocore."""

    def hook(self, sdk: Any) -> None:
        """Hook the module ``aiobotocore.client``, and what it has imported to read answers."""
        self.surround(getattr(sdk, "AioBaseClient", None), "_make_api_call", begin, finish, inside=True)
        events = getattr(sys.modules.get("aiobotocore.eventstream"), "AioEventStream", None)
        self.wrap(events, "__aiter__", iterate)
        self.wrap(getattr(sys.modules.get("botocore.eventstream"), "EventStream", None), "close", close)
        response = sys.modules.get("aiobotocore.response")
        bodies = [getattr(response, name) for name in BODIES if hasattr(response, name)]
        if not bodies:
            self.missing(*BODIES)
        for body in dict.fromkeys(bodies):
            for name, wrapper in METHODS.items():
                if name in body.__dict__:
                    self.wrap(body, name, wrapper)


def iterate(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Look at the events of a stream as they pass."""
    call = call_of(instance)
    events = wrapped(*args, **kwargs)
    return events if call is None else streams.async_items(events, call, call.request.read, resumes=True)


ADAPTER = AioBotocoreAdapter("aiobotocore", "aws.bedrock")
