"""boto3 and botocore: Converse, ConverseStream, InvokeModel and InvokeModelWithResponseStream of bedrock-runtime.

Every call of every AWS service goes through ``BaseClient._make_api_call(operation_name, api_params)`` (source: botocore
1.35.76 to 1.44.8 ``client.py``), retries included; what is no call to a model is passed on after one look at its name.

A stream keeps the exact type ``botocore.eventstream.EventStream``: its class's ``__iter__`` and ``close`` are hooked,
and look for a call on the object. It can be iterated again from where it was left, so only its end, ``close()`` and its
collection end the call. The body of InvokeModel: see ``aws_body``.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters import aws_body
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.bedrock import (
    converse_size,
    read_chunk,
    read_converse,
    read_converse_event,
    read_headers,
    read_vendor,
    vendor_request,
)
from otel_llm_routing.instrument.call import Call, CallRequest
from otel_llm_routing.models import clean_model

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "bedrock-runtime"


class Operation(NamedTuple):
    """An operation of the service that is a call to a model."""

    read: Callable[[Call, Any], None]
    stream: bool
    vendors: bool
    """Request and answer are the model's vendor's."""


OPERATIONS = {
    "Converse": Operation(read_converse, stream=False, vendors=False),
    "ConverseStream": Operation(read_converse_event, stream=True, vendors=False),
    "InvokeModel": Operation(read_vendor, stream=False, vendors=True),
    "InvokeModelWithResponseStream": Operation(read_chunk, stream=True, vendors=True),
}
CALL = "_self_llm_routing"
"""Attribute of an event stream that holds what ends its call."""


class Boto3Adapter(Adapter):
    """Hooks botocore, which boto3 calls."""

    def hook(self, sdk: Any) -> None:
        """Hook the module ``botocore.client``, and what it has imported to read answers."""
        self.surround(getattr(sdk, "BaseClient", None), "_make_api_call", begin, finish, inside=True)
        events = _event_stream() or None
        self.wrap(events, "__iter__", iterate)
        self.wrap(events, "close", close)
        body = getattr(sys.modules.get("botocore.response"), "StreamingBody", None)
        for name in ("read", "readlines", "readinto"):
            if name != "readinto" or hasattr(body, name):  # newer than the others
                self.replace(body, name, aws_body.reading)
        self.wrap(body, "close", aws_body.close)
        self.wrap(body, "__enter__", aws_body.enter)
        self.wrap(body, "__exit__", aws_body.leave)


def begin(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:
    """Read a request, unless it is of another service, or no call to a model."""
    operation = OPERATIONS.get(args[0] if args else kwargs["operation_name"])
    if operation is None or client.meta.service_model.service_name != SERVICE:
        return None
    parameters = args[1] if len(args) > 1 else kwargs["api_params"]
    model = clean_model(parameters.get("modelId"))
    if operation.vendors:
        asked, size = vendor_request(model, parameters.get("body"))
    else:
        asked, size = "chat", converse_size(parameters)
    if asked is None:
        return None
    request = CallRequest(asked, "aws.bedrock", model, operation.read)
    request.stream = operation.stream
    request.input_size = size
    request.address, request.port = _server(client.meta.endpoint_url)
    return request


def finish(call: Call, result: Any) -> Any:
    """Read an answer that is whole; let the application's reading end the call of another."""
    headers = _headers(result)
    call.headers([(name.encode(), value.encode()) for name, value in headers.items()])
    read_headers(call, headers)
    if call.request.read is read_converse:
        read_converse(call, result)
        call.end()
    elif not call.request.stream:
        aws_body.observe(result.get("body"), call, headers.get("content-length"))
    else:
        events = result.get("stream", result.get("body"))
        while (within := getattr(events, "__wrapped__", None)) is not None:  # of somebody else's instrumentation
            events = within
        if isinstance(events, _event_stream()):
            setattr(events, CALL, streams.Dropped(call))
        else:
            call.end()  # a stand-in for a stream, in somebody's test
    return result


def iterate(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Look at the events of a stream as they pass."""
    call = call_of(instance)
    events = wrapped(*args, **kwargs)
    return events if call is None else streams.items(events, call, call.request.read, resumes=True)


def close(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """End the call of a stream that the application is done with."""
    call = call_of(instance)
    if call is not None:
        call.end()
    return wrapped(*args, **kwargs)


def call_of(stream: Any) -> Call | None:
    """Return the call of an event stream; those of other services have none."""
    dropped = getattr(stream, CALL, None)
    return None if dropped is None or dropped.call.ended else dropped.call


def _event_stream() -> Any:
    return getattr(sys.modules.get("botocore.eventstream"), "EventStream", ())


def _headers(result: Any) -> dict[str, str]:
    found = (result.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    return {name: value for name, value in found.items() if type(value) is str}


@lru_cache(maxsize=64)
def _server(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


ADAPTER = Boto3Adapter("botocore", "aws.bedrock")
