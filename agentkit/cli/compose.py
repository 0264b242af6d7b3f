"""`agentkit compose`: what a run would be equipped with, and why, without spending anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentkit.cli.amounts import brief, dollars, plain
from agentkit.cli.console import err, out, print_json, table
from agentkit.cli.exits import ExitCode
from agentkit.cli.options import AsJson, File, Limits, Task
from agentkit.costs import Cost
from agentkit.settings import Settings

if TYPE_CHECKING:
    from agentkit.catalog import Catalog, Selection


def compose(
    file: File,
    task: Task,
    budget: Limits = None,
    skills: Annotated[
        bool, typer.Option("--skills", help="Choose by the skills TASK asks for: one model, and what covers them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which tools and models a run of TASK would get under a budget, and what more would buy.

    With --skills, what an agent with the CoverageComposer would get.
    """
    from agentkit.catalog import Catalog
    from agentkit.composer import CoverageComposer
    from agentkit.loader import load

    agent = load(file)
    limits = (budget or agent.budget or Settings.load().default_budget).limits()
    minimum = agent.minimum(task)
    available = {name: limit - minimum[name] for name, limit in limits.items()}  # what the finish line leaves
    if any(room < 0 for room in available.values()):
        err.print(f"infeasible: the least final answer costs {brief(minimum)}", soft_wrap=True)
        raise typer.Exit(ExitCode.REFUSED)
    cards = [backend.card for backend in agent.backends.values()]
    catalog = Catalog.of(task, agent.instructions, agent.tools, cards)
    if skills:
        catalog = catalog.by_skill()
    selection = (CoverageComposer() if skills else agent.composer).compose(catalog, available)
    if as_json:
        print_json(_as_json(catalog, selection, minimum))
    else:
        _show(catalog, selection, minimum)


def _as_json(catalog: Catalog, selection: Selection, minimum: Cost) -> dict[str, Any]:
    components = [
        {
            "name": component.name,
            "kind": component.kind,
            "value": component.value,
            "priced": component.priced,
            "covers": list(component.covers),
            "cost": plain(component.cost),
            "chosen": component.key in selection.chosen,
            "reason": selection.reasons[component.key],
        }
        for component in catalog.components
    ]
    return {
        "components": components,
        "skills": [{"name": skill.name, "weight": skill.weight} for skill in catalog.skills],
        "value": selection.value,
        "cost": plain(selection.cost),
        "minimum": plain(minimum),
        "more": selection.more,
        "bound": selection.bound,
    }


def _show(catalog: Catalog, selection: Selection, minimum: Cost) -> None:
    made = table("", "component", "value>", "cost", "reason")
    for component in catalog.components:
        chosen = component.key in selection.chosen
        made.add_row(
            "✓" if chosen else "–",
            component.key,
            f"{component.value:.2f}",
            dollars(component.cost["usd"]) if component.priced else "unknown",
            selection.reasons[component.key],
            style="" if chosen else "dim",
        )
    out.print(made)
    for place, skill in enumerate(catalog.skills, 1):
        out.print(f"skill {place}: {skill.name}", soft_wrap=True)
    out.print(f"expected cost {brief(selection.cost)}; the least final answer costs {brief(minimum)}")
    if selection.more:
        out.print(selection.more)
