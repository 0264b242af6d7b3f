"""`agentkit models`: which models there are, what they cost, and whether they answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer
from rich.table import Table

from agentkit import prices
from agentkit.cli.console import err, out, print_json, table
from agentkit.cli.exits import ExitCode
from agentkit.errors import AgentkitError, ConfigError
from agentkit.usage import Price

if TYPE_CHECKING:
    from agentkit.model_spec import ModelSpec
    from agentkit.spec import AppSpec, PoolSpec

CHECK_SECONDS = 10.0
"""A provider that has not answered by then counts as silent."""
ANSWERS, HERE, NOT_ASKED = "answers", "on this machine", "not asked"


@dataclass(frozen=True, slots=True)
class Row:
    """A model, its price and where that is from, and, once it was asked, its health and latency in ms.

    A pool has `endpoints`, by name.
    """

    name: str
    model: str
    price: Price | None
    origin: str
    health: str = ""
    latency_ms: float | None = None
    endpoints: tuple[str, ...] = ()


def models(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", show_default=False, help="An agent definition.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Ask each provider for its list of models, which is never billed.")
    ] = False,
    refresh: Annotated[
        Path | None,
        typer.Option(
            metavar="PRICES",
            exists=True,
            dir_okay=False,
            help="Write your own price table from genai-prices' data.json or LiteLLM's price map.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the models of FILE; without one the zoo and the price table. Dollars per million tokens.

    With --check the exit code is 1 where a model cannot be had.
    """
    if refresh is not None:
        _refresh(refresh)
    elif file is None:
        if check:
            raise ConfigError("--check asks the models of a definition; name its FILE")
        _show("models", list(_known()), as_json)
    else:
        from agentkit.definition import read_definition

        spec = read_definition(file).spec
        rows = [_configured(name, model) for name, model in spec.models.items()]
        if check:
            rows = anyio.run(_checked, rows, spec.models)
        pools = [_pooled(name, pool, rows) for name, pool in spec.pools.items()]
        _show(str(file), [*rows, *pools], as_json)
        if any(row.health not in ("", ANSWERS, HERE, NOT_ASKED) for row in rows):
            raise typer.Exit(ExitCode.FAILED)


def without_price(spec: AppSpec) -> frozenset[str]:
    """Return the models and pools of a definition whose calls may cost what nobody knows."""
    models = {
        name
        for name, model in spec.models.items()
        if _configured(name, model).price is None and (model.backend == "local" or model.usd_per_call is None)
    }
    return frozenset(models).union(name for name, pool in spec.pools.items() if models & {*pool.endpoints})


# ---------------------------------------------------------------- what there is
def _known() -> Iterator[Row]:
    from agentkit.local_models.zoo import CARDS

    for name, card in CARDS.items():
        yield Row(f"zoo:{name}", "", card.price, "the zoo")
    for name, price in sorted(prices.table().items()):
        yield Row(name, "", price, _table_of(price))


def _configured(name: str, spec: ModelSpec) -> Row:
    own = spec.price.to_price() if spec.price else None
    if spec.backend == "local":
        from agentkit.local_models.zoo import CARDS

        what = f"zoo:{spec.zoo}" if spec.zoo else f"local:{spec.path}"
        listed, origin = (CARDS[spec.zoo].price, "the zoo") if spec.zoo else (None, "")
    else:
        from agentkit.models import remote_card

        what = f"{spec.backend}:{spec.model}"
        try:
            listed = remote_card(name, spec).price
        except ConfigError:  # it has no address yet, so no price holds
            listed = None
        origin = _table_of(listed) if listed else ""
    return Row(name, what, own or listed, "the definition" if own else origin)


def _pooled(name: str, pool: PoolSpec, rows: list[Row]) -> Row:
    """Return the row of a pool: its price is that of its dearest endpoint, its health how many answer."""
    endpoints = [row for row in rows if row.name in pool.endpoints]
    known = [row.price for row in endpoints if row.price is not None]
    price = max(known, key=lambda p: p.input + p.output) if len(known) == len(endpoints) else None
    asked = [row.health in (ANSWERS, HERE) for row in endpoints if row.health not in ("", NOT_ASKED)]
    return Row(
        name,
        f"pool of {', '.join(pool.endpoints)}",
        price,
        "its dearest endpoint" if price else "",
        f"{sum(asked)} of {len(asked)} answer" if asked else "",
        endpoints=pool.endpoints,
    )


def _table_of(price: Price) -> str:
    return f"the table of {price.date}"


# ---------------------------------------------------------------- whether they answer
async def _checked(rows: list[Row], specs: dict[str, ModelSpec]) -> list[Row]:
    """Return the rows with health and latency; all models are asked at the same time."""
    checked = list(rows)

    async def check(place: int) -> None:
        checked[place] = await _ask(rows[place], specs[rows[place].name])

    async with anyio.create_task_group() as group:
        for place in range(len(rows)):
            group.start_soon(check, place)
    return checked


async def _ask(row: Row, spec: ModelSpec) -> Row:
    from agentkit.models import from_spec

    if spec.backend in ("local", "azure"):  # Azure lists models, not deployments
        return replace(row, health=HERE if spec.backend == "local" else NOT_ASKED)
    try:
        backend: Any = from_spec(row.name, spec.model_copy(update={"cache": None}))
    except AgentkitError as error:
        return replace(row, health=str(error))
    latency = None
    try:
        with anyio.fail_after(CHECK_SECONDS):
            found = await backend.check()
            start = time.perf_counter()  # of an open connection, as runs find it
            await backend.check()
            latency = round((time.perf_counter() - start) * 1_000, 1)
        health = ANSWERS if found else f"answers, but lists no model {backend.card.model}"
    except TimeoutError:
        health = f"no answer within {CHECK_SECONDS:g} s"
    except AgentkitError as error:
        health = getattr(error, "detail", str(error))
    finally:
        await backend.aclose()
    return replace(row, health=health, latency_ms=latency)


# ---------------------------------------------------------------- the user's own table
def _refresh(source: Path) -> None:
    """Write the user's own table and tell what is new and what changed."""
    from agentkit.price_sources import read_prices, write_table

    today = datetime.now(UTC).date().isoformat()
    before, place = prices.table(), prices.own_table()
    write_table(place, read_prices(source, today), date=today, source=source.name)
    after = prices.table()
    made = table("model", "input>", "cache read>", "cache write>", "output>", "was")
    for name, price in sorted(after.items()):
        old = before.get(name)
        if old is not None and old != price:
            made.add_row(name, *_amounts(price), " ".join(_amounts(old)))
    if made.rows:
        out.print(made)
    err.print(f"{len(after)} prices, {len(after.keys() - before.keys())} of them new, {len(made.rows)} changed")
    err.print(f"written to {place}")


# ---------------------------------------------------------------- how it looks
def _show(title: str, rows: list[Row], as_json: bool) -> None:
    if as_json:
        print_json({"models": {row.name: _plain(row) for row in rows}})
    else:
        out.print(_table(title, rows))


def _table(title: str, rows: list[Row]) -> Table:
    checked = any(row.health for row in rows)
    columns = ["model", "input>", "cache read>", "cache write>", "output>", "price from"]
    made = table(*columns, *(["latency>", "health"] if checked else []), title=title)
    for row in rows:
        latency = "" if row.latency_ms is None else f"{row.latency_ms:.0f} ms"
        name = f"{row.name} ({row.model})" if row.model else row.name
        made.add_row(name, *_amounts(row.price), row.origin, *([latency, row.health] if checked else []))
        for tier in row.price.tiers if row.price else ():
            made.add_row(f"  above {tier.above:,} tokens", *_amounts(tier.price))
    return made


def _amounts(price: Price | None) -> tuple[str, str, str, str]:
    if price is None:
        return "unknown", "unknown", "unknown", "unknown"
    rates = price.rates
    return f"{rates.input:f}", f"{rates.cache_read:f}", f"{rates.cache_write:f}", f"{rates.output:f}"


def _plain(row: Row) -> dict[str, Any]:
    price = row.price
    return {
        "model": row.model or row.name,
        "price": price and _numbers(price),
        "tiers": [{"above": tier.above} | _numbers(tier.price) for tier in (price.tiers if price else ())],
        "price_from": row.origin,
        "price_date": price.date if price else "",
        **({"endpoints": list(row.endpoints)} if row.endpoints else {}),
        **({"health": row.health, "latency_ms": row.latency_ms} if row.health else {}),
    }


def _numbers(price: Price) -> dict[str, float]:
    return {name: float(rate) for name, rate in price.rates._asdict().items()}
