"""The pytest plugin: real sessions of pytest, in processes of their own, whose tests ask a fake provider."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from otel_llm_routing.analyze.evals.reading import read_cases

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT / "examples"),
    "COLUMNS": "200",
    # Every client loads the certificates of the world's authorities, which takes 50 ms; nothing here speaks TLS.
    "SSL_CERT_FILE": str(ROOT / "tests" / "instrument" / "no_authority.pem"),
}
HAIKU, GPT = "claude-haiku-4-5-20251001", "gpt-5-2025-08-07"
CONFTEST = """
    import pytest
    from fake_provider import FakeProvider
    from openai import AsyncOpenAI, OpenAI

    MESSAGES = [{"role": "user", "content": "hello"}]

    @pytest.fixture(scope="session")
    def provider():
        with FakeProvider() as provider:
            yield provider

    @pytest.fixture
    def ask(provider):
        provider.answers()
        client = OpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0)
        return lambda model="auto", **more: client.chat.completions.create(model=model, messages=MESSAGES, **more)

    @pytest.fixture
    def ask_async(provider):
        client = AsyncOpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0)
        return lambda: client.chat.completions.create(model="auto", messages=MESSAGES)

    @pytest.fixture(scope="session")
    def asks_for_all(provider):
        client = OpenAI(api_key="k", base_url=f"{provider.url}/v1")
        asked = lambda: client.chat.completions.create(model="shared", messages=MESSAGES)
        asked()
        yield "an answer that several tests look at"
        asked()
"""
EVAL = """
    import threading
    import unittest

    import pytest
    from otel_llm_routing import surface

    pytestmark = pytest.mark.surface("autocomplete")

    def test_passes(ask):
        ask()

    def test_fails(ask):
        ask()
        assert 1 == 2

    def test_scored(ask, llm_routing):
        ask()
        llm_routing.score(0.9)
        llm_routing.score(0.25)

    def test_scored_and_failed(ask, llm_routing):
        ask()
        llm_routing.score(0.75)
        assert 1 == 2

    def test_without_a_call():
        pass

    @pytest.mark.skip
    def test_skipped():
        pass

    def test_skipped_halfway(ask):
        ask("skipped")
        pytest.skip("no")

    @pytest.fixture
    def broken():
        raise RuntimeError

    def test_not_set_up(broken):
        pass

    @pytest.fixture
    def breaks_later():
        yield
        raise RuntimeError

    def test_not_taken_down(ask, breaks_later):
        ask()

    @pytest.mark.xfail
    def test_expected_to_fail(ask):
        ask()
        assert 1 == 2

    @pytest.mark.xfail(strict=True)
    def test_expected_to_fail_that_passes(ask):
        ask()

    @pytest.mark.xfail(run=False)
    def test_not_run():
        pass

    @pytest.mark.parametrize("model", ["gpt-5", "claude-haiku-4-5"])
    def test_parametrised(ask, model):
        ask(model)

    @pytest.mark.asyncio
    async def test_asynchronous(ask_async):
        await ask_async()

    def test_in_a_thread(ask):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()

    def test_first_with_the_wide_fixture(ask, asks_for_all):
        ask()

    def test_second_with_the_wide_fixture(ask, asks_for_all):
        ask()

    def test_the_code_names_a_surface_itself(ask):
        with surface("search"):
            ask()

    held = []

    def test_stream_left_open(ask, provider):
        provider.answers(switch_to="gpt-5-2025-08-07")
        held.append(ask(stream=True))

    def test_that_reads_the_stream_of_another(ask):
        assert list(held.pop())

    def test_failed_call(ask, provider):
        provider.answers(fault="status:500")
        with pytest.raises(Exception):
            ask()

    def test_failed_call_and_another(ask, provider):
        provider.answers(fault="flaky:1")
        with pytest.raises(Exception):
            ask()
        ask()

    def test_cached_answer(ask, provider):
        provider.answers(headers={"x-litellm-cache-hit": "True", "cf-aig-cache-status": "HIT"})
        ask()

    def test_unconfirmed(ask, provider):
        provider.answers(model="auto")
        ask()

    def test_unreported(ask, provider):
        provider.answers(no_model=True)
        ask()

    @pytest.mark.surface("chart-tooltip")
    class TestClass:
        def test_of_a_class(self, ask):
            ask()

        @pytest.mark.surface("long-form-draft")
        def test_nearest(self, ask):
            ask()

    class TestUnittest(unittest.TestCase):
        def test_passing(self):
            pass

        def test_failing(self):
            self.fail("no")

        def test_skipping(self):
            self.skipTest("no")

    @pytest.mark.surface()
    def test_marker_without_a_name():
        pass
"""
ONE = {"conftest.py": "", "test_one.py": "def test_one(): pass"}
UNMARKED = """
    def test_unit():
        assert True

    def test_asks(ask):
        ask()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs pytest on files, as (output, exit code); ``folder`` is where it ran."""

    def run(files, *arguments, folder=None):
        run.folder = folder or tmp_path_factory.mktemp("session")
        for name, text in {"conftest.py": CONFTEST, **files}.items():
            (run.folder / name).write_text(dedent(text))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *arguments],
            cwd=run.folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return done.stdout + done.stderr, done.returncode

    return run


def cases_in(folder):
    """The cases by the names of their tests."""
    path = folder / "llm-routing-cases.jsonl"
    return {line["id"].rpartition("::")[2]: line for line in map(json.loads, path.read_text().splitlines())}


class Session:
    """A session with the eval, and what it wrote."""

    def __init__(self, run, *arguments):
        self.output, self.code = run({"test_eval.py": EVAL, "test_unmarked.py": UNMARKED}, "--llm-routing", *arguments)
        self.file = run.folder / "llm-routing-cases.jsonl"
        self.cases = cases_in(run.folder)

    def served(self, test):
        return [call["served_model"] for call in self.cases[test]["calls"]]


@pytest.fixture(scope="module")
def session(run):
    return Session(run)


# The cases ---------------------------------------------------------------------------------------------------------


def test_a_case_says_what_its_test_asked_for_and_what_served(session):
    assert session.cases["test_passes"] == {
        "schema": "otel-llm-routing/cases/v1",
        "id": "test_eval.py::test_passes",
        "surface": "autocomplete",
        "input_size": 5,
        "score": 1.0,
        "calls": [
            {
                "surface": "autocomplete",
                "input_size": 5,
                "provider": "openai",
                "requested_model": "auto",
                "served_model": HAIKU,
                "match": "resolved",
            }
        ],
    }


@pytest.mark.parametrize(
    ("test", "score"),
    [
        ("test_fails", 0.0),
        ("test_scored", 0.25),
        ("test_scored_and_failed", 0.75),
        ("test_not_set_up", None),
        ("test_not_taken_down", 1.0),
        ("test_expected_to_fail", 0.0),
        ("test_expected_to_fail_that_passes", 1.0),
        ("test_passing", 1.0),
        ("test_failing", 0.0),
    ],
)
def test_the_score_is_what_the_test_recorded_or_whether_it_passed(session, test, score):
    assert session.cases[test]["score"] == score


@pytest.mark.parametrize("test", ["test_skipped", "test_skipped_halfway", "test_skipping", "test_not_run", "test_unit"])
def test_what_is_skipped_or_has_nothing_to_do_with_models_is_no_case(session, test):
    assert test in EVAL + UNMARKED
    assert test not in session.cases


@pytest.mark.parametrize(
    ("test", "surface"),
    [
        ("test_of_a_class", "chart-tooltip"),
        ("test_nearest", "long-form-draft"),
        ("test_in_a_thread", "autocomplete"),
        ("test_asynchronous", "autocomplete"),
        ("test_asks", ""),
    ],
)
def test_the_surface_is_that_of_the_nearest_marker_whatever_makes_the_call(session, test, surface):
    case = session.cases[test]
    assert case["surface"] == surface
    assert [call["surface"] for call in case["calls"]] == [surface]


def test_a_surface_that_the_code_names_itself_is_kept_beside_the_markers(session):
    case = session.cases["test_the_code_names_a_surface_itself"]
    assert case["surface"] == "autocomplete"
    assert [call["surface"] for call in case["calls"]] == ["search"]


def test_every_parameter_is_a_case_of_its_own(session):
    assert session.served("test_parametrised[gpt-5]") == [GPT]
    assert session.served("test_parametrised[claude-haiku-4-5]") == [HAIKU]


def test_a_test_without_a_call_is_a_case_of_which_nothing_is_known(session):
    assert session.cases["test_without_a_call"]["calls"] == []
    assert session.cases["test_without_a_call"]["input_size"] is None


def test_calls_of_a_fixture_that_several_tests_share_belong_to_none_of_them(session):
    assert session.served("test_first_with_the_wide_fixture") == [HAIKU]
    assert session.served("test_second_with_the_wide_fixture") == [HAIKU]
    assert "shared" not in session.file.read_text()
    # Set up, taken down, and the test that was skipped halfway.
    assert "calls of no case, such as of fixtures that several tests share: 3" in session.output


def test_a_stream_that_ends_after_its_test_still_says_what_served_it(session):
    assert session.served("test_stream_left_open") == [GPT]
    assert session.served("test_that_reads_the_stream_of_another") == []


def test_a_failed_call_is_unreported_unless_another_answered(session):
    assert [(c["served_model"], c["match"]) for c in session.cases["test_failed_call"]["calls"]] == [("", "unreported")]
    assert session.served("test_failed_call_and_another") == [HAIKU]


def test_an_answer_from_a_cache_says_nothing_of_what_serves(session):
    assert session.cases["test_cached_answer"]["calls"] == []


def test_what_nobody_reported_is_never_a_copy_of_what_was_requested(session):
    unconfirmed, unreported = (session.cases[test]["calls"][0] for test in ("test_unconfirmed", "test_unreported"))
    assert (unconfirmed["served_model"], unconfirmed["match"]) == ("auto", "unconfirmed")
    assert (unreported["served_model"], unreported["match"]) == ("", "unreported")


def test_a_marker_without_a_name_fails_its_test_and_no_other(session):
    assert 'test_marker_without_a_name: @pytest.mark.surface() names no surface; write @pytest.mark.surface("' in (
        session.output
    )
    assert session.code == 1
    assert "test_marker_without_a_name" not in session.cases


def test_the_file_is_one_that_the_evals_commands_read(session):
    found = read_cases(session.file)
    assert found.warnings == []
    assert [case.id.rpartition("::")[2] for case in found.cases] == list(session.cases)
    for case, line in zip(found.cases, session.cases.values(), strict=True):
        assert (case.surface, case.size, case.score) == (line["surface"], line["input_size"], line["score"])
        assert [call.served for call in case.calls] == [call["served_model"] for call in line["calls"]]
        assert [call.size for call in case.calls] == [5] * len(case.calls)


def test_the_summary_counts_cases_and_calls_by_surface_and_served_model(session):
    start = session.output.index("llm-routing: which models served")
    rows = [line.split() for line in session.output[start:].splitlines()[2:]]
    of_haiku = [
        case
        for case in session.cases.values()
        if any(call["served_model"] == HAIKU and call["surface"] == "autocomplete" for call in case["calls"])
    ]
    assert ["autocomplete", HAIKU, str(len(of_haiku)), str(len(of_haiku))] in rows
    assert ["autocomplete", "(unconfirmed)", "1", "1"] in rows
    assert ["search", HAIKU, "1", "1"] in rows
    assert ["cases:", "llm-routing-cases.jsonl"] in rows


# Workers, and sessions that end early -------------------------------------------------------------------------------


def test_workers_of_xdist_find_the_same_cases(session, run):
    spread = Session(run, "-n", "2", "--dist", "loadfile")
    assert spread.cases == session.cases
    assert "calls of no case, such as of fixtures that several tests share: 3" in spread.output


THREE = """
    import os, signal
    import pytest

    pytestmark = pytest.mark.surface("autocomplete")

    def test_1():
        pass

    def test_2():
        pass

    def test_3():
        {end}
"""


def test_a_session_that_is_interrupted_writes_the_cases_that_were_finished(run):
    _, code = run(
        {"conftest.py": "", "test_three.py": THREE.format(end="os.kill(os.getpid(), signal.SIGINT)")}, "--llm-routing"
    )
    assert code == 2
    assert list(cases_in(run.folder)) == ["test_1", "test_2"]


def test_the_cases_of_a_worker_that_crashes_are_not_lost(run):
    files = {"conftest.py": "", "test_three.py": THREE.format(end="os._exit(1)")}
    output, _ = run(files, "--llm-routing", "-n", "1", "--max-worker-restart", "0")
    assert list(cases_in(run.folder)) == ["test_1", "test_2"], output


AGAIN = """
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item, nextitem):
        if "flaky" not in item.name:
            return None
        # As plugins that run failed tests again do: the reports of a failed attempt are not all told of.
        for attempt in range(3):
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            for report in reports[: None if attempt == 2 else 1]:
                item.ihook.pytest_runtest_logreport(report=report)
        return True
"""
WITHIN_ITS_CALL = """
    import pytest

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(item, call):
        # As pytest-retry does: between the report of the call and that of the tear-down, of which it makes none.
        report = (yield).get_result()
        while call.when == "call" and report.outcome != "passed":
            item.ihook.pytest_runtest_teardown(item=item, nextitem=None)
            item._initrequest()
            item.ihook.pytest_runtest_setup(item=item)
            again = pytest.CallInfo.from_call(lambda: item.ihook.pytest_runtest_call(item=item), when="call")
            report.outcome = "failed" if again.excinfo else "passed"
"""
FLAKY = """
    import pytest

    attempts = []

    @pytest.mark.surface("autocomplete")
    def test_flaky():
        attempts.append(1)
        assert len(attempts) == 3
"""


@pytest.mark.parametrize(("conftest", "workers"), [(AGAIN, "0"), (AGAIN, "1"), (WITHIN_ITS_CALL, "0")])
def test_a_test_that_is_run_again_is_a_case_of_several_runs(run, conftest, workers):
    output, code = run({"conftest.py": conftest, "test_flaky.py": FLAKY}, "--llm-routing", "-n", workers)
    assert code == 0, output
    lines = map(json.loads, (run.folder / "llm-routing-cases.jsonl").read_text().splitlines())
    assert sorted((line["id"], line["score"]) for line in lines) == [
        ("test_flaky.py::test_flaky", 0.0),
        ("test_flaky.py::test_flaky", 0.0),
        ("test_flaky.py::test_flaky", 1.0),
    ]


FORKED = """
    import json, os
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item, nextitem):
        if "forked" not in item.name:
            return None
        # As pytest-forked and pytest-isolate do: the test runs in a process of its own, which sends its reports.
        hooks, config = item.config.hook, item.config
        reading, writing = os.pipe()
        if os.fork() == 0:
            reports = runtestprotocol(item, log=False)
            sent = [hooks.pytest_report_to_serializable(config=config, report=report) for report in reports]
            with open(writing, "w") as file:
                json.dump(sent, file)
            os._exit(0)
        os.close(writing)
        with open(reading) as file:
            for sent in json.load(file):
                report = hooks.pytest_report_from_serializable(config=config, data=sent)
                item.ihook.pytest_runtest_logreport(report=report)
        os.wait()
        return True
"""
IN_FORKS = """
    import pytest

    pytestmark = pytest.mark.surface("autocomplete")

    def test_before():
        pass  # without the provider: a thread of this process would not be there in those to come

    def test_forked(ask):
        ask()

    def test_forked_and_scored(asks_for_all, ask, llm_routing):
        ask()
        llm_routing.score(0.25)

    def test_forked_and_failed(ask):
        ask()
        assert 1 == 2

    def test_after(ask):
        ask()
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_test_that_runs_in_a_process_of_its_own_is_a_case_like_others(run, workers):
    files = {"conftest.py": dedent(CONFTEST) + dedent(FORKED), "test_forks.py": IN_FORKS}
    output, _ = run(files, "--llm-routing", "-n", workers)
    lines = (run.folder / "llm-routing-cases.jsonl").read_text().splitlines()
    assert len(lines) == 5, output
    found = {name: (case["score"], len(case["calls"])) for name, case in cases_in(run.folder).items()}
    assert found == {
        "test_before": (1.0, 0),
        "test_forked": (1.0, 1),
        "test_forked_and_scored": (0.25, 1),
        "test_forked_and_failed": (0.0, 1),
        "test_after": (1.0, 1),
    }
    assert "calls of no case, such as of fixtures that several tests share: 2" in output


def test_a_session_that_sets_up_and_runs_no_test_leaves_the_cases_of_an_earlier_one(run):
    files = {"conftest.py": "", "test_three.py": THREE.format(end="pass")}
    run(files, "--llm-routing")
    before = cases_in(run.folder)
    _, code = run(files, "--llm-routing", "--setup-only", folder=run.folder)
    assert code == 0
    assert cases_in(run.folder) == before


NEAREST = """
    import pytest

    @pytest.mark.surface("test")
    @pytest.mark.parametrize("one", [1, pytest.param(2, marks=pytest.mark.surface("parameter"))])
    def test_parameter(one):
        pass

    @pytest.mark.surface("base")
    class TestBase:
        def test_inherited(self):
            pass

    @pytest.mark.surface("class")
    class TestClass(TestBase):
        pass
"""


NEAREST_FILES = {"conftest.py": "", "test_nearest.py": NEAREST}


def test_a_parameter_s_marker_is_nearer_than_its_test_s_and_a_class_s_than_its_base_s(run):
    run(NEAREST_FILES, "--llm-routing")
    lines = map(json.loads, (run.folder / "llm-routing-cases.jsonl").read_text().splitlines())
    assert {line["id"].partition("::")[2]: line["surface"] for line in lines} == {
        "test_parameter[1]": "test",
        "test_parameter[2]": "parameter",
        "TestBase::test_inherited": "base",
        "TestClass::test_inherited": "class",
    }


# The fixture -------------------------------------------------------------------------------------------------------

FIXTURE = """
    import pytest
    from otel_llm_routing import surface

    def told(llm_routing, name="served_model"):
        with pytest.raises(AssertionError) as raised:
            getattr(llm_routing, name)
        return str(raised.value)

    @pytest.mark.surface("autocomplete")
    def test_calls(ask, llm_routing):
        ask()
        (call,) = llm_routing.calls
        assert (call.surface, call.requested, call.served) == ("autocomplete", "auto", "claude-haiku-4-5-20251001")
        assert (call.match, call.kind, call.provider, call.input_size) == ("resolved", "router", "openai", 5)
        assert llm_routing.served_model == "claude-haiku-4-5-20251001"
        assert llm_routing.requested_model == "auto"

    def test_spellings_are_one_model(ask, provider, llm_routing):
        ask()
        provider.answers(model="anthropic/claude-haiku-4-5-20251001")
        ask()
        assert llm_routing.served_model == "claude-haiku-4-5-20251001"

    def test_several(ask, llm_routing):
        ask()
        ask("gpt-5")
        ask()
        assert told(llm_routing) == (
            "no one model served this test: claude-haiku-4-5-20251001 served 2 calls; gpt-5-2025-08-07 served 1 call"
        )
        assert llm_routing.served_models == ("claude-haiku-4-5-20251001", "gpt-5-2025-08-07")
        assert told(llm_routing, "requested_model") == "no one model was requested by this test: auto, gpt-5"

    def test_none(llm_routing):
        assert "it made no call that is seen" in told(llm_routing)
        assert "it made no call" in told(llm_routing, "requested_model")

    def test_unconfirmed(ask, provider, llm_routing):
        ask()
        provider.answers(model="auto")
        ask()
        assert told(llm_routing) == (
            "no one model served this test: claude-haiku-4-5-20251001 served 1 call; "
            "of a call for 'auto' it is not known: the answer only says 'auto' (unconfirmed)"
        )
        assert llm_routing.served_models == ("claude-haiku-4-5-20251001",)

    def test_unreported(ask, provider, llm_routing):
        provider.answers(fault="status:500")
        with pytest.raises(Exception):
            ask()
        assert "of a call for 'auto' nobody reported it: it failed with InternalServerError" in told(llm_routing)
        assert llm_routing.calls[0].served is None

    def test_open_stream(ask, llm_routing):
        stream = ask(stream=True)
        assert "its stream is not read to the end, nor closed" in told(llm_routing)
        stream.close()
        assert llm_routing.calls[0].ended

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "0.8", None, [1]])
    def test_no_score(llm_routing, value):
        with pytest.raises((ValueError, TypeError)):
            llm_routing.score(value)

    @pytest.mark.surface("after")
    def test_nothing_is_left_of_the_tests_before(llm_routing):
        assert llm_routing.calls == ()
"""


@pytest.mark.parametrize("flag", [(), ("--llm-routing",)])
def test_the_fixture_tells_of_the_calls_of_its_test_with_and_without_the_flag(run, flag):
    output, code = run({"test_fixture.py": FIXTURE}, *flag)
    assert code == 0, output
    assert (run.folder / "llm-routing-cases.jsonl").exists() is bool(flag)


# Beside what is there ------------------------------------------------------------------------------------------------


def test_without_the_flag_nothing_is_imported_and_nothing_written(run):
    test = """
        import sys
        import pytest

        @pytest.mark.surface("autocomplete")
        def test_what_is_imported():
            found = {name.partition(".")[0] for name in sys.modules}
            assert found.isdisjoint({"opentelemetry", "wrapt", "openai", "numpy", "pydantic", "rich"})
    """
    output, code = run({"conftest.py": "", "test_imports.py": test})
    assert code == 0, output
    assert sorted(path.name for path in run.folder.iterdir() if path.suffix) == ["conftest.py", "test_imports.py"]
    assert "which models served" not in output


def test_an_import_before_pytest_is_no_warning(run):
    """``opentelemetry-instrument pytest`` imports the package first; pytest then wants to rewrite its assertions."""
    conftest = """
        import otel_llm_routing
        import pytest

        pytest.register_assert_rewrite("otel_llm_routing")
    """
    output, code = run(
        {"conftest.py": conftest, "test_one.py": "def test_one(): pass"}, "-W", "error", "-p", "no:asyncio"
    )
    assert code == 0, output


def test_it_can_be_switched_off_by_name(run):
    output, code = run(ONE, "-p", "no:llm-routing", "--llm-routing")
    assert code == 4
    assert "unrecognized arguments: --llm-routing" in output


OWN = """
    import pytest
    from opentelemetry import trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from otel_llm_routing import LLMRoutingInstrumentor

    pytestmark = pytest.mark.surface("autocomplete")

    @pytest.fixture
    def exported():
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        instrumentor = LLMRoutingInstrumentor()
        assert not instrumentor.is_instrumented_by_opentelemetry
        instrumentor.instrument(tracer_provider=provider, meter_provider=MeterProvider())
        yield exporter.get_finished_spans
        instrumentor.uninstrument()
        assert not instrumentor.is_instrumented_by_opentelemetry

    def test_before(ask):
        ask()

    def test_own_telemetry(ask, exported):
        ask()
        (span,) = exported()
        assert span.attributes["gen_ai.response.model"] == "claude-haiku-4-5-20251001"
        assert span.attributes["llm_routing.surface"] == "autocomplete"

    def test_after(ask):
        ask()

    def test_no_span_is_put_into_the_trace_of_the_application(ask):
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        with trace.get_tracer("app").start_as_current_span("request"):
            ask()
        assert [span.name for span in exporter.get_finished_spans()] == ["request"]
"""


def test_an_application_that_sets_up_its_own_telemetry_has_it_and_the_cases_are_found_all_the_same(run):
    output, code = run({"test_own.py": OWN}, "--llm-routing")
    assert code == 0, output
    assert [len(case["calls"]) for case in cases_in(run.folder).values()] == [1, 1, 1, 1]


def test_a_session_within_a_session_takes_nothing_from_it(run):
    outer = """
        import pytest

        pytestmark = pytest.mark.surface("outer")
        pytest_plugins = ["pytester"]

        def test_before(ask):
            ask()

        def test_within(ask, pytester):
            pytester.makepyfile("import pytest\\n@pytest.mark.surface('inner')\\ndef test_inner(): pass")
            pytester.runpytest_inprocess("--llm-routing").assert_outcomes(passed=1)
            ask()

        def test_after(ask):
            ask()
    """
    output, code = run({"test_outer.py": outer}, "--llm-routing")
    assert code == 0, output
    assert [(case["surface"], len(case["calls"])) for case in cases_in(run.folder).values()] == [("outer", 1)] * 3


# The file ------------------------------------------------------------------------------------------------------------


def test_the_file_is_where_the_option_says_and_replaces_what_was_there(run, tmp_path):
    (tmp_path / "made").mkdir()
    real = tmp_path / "made" / "real.jsonl"
    real.write_text("old\n" * 100)
    (tmp_path / "link.jsonl").symlink_to(real)
    run(
        {"conftest.py": "", "test_three.py": THREE.format(end="pass")},
        "--llm-routing",
        "--llm-routing-cases",
        "link.jsonl",
        folder=tmp_path,
    )
    assert len(real.read_text().splitlines()) == 3
    assert (tmp_path / "link.jsonl").is_symlink()
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["real.jsonl"]


def test_what_is_no_file_such_as_dev_null_is_written_to_and_not_replaced(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open(os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as pipe:  # noqa: PTH123
        run(NEAREST_FILES, "--llm-routing", "--llm-routing-cases", "pipe", folder=tmp_path)
        assert len(pipe.read(1 << 16).splitlines()) == 4
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_that_cannot_be_written_is_said_before_a_model_is_asked(run, tmp_path):
    (tmp_path / "file").touch()
    for name, why in (("file/cases.jsonl", "cannot be written"), (".", "is a folder; name a file")):
        output, code = run(ONE, "--llm-routing", "--llm-routing-cases", name, folder=tmp_path)
        assert code == 4
        assert f"--llm-routing-cases: {tmp_path}" in output
        assert why in output
        assert "passed" not in output


def test_a_session_without_cases_leaves_those_of_an_earlier_one(run, tmp_path):
    old = tmp_path / "llm-routing-cases.jsonl"
    old.write_text("old\n")
    output, _ = run(ONE, "--llm-routing", folder=tmp_path)
    assert old.read_text() == "old\n"
    assert 'no cases: mark tests with @pytest.mark.surface("autocomplete")' in output
    assert "llm-routing-cases.jsonl is of an earlier run" in output


# The page ------------------------------------------------------------------------------------------------------------


def test_the_example_of_the_page_prints_what_the_page_says(run):
    page = (ROOT / "docs" / "pytest.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (shown,) = re.findall(r"\$ pytest -q --llm-routing\n(.*?)\n\d passed", page, re.DOTALL)
    editor = """
        import os
        from openai import OpenAI

        ANSWERS = {"print(1": ")", "def f(": "x):", "import o": "s"}

        def complete(text):
            client = OpenAI(api_key="k", base_url=os.environ["PROVIDER_URL"])
            client.chat.completions.create(model="auto", messages=[{"role": "user", "content": text}])
            return ANSWERS[text]
    """
    conftest = """
        import os
        from fake_provider import FakeProvider

        provider = FakeProvider().__enter__()
        os.environ["PROVIDER_URL"] = f"{provider.url}/v1"
    """
    output, code = run({"conftest.py": conftest, "editor.py": editor, "test_page.py": code}, "-q", "--llm-routing")
    assert code == 0, output
    assert words(output)[: len(words(shown))] == words(shown)


def words(text):
    """The words of every line; what is between them depends on the width of the terminal."""
    return [line.strip("= ").split() for line in text.splitlines()]
