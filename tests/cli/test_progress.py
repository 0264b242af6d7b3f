"""Progress on a terminal; what it prints elsewhere is seen in test_run."""

from io import StringIO

from rich.console import Console

from agentkit.cli.progress import Progress
from agentkit.costs import Cost
from agentkit.trace import Composed, Event, RunStarted, Settled, Stamped, ToolStarted

SHOW_CURSOR = "\x1b[?25h"


def test_a_terminal_has_a_spinner_with_what_is_left_and_gets_its_cursor_back() -> None:
    written = StringIO()
    progress = Progress(Console(file=written, force_terminal=True, width=60))
    events: list[Event] = [
        RunStarted("desk", "Hello?", Cost(usd=1_000_000), 30.0, "argument"),
        Settled("h1", "model:m", Cost(usd=400_000)),
        ToolStarted("c1", "find_order", '{"order_id": 1234567890, "note": "longer than a line of this terminal"}'),
    ]
    for seq, event in enumerate(events):
        progress.write(Stamped("run-1", seq, 100.0 + seq, "run-1", event))
    assert SHOW_CURSOR not in written.getvalue()
    progress.close()
    progress.close()
    assert "$0.0006 · 28 seconds left" in written.getvalue()
    assert "…" in written.getvalue()
    assert written.getvalue().count(SHOW_CURSOR) == 1


def test_a_model_that_a_run_goes_without_is_named_with_the_reason() -> None:
    written = StringIO()
    reasons = {"model:m": "everything fits the budget", "model:n": "its price is unknown", "tool:t": "never mind"}
    Progress(Console(file=written)).write(
        Stamped("run-1", 0, 100.0, "run-1", Composed(("model:m",), reasons, 0.9, ""))
    )
    assert written.getvalue() == "compose without model:n: its price is unknown\n"
