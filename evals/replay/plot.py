"""The picture of a replay: quality over spend, routers as hulls, single models as points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigError, MissingExtra
from agentkit.routers.estimators import upper_hull

_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#8C6BB1",
    "#666666",
)  # Okabe and Ito
_LABELLED = 6  # single models that are named


def check(path: Path) -> None:
    """Raise what `draw` would: ConfigError for another suffix, MissingExtra without the `plot` extra."""
    if path.suffix not in (".png", ".svg"):
        raise ConfigError(f"a plot is written as .png or .svg, not {path.name!r}")
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("plot", error.name or "matplotlib") from error


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """Write the picture to `path`, a .png or .svg."""
    check(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 5.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _singles(axes, figures["singles"])
    for name, row, colour in zip(*_routers(figures["routers"]), strict=True):
        _line(axes, name, row, colour)
    oracle = sorted((point["cost_usd"] * 1e3, point["quality"]) for point in figures["oracle"]["points"])
    axes.plot(*zip(*oracle, strict=True), color="black", linestyle=":", linewidth=1, label="oracle (hindsight)")
    environment = figures["environment"]
    axes.set_xscale("log")
    axes.set_xlabel("spend, $ per 1,000 queries (log scale)")
    axes.set_ylabel("quality")
    axes.set_title(f"{environment['table']}: {environment['queries']:,} queries", loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
    figure.savefig(path)


def _routers(rows: Mapping[str, Any]) -> tuple[list[str], list[Any], list[str]]:
    """Order routers by hull and give each its colour; the default is always the first colour, zero is grey."""
    names = sorted(rows, key=lambda name: -rows[name]["hull"])
    others = iter(_COLOURS[1:-1] * len(names))
    fixed = {"default": _COLOURS[0], "zero": _COLOURS[-1]}
    return names, [rows[name] for name in names], [fixed.get(name) or next(others) for name in names]


def _line(axes: Any, name: str, row: Mapping[str, Any], colour: str) -> None:
    hull = upper_hull([(point["cost_usd"], point["quality"]) for point in row["points"]])[1:]
    costs, qualities = [cost * 1e3 for cost, _ in hull], [quality for _, quality in hull]
    style = "--" if name == "zero" else "-"
    marker = "o" if len(hull) == 1 else "."
    label = f"{name} ({row['hull']:.3f})"
    axes.plot(costs, qualities, style, color=colour, marker=marker, linewidth=2 if name == "default" else 1.2,
              label=label, zorder=3 if name == "default" else 2)  # fmt: skip


def _singles(axes: Any, rows: Mapping[str, Any]) -> None:
    models = [(name, row["cost_usd"] * 1e3, row["quality"]) for name, row in rows.items() if name != "random"]
    axes.scatter(
        [cost for _, cost, _ in models], [q for *_, q in models], s=14, color="#999999", label="single models"
    )
    for name, cost, quality in _notable(models):
        axes.annotate(
            name, (cost, quality), xytext=(4, -9), textcoords="offset points", fontsize=6, color="#555555"
        )


def _notable(models: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Return the models on the hull of all, at most a few."""
    vertices = set(upper_hull([(cost, quality) for _, cost, quality in models]))
    return [model for model in models if model[1:] in vertices][-_LABELLED:]
