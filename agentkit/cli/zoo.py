"""`agentkit zoo`: the models that ship with agentkit, and how they are made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from agentkit.cli.console import err, out, table
from agentkit.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from agentkit.local_models.training import Progress

app = typer.Typer(help="The models that ship with agentkit.", no_args_is_help=True)

_WORK = Path("runs/train")


@app.command("list")
def list_models() -> None:
    """List the models of the zoo; prices are dollars per million tokens."""
    from agentkit.local_models.zoo import CARDS, folder

    made = table("model", "input>", "output>", "context>", "quality>", "size>")
    for name, card in CARDS.items():
        assert card.price is not None
        weights = folder(name) / "model.safetensors"
        size = f"{weights.stat().st_size / 1e6:.1f} MB" if weights.exists() else "not trained"
        quality = "unknown" if card.quality is None else f"{card.quality:.2f}"
        made.add_row(
            f"zoo:{name}",
            f"{card.price.input:f}",
            f"{card.price.output:f}",
            f"{card.context_window:,}",
            quality,
            size,
        )
    out.print(made)


@app.command()
def train(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="pico or nano.")],
    work: Annotated[Path, typer.Option("--out", file_okay=False, help="For checkpoints and the model.")] = _WORK,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in that folder.")] = False,
    device: Annotated[Literal["cpu", "cuda"], typer.Option()] = "cpu",
    tokens: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
) -> None:
    """Train a model of the zoo on the order desk; print the folder it is written to."""
    from agentkit.evals.suites.order_desk.conversations import Lessons

    try:
        from agentkit.local_models.training import RECIPES, train_model
    except ModuleNotFoundError as error:
        raise MissingExtra("local", error.name or "torch") from error
    if name not in RECIPES:
        raise ConfigError(f"the zoo has no recipe {name!r}; it has {', '.join(RECIPES)}")
    recipe = replace(RECIPES[name], tokens=tokens) if tokens else RECIPES[name]
    with _TrainingBar(recipe.tokens) as bar:
        typer.echo(train_model(recipe, Lessons, work, device=device, resume=resume, report=bar.show))


class _TrainingBar:
    """Shows training on stderr: a bar on a terminal, a line for each report elsewhere."""

    def __init__(self, total_tokens: int) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self._task = self._bar.add_task("the tokenizer", total=total_tokens)

    def __enter__(self) -> _TrainingBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show where training stands."""
        state = (
            f"level {progress.level}  loss {progress.loss:.3f}  exact {progress.exact:.3f}"
            f"  {progress.tokens_per_second:,.0f} tokens/s"
        )
        self._bar.update(self._task, completed=progress.tokens, description=state)
        if not err.is_terminal:
            err.print(f"{progress.tokens:,} of {progress.total_tokens:,} tokens  {state}", soft_wrap=True)
