"""``@surface`` on everything that can be decorated: it is in force, and the kind of what it decorates is kept."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import gc
import inspect
import pickle
import types
import warnings

import pytest
from test_surface import here

from otel_llm_routing import surface

on_a = surface("a")


async def coroutine(x=1):
    await asyncio.sleep(0)
    return here(), x


def generator(x=1):
    yield here(), x


async def async_generator(x=1):
    yield here(), x


def plain(x=1):
    return here(), x


def bare(function):
    """Decorate as those do who forget ``functools.wraps``: nothing tells what the function gives."""

    def called(*args, **kwargs):
        return function(*args, **kwargs)

    return called


class Called:
    """An object that is called, whose call gives what ``function`` gives, of which nothing tells either."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def other(self):
        return self.function


async def given(result):
    """All that comes of a result, which ends the surface where it should end."""
    if inspect.isasyncgen(result):
        [item] = [item async for item in result]
    elif inspect.isgenerator(result):
        [item] = list(result)
    else:
        item = await result if inspect.isawaitable(result) else result
    assert here() == "unknown"
    return item


FUNCTIONS = [plain, coroutine, generator, async_generator]
MADE = {
    "itself": lambda f: f,
    "by a decorator without wraps": bare,
    "a partial": lambda f: functools.partial(f, 1),
    "a partial of what a decorator made": lambda f: functools.partial(bare(f), 1),
    "a method": lambda f: types.MethodType(lambda self, *args: f(*args), object()),
    "an object": Called,
    "a partial of an object": lambda f: functools.partial(Called(f)),
    "a cache": lambda f: functools.lru_cache(bare(f)),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("made", MADE)
async def test_what_runs_at_once_or_later_is_for_the_surface(made, function):
    result, without_us = on_a(MADE[made](function))(), function()
    assert type(result) is type(without_us)
    assert await given(result) == ("a", 1)
    assert await given(without_us) == ("unknown", 1)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
async def test_an_object_whose_call_is_of_a_kind_is_a_function_of_that_kind(function):
    async def async_call(self, x=1):
        return await coroutine(x)

    def generator_call(self, x=1):
        yield from generator(x)

    async def async_generator_call(self, x=1):
        async for item in async_generator(x):
            yield item

    calls = {coroutine: async_call, generator: generator_call, async_generator: async_generator_call}
    handler = type("Handler", (), {"__call__": calls.get(function, lambda self, x=1: plain(x))})()
    decorated = on_a(handler)
    for kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert kind(decorated) is kind(function)
    assert await given(decorated(2)) == ("a", 2)
    assert str(inspect.signature(decorated)) == "(x=1)"
    if function is not plain:
        assert (decorated.__name__, decorated.__wrapped__) == ("Handler", handler)


class Product:
    @on_a
    @staticmethod
    def static_below():
        return here()

    @staticmethod
    @on_a
    def static_above():
        return here()

    @on_a
    @classmethod
    def class_below(cls):
        return cls.__name__, here()

    @classmethod
    @on_a
    def class_above(cls):
        return cls.__name__, here()

    @on_a
    @classmethod
    async def later(cls):
        return cls.__name__, here()

    @property
    @on_a
    def title(self):
        return here()

    @functools.cached_property
    @on_a
    def kept(self):
        return here()

    @on_a
    def method(self, x):
        return x, here()

    partial = functools.partialmethod(method, 5)

    @on_a
    @functools.lru_cache  # noqa: B019
    def cached(self):
        return type(self).__name__, here()


class Special(Product):
    pass


async def test_methods_of_every_kind_in_either_order():
    product = Special()
    assert Special.static_below() == product.static_below() == Special.static_above() == "a"
    assert Special.class_below() == product.class_below() == product.class_above() == ("Special", "a")
    assert await Special.later() == ("Special", "a")
    assert (product.title, product.kept) == ("a", "a")
    assert (product.method(1), product.partial()) == ((1, "a"), (5, "a"))
    assert product.cached() == ("Special", "a")
    assert Special.cached.cache_info().currsize == 1
    assert here() == "unknown"


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Product, "not the class Product: decorate its methods"),
        (property(lambda self: 1), "not a property: put it below"),
        (functools.cached_property(lambda self: 1), "not a cached_property: put it below"),
        (functools.partialmethod(plain), "not a partialmethod: put it below"),
        (functools.singledispatchmethod(plain), "not a singledispatchmethod: put it below"),
        (None, "not a NoneType"),
        ("autocomplete", "not a str"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_be_for_the_surface_is_refused_where_it_is_decorated(thing, message):
    with pytest.raises(TypeError, match=message):
        on_a(thing)


@pytest.mark.parametrize("thing", [plain, coroutine, Product])
def test_a_forgotten_name_is_told_at_once(thing):
    with pytest.raises(TypeError, match=r'write @surface\("name"\)'):
        surface(thing)


# What a plain function gives --------------------------------------------------------------------------------------


async def test_what_is_not_run_later_is_handed_on_as_it_is():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    future.set_result(7)
    assert on_a(lambda: future)() is future
    task = on_a(lambda: loop.create_task(coroutine()))()
    assert isinstance(task, asyncio.Task)
    assert await task == ("a", 1)  # made inside, it carries the surface by itself
    items = iter([1])
    manager = contextlib.nullcontext()
    assert on_a(lambda: items)() is items
    assert on_a(lambda: manager)() is manager


def test_a_generator_that_somebody_has_begun_is_handed_on_as_it_is():
    shared = (n for n in range(4))
    assert next(shared) == 0
    function = on_a(lambda: shared)
    for item in function():
        assert item == 1
        break
    assert list(function()) == [2, 3]


async def test_what_is_thrown_into_a_generator_that_was_returned_reaches_it():
    def steps():
        try:
            yield here()
        except KeyError:
            yield "caught", here()
        finally:
            closed.append(here())

    closed = []
    running = on_a(bare(steps))()
    assert next(running) == "a"
    assert running.throw(KeyError()) == ("caught", "a")
    running.close()
    assert closed == ["a"]
    assert here() == "unknown"


@types.coroutine
def awaited_generator():
    yield
    return here()


@pytest.mark.parametrize("make", [lambda f: f, bare])
async def test_a_generator_that_can_be_awaited_can_still_be(make):
    decorated = on_a(make(awaited_generator))
    assert inspect.isgenerator(decorated())
    assert await decorated() == "a"


async def test_a_coroutine_that_is_given_up_before_it_starts_is_complained_of_as_without_us():
    function = on_a(bare(coroutine))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        function().close()
        task = asyncio.ensure_future(function())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
        assert [str(w.message) for w in told] == []
        function()
        gc.collect()
    assert [str(w.message) for w in told] == ["coroutine 'coroutine' was never awaited"]


# Objects with more to them than a call ----------------------------------------------------------------------------


def test_an_object_stays_what_it_is():
    called = Called(plain)
    decorated = on_a(called)
    assert isinstance(decorated, Called)
    assert decorated.other() is plain
    for same in (decorated, copy.copy(decorated), copy.deepcopy(decorated), unpickled(decorated)):
        assert isinstance(same, Called)
        assert same() == ("a", 1)


@on_a
@functools.lru_cache
def remembered():
    return here()


def unpickled(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301  (it was pickled here)


def test_a_cache_can_be_cleared_and_is_pickled_by_its_name():
    assert remembered() == "a"
    assert remembered.cache_info().currsize == 1
    remembered.cache_clear()
    assert remembered.cache_info().currsize == 0
    assert unpickled(remembered) is remembered


def test_a_surface_can_be_copied_and_pickled():
    for same in (copy.copy(on_a), copy.deepcopy(on_a), unpickled(on_a)):
        with same:
            assert here() == "a"


# In frameworks, above and below their own decorators --------------------------------------------------------------


@pytest.fixture
def web():
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    app = fastapi.FastAPI()

    @app.get("/below/{n}")
    @on_a
    async def below(n: int, q: str = "q"):
        return [n, q, here()]

    @on_a
    @app.get("/above/{n}")
    def above(n: int):
        return [n, "", here()]

    class Handler:
        async def __call__(self, n: int):
            return [n, "", here()]

    app.get("/object/{n}")(on_a(Handler()))
    app.get("/partial/{n}")(on_a(functools.partial(below.__wrapped__, q="p")))

    @on_a
    async def dependency(q: str = "d"):
        yield q + here()

    @app.get("/depends/{n}")
    def depends(n: int, q: str = fastapi.Depends(dependency)):
        return [n, q, here()]

    return testclient.TestClient(app)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("below", [1, "q", "a"]),
        ("above", [1, "", "unknown"]),  # FastAPI has kept what was there before it was decorated
        ("object", [1, "", "a"]),
        ("partial", [1, "p", "a"]),
        ("depends", [1, "da", "unknown"]),
    ],
)
def test_handlers_of_fastapi(web, path, answer):
    assert web.get(f"/{path}/1").json() == answer


def test_handlers_of_flask():
    flask = pytest.importorskip("flask")
    app = flask.Flask("app")

    @app.route("/below/<int:n>")
    @on_a
    def below(n):
        return f"{n} {here()}"

    @on_a
    @app.route("/above/<int:n>")
    def above(n):
        return f"{n} {here()}"

    app.add_url_rule("/object/<int:n>", "object", on_a(Called(below.__wrapped__)))
    answers = [app.test_client().get(f"/{path}/1").text for path in ("below", "above", "object")]
    assert answers == ["1 a", "1 unknown", "1 a"]


def test_commands_of_click(capsys):
    click = pytest.importorskip("click")

    @click.group()
    def group():
        pass

    @group.command()
    @on_a
    @click.option("--n", default=1)
    def below(n):
        print(n, here())

    @on_a
    @group.command()
    @click.option("--n", default=1)
    def above(n):
        print(n, here())

    group(["below", "--n", "2"], standalone_mode=False)
    group(["above", "--n", "3"], standalone_mode=False)
    above(["--n", "4"], standalone_mode=False)
    assert isinstance(above, click.Command)
    assert capsys.readouterr().out == "2 a\n3 unknown\n4 a\n"


def test_tasks_of_celery():
    celery = pytest.importorskip("celery")
    app = celery.Celery("app", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_always_eager = True

    @app.task(name="below", bind=True)
    @on_a
    def below(self, n):
        return self.name, n, here()

    @on_a
    @app.task(name="above")
    def above(n):
        return n, here()

    assert below.delay(1).get() == ("below", 1, "a")
    assert isinstance(above, celery.Task)
    assert above.delay(1).get() == (1, "unknown")  # a worker runs the task that Celery has kept
    assert above(1) == (1, "a")


@pytest.fixture
@on_a
def fixture(request):
    yield here()
    assert here() == "a"


@on_a
@pytest.mark.parametrize("n", [1])
def test_a_test_decorated_above_its_marks(n, fixture):
    assert (here(), fixture) == ("a", "a")


@pytest.mark.parametrize("n", [1])
@on_a
async def test_a_test_decorated_below_its_marks(n, fixture):
    assert (here(), fixture) == ("a", "a")
