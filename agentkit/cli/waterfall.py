"""Where a scope's budget went, as a picture: from the limit down to what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from agentkit.budgets import Ledger, replay
from agentkit.cli.amounts import shown
from agentkit.costs import NANO
from agentkit.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["limit", "spent", "held", "allotted", "left", "over"]
_COLOURS: Final[Mapping[Kind, str]] = {
    "limit": "#4a5568",
    "spent": "#2b6cb0",
    "held": "#dd9b28",
    "allotted": "#8a63b5",
    "left": "#3a9a6b",
    "over": "#c53030",
}
_MOST_SPENDERS: Final = 8
_UNITS: Final = {"usd": ("dollars", NANO), "gpu_us": ("GPU seconds", 1_000_000)}


class Step(NamedTuple):
    """A bar of the waterfall: `amount` is taken away, except for the limit at the top and the rest at the end."""

    label: str
    kind: Kind
    amount: int


def waterfall(ledger: Ledger, name: str) -> dict[str, list[Step]]:
    """Return the steps from limit to rest, by limited resource of a scope; raises ConfigError if it has none."""
    view = ledger.scope(name).view()
    if not view.limits:
        raise ConfigError(f"scope {name!r} has no limits to start from; name one that has with --scope")
    spent_by = _spent_by(ledger, name)
    panels = {}
    for resource in sorted(view.limits, key=lambda name: (name != "usd", name)):
        limit = view.limits[resource]
        taken = [
            *_largest({label: spent[resource] for label, spent in spent_by.items()}),
            Step("held by open calls", "held", view.held[resource]),
            Step("given to slices", "allotted", view.allotted[resource]),
        ]
        left = limit - sum(step.amount for step in taken)
        rest = Step("left", "left", left) if left >= 0 else Step("over the limit", "over", left)
        panels[resource] = [Step("limit", "limit", limit), *(step for step in taken if step.amount), rest]
    return panels


def draw(panels: Mapping[str, Sequence[Step]], title: str, path: Path) -> None:
    """Write the picture, a panel for each resource, as SVG or PNG; raises MissingExtra without matplotlib."""
    if path.suffix not in (".svg", ".png"):
        raise ConfigError(f"cannot draw {str(path)!r}; name a file that ends in .svg or .png")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("plot", "matplotlib") from error

    heights = [len(steps) + 1.5 for steps in panels.values()]
    figure = Figure(figsize=(8, 0.8 + 0.32 * sum(heights)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
    for panel, (resource, steps) in zip(axes, panels.items(), strict=True):
        _draw_panel(panel, resource, steps)
    figure.savefig(path, dpi=150)


def _spent_by(ledger: Ledger, name: str) -> dict[str, Counter[str]]:
    """Return what a scope has spent by direct child, and by what was called for its own holds."""
    events = ledger.events()
    balances = replay(events)
    slices = {event.scope for event in events if event.kind == "slice"}
    open_slices = slices - {event.scope for event in events if event.kind == "close"}
    spent = {
        event.scope.removeprefix(f"{name}/"): balances[event.scope].spent
        for event in events
        if event.kind in ("open", "slice") and event.parent == name and event.scope not in open_slices
    }
    for receipt in ledger.scope(name).receipts():
        if receipt.scope == name:
            spent.setdefault(receipt.what or "calls without a name", Counter()).update(receipt.charged)
    return spent


def _largest(amounts: Mapping[str, int]) -> list[Step]:
    ranked = sorted(amounts.items(), key=lambda item: -item[1])
    steps = [Step(label, "spent", amount) for label, amount in ranked[:_MOST_SPENDERS]]
    if others := ranked[_MOST_SPENDERS:]:
        steps.append(Step(f"{len(others)} others", "spent", sum(amount for _, amount in others)))
    return steps


def _draw_panel(axes: Axes, resource: str, steps: Sequence[Step]) -> None:
    unit, scale = _UNITS.get(resource, (resource.replace("_", " "), 1))
    level = steps[0].amount / scale
    for row, (_, kind, amount) in enumerate(steps):
        width = amount / scale
        start = level - width if kind in ("spent", "held", "allotted") else 0.0
        axes.barh(row, width, left=start, height=0.62, color=_COLOURS[kind])
        axes.annotate(
            shown(resource, abs(amount)),
            (max(start + width, 0.0), row),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
        if row + 1 < len(steps):  # a line from where this bar ends to where the next begins
            level = width if kind == "limit" else start
            axes.plot([level, level], [row + 0.31, row + 0.69], color="#a0aec0", linewidth=1)
    axes.set_yticks(range(len(steps)), [label for label, _, _ in steps])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlim(left=min(0.0, axes.dataLim.x0 * 1.05))
    axes.set_xlabel(unit)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.spines[["top", "right"]].set_visible(False)
