"""`agentkit models`: which models there are, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from agentkit import prices
from agentkit.cli.console import out, table
from agentkit.usage import Price

if TYPE_CHECKING:
    from agentkit.spec import LocalModelSpec, OpenAIModelSpec

Row = tuple[str, Price | None, str]
"""Name, price, and where the price comes from."""


def models(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", show_default=False, help="An agent definition.")
    ] = None,
) -> None:
    """List the models of FILE; without one the zoo and the price table. Dollars per million tokens."""
    if file is not None:
        from agentkit.definition import read_definition

        rows = [_configured(name, spec) for name, spec in read_definition(file).spec.models.items()]
        out.print(_table(str(file), rows))
        return
    from agentkit.local_models.zoo import CARDS

    rows = [(f"zoo:{name}", card.price, "the zoo") for name, card in CARDS.items()]
    rows += [(name, price, _dated()) for name, price in sorted(prices.table().items())]
    out.print(_table("models", rows))


def _configured(name: str, spec: LocalModelSpec | OpenAIModelSpec) -> Row:
    from agentkit.local_models.zoo import CARDS

    own = spec.price.to_price() if spec.price else None
    if spec.backend == "openai":
        what, listed, place = f"openai:{spec.model}", prices.lookup(spec.model), _dated()
    elif spec.zoo:
        what, listed, place = f"zoo:{spec.zoo}", CARDS[spec.zoo].price, "the zoo"
    else:
        what, listed, place = f"local:{spec.path}", None, ""
    return f"{name} ({what})", own or listed, "the definition" if own else place if listed else ""


def _dated() -> str:
    return f"the table of {prices.date()}"


def _table(title: str, rows: list[Row]) -> Table:
    made = table("model", "input>", "cache read>", "cache write>", "output>", "price from", title=title)
    for name, price, origin in rows:
        made.add_row(name, *_amounts(price), origin)
    return made


def _amounts(price: Price | None) -> tuple[str, str, str, str]:
    if price is None:
        return "unknown", "unknown", "unknown", "unknown"
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    return f"{price.input:f}", f"{read:f}", f"{write:f}", f"{price.output:f}"
