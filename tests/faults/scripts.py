"""What applications do with a call, each as a script of steps whose every result is noted."""

from __future__ import annotations

from driver import each, entered, settled
from outcomes import seen
from sdk_drivers import AnthropicMessages, OpenAIChat, OpenAIResponses

APIS = {"openai chat": OpenAIChat, "openai responses": OpenAIResponses, "anthropic messages": AnthropicMessages}


class ApplicationsOwnError(Exception):
    """Raised by the application in the middle of a stream."""


def http(script, name, response):
    """Note how far an HTTP response was read, and whether it is closed."""
    script.note(name, (response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded > 0))


async def whole(script, sdk, how):
    """A call whose result is used as it is."""
    result = await sdk.create()
    script.note("result", seen(result))
    script.note("request id", seen(getattr(result, "_request_id", None)))


async def raw(script, sdk, how):
    """A raw response, its bytes and what they are parsed to."""
    response = await sdk.raw()
    http(script, "before", response.http_response)
    script.note("content", (response.status_code, list(response.headers.items()), response.content))
    script.note("parsed", seen(await settled(response.parse())))


async def streaming_response(script, sdk, how):
    """A response whose body the application reads by itself, or leaves alone."""
    async with sdk.streaming_response(**({"stream": True} if how["streamed"] else {})) as response:
        http(script, "before", response.http_response)
        if how["leave"] == "nothing":
            return
        if how["leave"] == "error":
            raise ApplicationsOwnError
        if how["streamed"]:
            n = 0
            lines = response.iter_lines()
            async for line in each(lines):
                script.note("line", line)
                n += 1
                if n == how["limit"]:
                    break
            await _shut(lines)
        else:
            script.note("bytes", await settled(response.read()))
            script.note("parsed", seen(await settled(response.parse())))
    http(script, "after", response.http_response)


async def stream(script, sdk, how):
    """A stream, read to its end or left after some items in one of the ways there are."""
    found = await sdk.stream()
    script.note("stream", seen(found))
    http(script, "before", found.response)
    if how["leave"] == "error":
        async with entered(found) as entry:
            await _read(script, entry, how)
            raise ApplicationsOwnError
    if how["leave"] == "with":
        async with entered(found) as entry:
            await _read(script, entry, how)
    else:
        await _read(script, found, how)
        if how["leave"] == "close":
            await sdk.close(found)
    http(script, "after", found.response)
    await sdk.close(found)


async def helper(script, sdk, how):
    """The SDK's own helper around a stream, which accumulates what comes."""
    kwargs = sdk.arguments()
    async with entered(sdk.resource(sdk.client).stream(**kwargs)) as found:
        script.note("stream", seen(found)[:2])
        await _read(script, found, how)
        final = getattr(found, "get_final_message", None) or getattr(found, "get_final_completion", None)
        if final is not None and how["limit"] is None:
            script.note("final", seen(await settled(final())))


SCRIPTS = {s.__name__: s for s in (whole, raw, streaming_response, stream, helper)}


async def _read(script, found, how):
    n = 0
    async for item in each(found):
        script.note("item", seen(item))
        n += 1
        if n == how["limit"]:
            break


async def _shut(generator):
    await settled((getattr(generator, "aclose", None) or generator.close)())
