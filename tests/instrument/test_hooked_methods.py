"""A hooked method or function is copied, pickled, compared and looked into as it is without us."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import importlib
import inspect
import pickle
import sys
from dataclasses import asdict, dataclass
from types import MethodType
from typing import Any

import pytest
from driver import begin

from otel_llm_routing.instrument.adapters import SDKS
from otel_llm_routing.instrument.hook import Hook

HERE = sys.modules[__name__]


def ask(text: str = "hello") -> str:
    """Ask once."""
    return text


class Client:
    """One of an SDK: it has methods of every kind, and can be copied and pickled."""

    def __init__(self, key="k"):
        self.key = key

    def chat(self, text: str, *, model: str = "m") -> str:
        """Chat."""
        return f"{self.key} {text}"

    async def achat(self, text: str) -> str:
        return f"{self.key} {text}"

    def stream(self, text: str):
        yield self.key
        yield text

    async def astream(self, text: str):
        yield self.key
        yield text

    @classmethod
    def embed(cls, text: str) -> str:
        return f"{cls.__name__} {text}"

    @staticmethod
    def rank(text: str) -> str:
        return text


class Derived(Client):
    pass


METHODS = ("chat", "achat", "stream", "astream", "embed", "rank")


@pytest.fixture
def adapter(adapter):
    for name in METHODS:
        assert adapter.surround(Client, name, begin)
    assert adapter.surround(HERE, "ask", begin)
    return adapter


async def answer(method, text="hi"):
    """Call a method of any kind, and return all that it gives."""
    given = method(text)
    if inspect.isasyncgen(given):
        return [item async for item in given]
    return list(given) if inspect.isgenerator(given) else await given if inspect.isawaitable(given) else given


def unpickled(data):
    return pickle.loads(data)  # noqa: S301  (it was pickled here)


def pickled(value):
    return unpickled(pickle.dumps(value))


def in_a_partial(method):
    return copy.deepcopy(functools.partial(method))


@dataclass
class Job:
    method: Any


def in_a_dataclass(method):
    return asdict(Job(method))["method"]


WAYS = [copy.copy, copy.deepcopy, pickled, pickle._dumps, in_a_partial, in_a_dataclass]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("of", ["instance", "derived", "class"])
async def test_a_copy_of_a_method_is_a_method_of_a_copy_and_its_calls_are_counted(adapter, telemetry, way, name, of):
    client = Client("1") if of == "instance" else Derived("1")
    method = getattr(client if of != "class" else Client, name)
    if of == "class" and name not in ("embed", "rank"):
        method = functools.partial(method, client)
    copied = way(method)
    if way is pickle._dumps:  # Python's own, in Python
        copied = pickle._loads(copied)
    client.key = "2"
    key = "2" if way is copy.copy else "1"
    derived = {"instance": "Client", "derived": "Derived", "class": "Client"}[of]
    given = {"embed": f"{derived} hi", "rank": "hi", "stream": [key, "hi"], "astream": [key, "hi"]}
    assert await answer(copied) == given.get(name, f"{key} hi")
    assert len(telemetry.counted()) == 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_is_pickled_names_nothing_of_this_package(adapter, protocol):
    for value in (ask, Client("1").chat, Client.chat, Client.embed, Client.rank):
        assert b"otel_llm_routing" not in pickle.dumps(value, protocol)
        assert unpickled(pickle.dumps(value, protocol)) == value or value.__self__.key == "1"


def test_a_function_of_a_module_is_pickled_by_its_name(adapter, telemetry):
    assert pickled(ask) is copy.copy(ask) is copy.deepcopy(ask) is ask
    assert pickled(ask)("hi") == "hi"
    assert len(telemetry.counted()) == 1


def test_what_was_pickled_while_hooked_is_plain_after_uninstrumenting(adapter, telemetry):
    dumped = pickle.dumps([ask, Client("1").chat, Client.chat])
    adapter.uninstrument()
    function, method, unbound = unpickled(dumped)
    assert function is ask
    assert type(method) is MethodType
    assert unbound is Client.chat
    assert telemetry.counted() == []


def test_a_client_that_is_no_copy_cannot_have_its_method_copied_as_without_us(adapter):
    client = Client(key=(i for i in "k"))
    for way in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="generator"):
            way(client.chat)


def test_methods_are_equal_and_hashed_as_methods_are(adapter):
    client, other = Client(), Client()
    assert client.chat == client.chat
    assert client.chat != other.chat
    assert len({client.chat, client.chat, other.chat}) == 2
    assert Client.chat == Client.chat


SEEN = (
    inspect.signature,
    inspect.getdoc,
    inspect.iscoroutinefunction,
    asyncio.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isfunction,
    inspect.ismethod,
    inspect.isroutine,
    inspect.getfullargspec,
    inspect.getsource,
)


def looked_into(value):
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__", "__annotations__")
    return [look(value) for look in SEEN] + [getattr(value, name) for name in names]


def every_form():
    client = Client()
    return [ask, *(getattr(of, name) for of in (client, Client) for name in METHODS)]


def test_what_can_be_learnt_of_a_method_is_what_it_is_without_us(adapter):
    with_us = [looked_into(value) for value in every_form()]
    adapter.uninstrument()
    assert with_us == [looked_into(value) for value in every_form()]


# The SDKs that are installed --------------------------------------------------------------------------------------


def hooks():
    """Every method and function of an installed SDK that a hook stands in for, as (owner, name, hook)."""
    packages = {sdk.on.partition(".")[0] for sdk in SDKS}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages and module is not None:
            members = list(vars(module).items())
            owners = [
                module,
                *(value for _, value in members if issubclass(type(value), type) and value.__module__ == name),
            ]
            for owner in owners:
                yield from ((owner, n, value) for n, value in vars(owner).items() if type(value) is Hook)


def test_every_hook_is_copied_and_pickled_as_what_it_hooks(telemetry):
    for sdk in SDKS:
        with contextlib.suppress(ImportError):
            importlib.import_module(sdk.on)
    found = list(hooks())
    assert found
    for owner, name, hook in found:
        value = getattr(owner, name)
        assert copy.copy(value) is copy.deepcopy(value) is value
        assert pickled(value) == value, (owner, name)
        made = instance(owner)
        bound = value if made is None else hook.__get__(made, owner)
        assert copy.copy(bound) == bound, (owner, name)
        if inspect.ismethod(bound) and bound.__self__ is made:
            assert tried(pickle.dumps, bound) == tried(pickle.dumps, hook.__wrapped__.__get__(made, owner))


def instance(owner):
    """An object of a class without what its ``__init__`` makes, or None: what it makes is rarely copied."""
    try:
        return owner.__new__(owner) if inspect.isclass(owner) else None
    except TypeError:
        return None


def tried(action, value):
    try:
        return action(value)
    except Exception as error:
        return type(error), str(error)
