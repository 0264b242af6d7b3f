"""The pytest plug-in: `pytest -p agentkit.evals.conformance.plugin --conformance=SUBJECT` runs the cases.

SUBJECT is an adapter that ships with the kit, such as `pydantic_ai`, or `module:Class`. The plug-in has no entry
point: a test run that does not name it never loads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentkit.evals.conformance import adapters
from agentkit.evals.conformance.cases import CASES, Case, Violation
from agentkit.evals.conformance.subject import Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("agentkit").addoption(
        "--conformance", metavar="SUBJECT", help="run agentkit's budget cases only, on an adapter or module:Class"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Leave the tests of this folder alone when the cases are asked for."""
    if config.getoption("conformance"):
        config.args.clear()


@pytest.hookimpl(tryfirst=True)  # before `-k` selects
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the cases if they are asked for."""
    if name := config.getoption("conformance"):
        cases = _Cases.from_parent(session, name="cases", nodeid="conformance", subject=_subject(name))
        items.extend(session.genitems(cases))


class _Cases(pytest.Collector):
    """All cases, for one subject."""

    def __init__(self, *, subject: Subject, **named: Any) -> None:
        super().__init__(**named)
        self._subject = subject

    def collect(self) -> Iterator[pytest.Item]:
        for name, case in CASES.items():
            yield _CaseItem.from_parent(self, name=name, case=case, subject=self._subject)


class _CaseItem(pytest.Item):
    """One case put to one subject."""

    def __init__(self, *, case: Case, subject: Subject, **named: Any) -> None:
        super().__init__(**named)
        self._case, self._subject = case, subject

    def runtest(self) -> None:
        if reason := self._case.reason_to_skip(self._subject):
            pytest.skip(reason)
        anyio.run(self._case.check, self._subject)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say what the subject did; only an error of its adapter needs a traceback."""
        if isinstance(excinfo.value, Violation):
            return f"{self._subject.title}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


def _subject(name: str) -> Subject:
    """Make the subject of a name; raises UsageError when there is none."""
    module, _, attribute = name.partition(":")
    if not attribute:
        module, attribute = f"{adapters.__name__}.{name}", "Adapter"
    try:
        subject: Subject = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise pytest.UsageError(f"--conformance={name}: {error}; name an adapter or module:Class") from error
    return subject
