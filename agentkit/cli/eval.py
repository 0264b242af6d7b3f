"""`agentkit eval`: what routers are worth, on recorded outcomes."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from agentkit.cli.console import err, out, print_json, table
from agentkit.cli.options import AsJson
from agentkit.costs import NANO
from agentkit.errors import ConfigError, MissingExtra
from agentkit.settings import parse_budget

if TYPE_CHECKING:
    from agentkit.evals.replay.runs import Limit
    from agentkit.routers.lessons import Verdict

app = typer.Typer(help="Evaluate on recorded outcomes.", no_args_is_help=True)

_ARTEFACT = Path("router.safetensors")
ROUTERS = "default,knn,cluster,mf,routellm,frugalgpt,constant"


Train = Annotated[
    Path,
    typer.Option(
        "--train",
        exists=True,
        file_okay=False,
        show_default=False,
        help="Folder of the outcome table that is fitted on.",
    ),
]
Test = Annotated[
    Path | None,
    typer.Option(
        "--test",
        exists=True,
        file_okay=False,
        show_default=False,
        help="Folder of the table that is replayed; without it the training table is cross-validated.",
    ),
]
Routers = Annotated[str, typer.Option("--routers", help="Routers to replay, with commas between.")]
Budgets = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="10%,30%,usd=1",
        show_default=False,
        help="Hard budgets over all replayed queries: of the extra cost of the best single model, or dollars.",
    ),
]
SplitBy = Annotated[
    Literal["query", "dataset", "model"],
    typer.Option("--split", help="What is unseen in cross-validation: queries, whole tasks, or models."),
]
Folds = Annotated[int, typer.Option("--folds", min=2, help="Parts of the cross-validation.")]
Coverage = Annotated[
    float, typer.Option("--coverage", min=0, max=1, help="Least share of queries a model has outcomes for.")
]
Resamples = Annotated[int, typer.Option("--resamples", min=10, help="Draws of the bootstrap.")]
Plot = Annotated[
    Path | None, typer.Option("--plot", show_default=False, help="Write the Pareto plot here: .png or .svg.")
]

VerdictOf = Annotated[
    str | None,
    typer.Option(
        "--verdict",
        metavar="MODULE:FUNCTION",
        show_default=False,
        help="Says of a task and its answer how right it is, 0 to 1; for trace files.",
    ),
]


@app.command()
def replay(
    train: Train,
    test: Test = None,
    routers: Routers = ROUTERS,
    budget: Budgets = None,
    split: SplitBy = "query",
    folds: Folds = 5,
    coverage: Coverage = 0.8,
    resamples: Resamples = 1_000,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Replay routers on recorded outcomes, every call charged, and compare them at equal spend."""
    limits = _limits(budget)
    try:
        from agentkit.evals.replay.contenders import contenders
        from agentkit.evals.replay.plot import check, draw
        from agentkit.evals.replay.report import report
        from agentkit.evals.replay.runs import replay as play
        from agentkit.evals.replay.tables import prepare
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    chosen = contenders([name.strip() for name in routers.split(",") if name.strip()])
    if plot is not None:
        check(plot)  # now, not after the work
    parts, notes = prepare(train, test, split=split, count=folds, coverage=coverage)
    for note in notes:
        _say(note)
    arena, runs = play(parts, chosen, limits=limits, progress=_say)
    about = {"train": str(train), "test": str(test) if test else None, "split": split, "folds": len(parts)}
    figures = report(
        arena, runs, resamples=resamples, environment={**about, "notes": notes, **_machine()}, progress=_say
    )
    if plot is not None:
        draw(figures, plot)
        _say(f"plot written to {plot}")
    if as_json:
        print_json(figures)
    else:
        out.print(_table(figures))
        if limits:
            out.print(_budgets(figures, [limit.name for limit in limits]))


@app.command("import")
def import_table(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", show_default=False, help="routerbench, routellm, llmrouter, routerarena."
        ),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", exists=True, show_default=False, help="Its file or folder.")
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", file_okay=False, show_default=False, help="The new table.")
    ],
) -> None:
    """Turn a public outcome table into a folder that `replay` and `fit` read."""
    try:
        from agentkit.evals.replay.importers import convert
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    count = convert(form, source, folder)
    _say(f"{count:,} outcomes; add models.json with prices where the table has no costs")
    typer.echo(folder)


@app.command()
def fit(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE...", exists=True, show_default=False, help="Folders of outcomes, or trace files."
        ),
    ],
    to: Annotated[Path, typer.Option("--out", dir_okay=False, help="The artefact to write.")] = _ARTEFACT,
    verdict: VerdictOf = None,
) -> None:
    """Fit a router on outcome tables or traces and write its artefact, for `router: {fitted: {artefact: …}}`."""
    from agentkit.routers.fit import fit as fit_router

    says = _verdict(verdict)
    if not to.parent.is_dir():  # now, not after the work
        raise ConfigError(f"--out {to}: there is no folder {to.parent}; make it first")
    _say(f"fitting on {', '.join(map(str, tables))}")
    artefact = fit_router(*tables, verdict=says)
    artefact.save(to)
    _say(artefact.summary())
    typer.echo(to)


@app.command()
def learn(
    artefact: Annotated[
        Path,
        typer.Argument(metavar="ARTEFACT", exists=True, dir_okay=False, show_default=False, help="It learns."),
    ],
    traces: Annotated[
        list[Path],
        typer.Argument(metavar="TRACE...", exists=True, dir_okay=False, show_default=False, help="Trace files."),
    ],
    verdict: VerdictOf = None,
) -> None:
    """Have a fitted router learn from the runs of traces that it does not know yet, and write it back."""
    from agentkit.routers.artefact import load

    fitted, says = load(artefact), _verdict(verdict)
    count = fitted.learn(*traces, verdict=says)
    fitted.save(artefact)
    _say(f"{count:,} lessons")
    typer.echo(artefact)


def _verdict(text: str | None) -> Verdict | None:
    """Import `module:function`, with the working folder on the path."""
    if text is None:
        return None
    module, _, name = text.partition(":")
    if "" not in sys.path:
        sys.path.append("")
    try:
        found: Verdict = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"--verdict {text!r} cannot be imported ({error}); write module:function") from error
    return found


def _machine() -> Mapping[str, Any]:
    from agentkit.evals.benches.base import environment

    return environment()


def _limits(text: str | None) -> list[Limit]:
    """Read `10%,30%,usd=1`."""
    from agentkit.evals.replay.runs import Limit

    if text is None:
        return []
    limits = []
    for name in map(str.strip, text.split(",")):
        share, usd = _share(name), _usd(name)
        if share is None and usd is None:
            raise ConfigError(
                f"--budget {name!r}: a replay takes shares such as 10% and dollars such as usd=1.50, above 0"
            )
        limits.append(Limit(name, dollars=usd, share=share or 0.0))
    return limits


def _share(text: str) -> float | None:
    """Read `30%`; None where it is no share of 0 or more."""
    try:
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else math.nan
    except ValueError:
        return None
    return share if 0 <= share < math.inf else None


def _usd(text: str) -> float | None:
    """Read `usd=1.50`; None where it is no amount above 0."""
    try:
        limits = parse_budget(text).limits()
    except ConfigError:
        return None
    return limits["usd"] / NANO if set(limits) == {"usd"} and limits["usd"] else None


def _say(line: str) -> None:
    err.print(line, soft_wrap=True)


def _table(figures: Mapping[str, Any]) -> Table:
    """Make the table people read: a router a line, best hull first."""
    about = figures["environment"]
    best = ", ".join(about["best_single"])
    made = table(
        "router", "hull>", "95 % interval>", "quality>", "over best single>", "$ per 1,000>", "calls>",
        "saved>", "Brier skill>", title=f"{about['table']}: {about['queries']:,} queries; at the spend of {best}",
    )  # fmt: skip
    rows = {**figures["routers"], **{name: row for name, row in figures["singles"].items() if name == "random"}}
    for name, row in sorted(rows.items(), key=lambda pair: -pair[1].get("hull", 0.0)):
        made.add_row(
            name,
            _number(row.get("hull")),
            f"{row['hull_low']:.4f} – {row['hull_high']:.4f}" if "hull_low" in row else "",
            _number(row["quality"]),
            f"{row['quality_over_best_single']:+.4f}" if "quality_over_best_single" in row else "",
            f"{row['cost_usd'] * 1_000:.4g}",
            f"{row['calls']:.2f}" if "calls" in row else "",
            f"{saved:.1%}" if (saved := row.get("saved_at_equal_quality")) is not None else "",
            _number(row.get("brier_skill")),
        )
    made.add_row(
        "oracle", "", "", _number(figures["oracle"]["quality"]), "", f"{figures['oracle']['cost_usd'] * 1e3:.4g}"
    )
    return made


def _budgets(figures: Mapping[str, Any], names: Sequence[str]) -> Table:
    """Make the table of what each router did under each hard budget, violations counted over all orders."""
    made = table(
        "budget", "router", "budget $>", "spent $>", "quality>", "answered>", "violations>",
        title="under hard budgets, in the order of the table",
    )  # fmt: skip
    for limit in names:
        for name, figure in figures["routers"].items():
            rows = [row for row in figure.get("budgets", ()) if row["budget"] == limit]
            for row in rows:
                if row["order"] == "natural":
                    made.add_row(
                        limit,
                        name,
                        f"{row['budget_usd']:.4g}",
                        f"{row['spent_usd']:.4g}",
                        _number(row["quality"]),
                        f"{row['answered']:.1%}",
                        str(sum(each["violations"] for each in rows)),
                    )
    return made


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
