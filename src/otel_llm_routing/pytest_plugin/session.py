"""A session with ``--llm-routing``: its cases are gathered from this process, xdist's workers and forked tests."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otel_llm_routing.instrument.put_off import settle
from otel_llm_routing.pytest_plugin import cases_file, summary
from otel_llm_routing.pytest_plugin.marker import surface_of
from otel_llm_routing.pytest_plugin.recording import SKIPPED, Attempt, Recording

if TYPE_CHECKING:
    from collections.abc import Iterator

REPORTED = "llm_routing"
"""The attribute with which a report carries cases to the process that writes the file."""


class Cases:
    """The hooks. A worker of xdist, or a process made for one test, sends its cases to the one that writes the file."""

    def __init__(self, config: pytest.Config) -> None:
        self._worker = hasattr(config, "workerinput")
        self._process = os.getpid()
        self._forked = False
        """This process was made for one test, by pytest-forked or the like: of its own it has what its report says."""
        self._recording = Recording()
        self._attempt: Attempt | None = None
        self._item: pytest.Item | None = None
        self._late: dict[str, Attempt] = {}
        """Cases with a call that had not ended when its test had, by their keys."""
        self._lines: dict[str, str] = {}
        """The lines of the file by a key that is unique in the session; of a worker, those not sent yet."""
        self._elsewhere = 0
        self._workers = False
        self._error: OSError | None = None
        self._path = Path(config.invocation_params.dir, config.getoption("llm_routing_cases")).absolute()
        if not self._worker and (wrong := cases_file.obstacle(self._path)):
            msg = f"--llm-routing-cases: {self._path} {wrong}"  # said now: what a model has answered costs money
            raise pytest.UsageError(msg)

    # A test -------------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin an attempt; a plugin that runs a failed test again comes here again."""
        if os.getpid() != self._process:
            self._begin_anew()
        if self._attempt is not None and self._item is item and self._attempt.passed is not None:
            self._finish(self._attempt)  # no report told of its end: pytest-retry runs a test again within its call
        self._item, self._attempt = item, Attempt(item.nodeid, None)
        self._attempt.surface = surface_of(item)
        self._recording.running = self._attempt
        self._recording.start()

    def _begin_anew(self) -> None:
        """Leave what was there before a fork to the other process."""
        self._process, self._forked = os.getpid(), True
        self._lines, self._late, self._recording.elsewhere = {}, {}, []

    def attempt_of(self, item: pytest.Item) -> Attempt:
        """Return the attempt of ``item`` that is under way, for the fixture."""
        if self._attempt is None or self._item is not item:
            self.pytest_runtest_setup(item)  # a plugin that runs tests in its own way
        attempt = self._attempt
        assert attempt is not None  # noqa: S101  (the line above)
        attempt.asked = True
        return attempt

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Keep the calls of a fixture of several tests, when it is made and when it is taken down, from any of them."""
        if fixturedef.scope == "function":
            yield
            return
        before = self._recording.running

        def leave() -> None:
            nonlocal before
            before, self._recording.running = self._recording.running, None

        def come_back() -> None:
            self._recording.running = before

        fixturedef.addfinalizer(come_back)  # finalizers run last in, first out: this one after the fixture's own
        leave()
        try:
            yield
        finally:
            come_back()
            fixturedef.addfinalizer(leave)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Take how the test itself ended: of a second run, pytest-retry makes no report."""
        outcome: Any = yield
        if self._attempt is not None and self._item is item:
            self._attempt.ended(outcome.excinfo[1] if outcome.excinfo else None)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
        """Take how a phase of the test ended."""
        outcome: Any = yield  # what runs tests of unittest puts their errors into ``call``
        attempt = self._attempt
        if attempt is None or self._item is not item:
            return
        error = call.excinfo.value if call.excinfo is not None else None
        # What is expected to fail, and not even run, ends in the set-up as well.
        if call.when == "call" or isinstance(error, SKIPPED):
            attempt.ended(error)
        elif call.when == "setup":
            attempt.skipped = isinstance(error, pytest.xfail.Exception)
            attempt.ready = error is None
        elif call.when == "teardown":
            self._finish(attempt)
            if self._forked:
                setattr(outcome.get_result(), REPORTED, self._said(len(self._recording.elsewhere)))

    def _finish(self, attempt: Attempt) -> None:
        settle()  # of streams that were dropped, an end may be waiting
        self._item = self._attempt = self._recording.running = None
        if not attempt.is_case:
            self._recording.elsewhere += attempt.calls
            return
        key = secrets.token_hex(8)  # no seed that a test sets makes it come again
        self._lines[key] = cases_file.line(attempt)
        if not all(call.ended for call in attempt.calls):
            self._late[key] = attempt

    # From process to process ----------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a report carries, or let it carry on the cases of a worker, which would be lost if that crashed."""
        self._take(getattr(report, REPORTED, {}))
        self._workers = self._workers or hasattr(report, "node")
        if self._worker and self._lines:
            setattr(report, REPORTED, self._said(0))
            self._lines = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker says at its end."""
        self._take(getattr(node, "workeroutput", {}).get(REPORTED, {}))

    def _said(self, elsewhere: int) -> dict[str, Any]:
        return {"cases": self._lines, "elsewhere": elsewhere}

    def _take(self, said: dict[str, Any]) -> None:
        self._lines.update(said.get("cases", {}))
        self._elsewhere += said.get("elsewhere", 0)

    # The session ----------------------------------------------------------------------------------------------------

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file, or tell the controller what is left to tell; streams may have ended since their tests."""
        settle()
        self._lines.update({key: cases_file.line(attempt) for key, attempt in self._late.items()})
        self._elsewhere += len(self._recording.elsewhere)
        if self._attempt is not None:  # the test that was interrupted
            self._elsewhere += len(self._attempt.calls)
        if self._worker:
            session.config.workeroutput[REPORTED] = self._said(self._elsewhere)  # type: ignore[attr-defined]
        elif self._lines:
            # Of workers the cases come in no order that would be the same next time.
            lines = sorted(self._lines.values()) if self._workers else list(self._lines.values())
            try:
                cases_file.write(self._path, lines)
            except OSError as error:
                self._error = error
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Say which models served the cases."""
        if config.option.collectonly:
            return
        path = cases_file.relative(self._path, config.invocation_params.dir)
        terminalreporter.section("llm-routing: which models served")
        for text in summary.table(self._lines.values()):
            terminalreporter.line(text)
        for text in summary.notes(self._lines.values(), self._elsewhere):
            terminalreporter.line(text)
        if self._error is not None:
            terminalreporter.line(f"{path}: cannot be written ({self._error.strerror}); the cases are lost", red=True)
        elif self._lines:
            terminalreporter.line(f"cases: {path}")
        else:
            left = f"; {path} is of an earlier run" if self._path.exists() else ""
            terminalreporter.line(f'no cases: mark tests with @pytest.mark.surface("autocomplete"){left}', yellow=True)

    def pytest_unconfigure(self) -> None:
        """Leave the process as it was."""
        self._recording.stop()
