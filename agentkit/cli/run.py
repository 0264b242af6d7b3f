"""`agentkit run`: one task, an answer and its receipt."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer
from rich.text import Text

from agentkit.cli.consent import ask_on, somebody_is_there
from agentkit.cli.console import err, out, print_json
from agentkit.cli.exits import ExitCode
from agentkit.cli.models import without_price
from agentkit.cli.options import AsJson, File, Limits, Task
from agentkit.cli.progress import Progress, Sinks
from agentkit.cli.quotes import plan_table, quote_json, quote_table, quoted_from
from agentkit.cli.receipts import answer_json, failure_json, made_for_line, receipt_table
from agentkit.costs import Budget
from agentkit.errors import AgentkitError
from agentkit.trace import JsonlSink, Sink

if TYPE_CHECKING:
    from agentkit.agent import Agent
    from agentkit.answer import Answer
    from agentkit.quote import Quote


def run(
    file: File,
    task: Task,
    budget: Limits = None,
    as_json: AsJson = False,
    trace: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Append the run's events to this file, as JSON lines.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it will cost, and check its plan; spend nothing.")
    ] = False,
) -> None:
    """Give TASK to the entry agent of FILE; print its answer and the receipt.

    Exits with 0 for an answer, 3 if FILE is wrong, 4 if the budget refuses, 5 if no model answers, else 1.
    """
    from agentkit.definition import read_definition
    from agentkit.loader import build

    definition = read_definition(file)
    agent, unpriced = build(definition), without_price(definition.spec)
    if dry_run:
        _show_quote(agent.quote(task, budget=budget), as_json)
        return
    progress = Progress(err)
    sinks: list[Sink] = [] if quiet else [progress]
    if agent.policy is not None and somebody_is_there(err):
        agent.policy = replace(agent.policy, approve=ask_on(err, nullcontext if quiet else progress.paused))
    if trace is not None:
        sinks.append(JsonlSink(trace))
    try:
        with closing(Sinks(*sinks)) as sink:
            answer = anyio.run(_ask, agent, task, budget, sink)
    except AgentkitError as error:
        _show_failure(error, unpriced, as_json)
        raise
    if as_json:
        print_json(answer_json(answer, unpriced))
    else:
        _show(answer, unpriced)
    if answer.status == "infeasible":
        raise typer.Exit(ExitCode.REFUSED)


async def _ask(agent: Agent[str], task: str, budget: Budget | None, sink: Sink) -> Answer[str]:
    try:
        return await agent.run(task, budget=budget, trace=sink)
    finally:
        await agent.aclose()


def _show_quote(quote: Quote, as_json: bool) -> None:
    if as_json:
        print_json(quote_json(quote))
    else:
        out.print(quote_table(quote))
        out.print(Text(quoted_from(quote), "dim"))
        if quote.plan is not None:
            out.print(plan_table(quote.plan))
        for problem in quote.problems:
            err.print(Text.assemble(("cannot run: ", "red"), problem), soft_wrap=True)
    if quote.problems:
        raise typer.Exit(ExitCode.FAILED)
    if not quote.feasible:
        raise typer.Exit(ExitCode.REFUSED)


def _show_failure(error: AgentkitError, unpriced: Collection[str], as_json: bool) -> None:
    """Say what a run without an answer was charged; the error itself goes to stderr with every other."""
    if as_json:
        print_json(failure_json(error, unpriced))
    elif error.receipts:
        out.print(receipt_table(error.receipts, unpriced))


def _show(answer: Answer[str], unpriced: Collection[str]) -> None:
    if answer.status == "infeasible":
        err.print(Text.assemble(("infeasible: ", "red"), "; ".join(answer.unmet)), soft_wrap=True)
        return
    typer.echo(answer.text)
    typer.echo()
    if answer.status != "complete":
        out.print(Text.assemble((f"{answer.status}: ", "yellow"), "; ".join(answer.unmet)), soft_wrap=True)
    out.print(receipt_table(answer.receipts, unpriced))
    if answer.tool_making is not None:
        out.print(Text(made_for_line(answer.tool_making), "dim"))
    out.print(Text(f"limited by {answer.budget_origin}", "dim"))
