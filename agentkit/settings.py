"""Project-wide settings: the budget, the ledger and the trace folder of a run that names none itself.

A value comes from the first of: explicit argument, `AGENTKIT_*` environment variable, project file
(`agentkit.toml`, or `[tool.agentkit]` of `pyproject.toml`, found upwards from the working directory), user
file (`~/.config/agentkit/config.toml`), default. Relative paths in a file are relative to that file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from agentkit.costs import Budget
from agentkit.errors import ConfigError

_BUDGET_EXAMPLE = "usd=0.10,seconds=120,tool_calls=50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run uses when it is not told otherwise; `origins` says by name where each value comes from.

    `ledger` is `memory:` or `sqlite:///PATH` with an absolute path; `trace_dir` None writes no traces.
    """

    default_budget: Budget
    ledger: str
    trace_dir: Path | None
    origins: Mapping[str, str]

    @classmethod
    def load(
        cls,
        *,
        default_budget: Budget | str | None = None,
        ledger: str | None = None,
        trace_dir: Path | str | None = None,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read the settings that hold in `cwd`; an argument that is None is not given.

        Raises ConfigError naming the origin of a value that cannot be used, or the file of an unknown key.
        """
        cwd = (cwd or Path.cwd()).absolute()
        environ = os.environ if environ is None else environ
        arguments = {"default_budget": default_budget, "ledger": ledger, "trace_dir": trace_dir}
        winners: dict[str, _Given] = {}
        for given in chain(
            _from_arguments(arguments, cwd),
            _from_environment(environ, cwd),
            _from_project(cwd),
            _from_user(environ),
            _from_defaults(cwd),
        ):
            winners.setdefault(given.name, given)  # the chain is in order of precedence
        origins = MappingProxyType({name: winners[name].origin for name in _CASTS})
        return cls(**{name: _cast(winners[name]) for name in _CASTS}, origins=origins)


def parse_budget(text: str) -> Budget:
    """Read a budget such as `usd=0.05,seconds=30`, or `unlimited`.

    Raises ConfigError for an unknown or repeated key and for an amount that cannot be read.
    """
    if text.strip() == "unlimited":
        return Budget.unlimited()
    limits: dict[str, Any] = {}
    for item in text.split(","):
        key, equals, amount = (part.strip() for part in item.partition("="))
        if not equals:
            raise ConfigError(
                f"budget {text!r}: {item!r} is not KEY=AMOUNT; write {_BUDGET_EXAMPLE}, or unlimited"
            )
        if key not in _AMOUNTS:
            raise ConfigError(f"budget {text!r}: unknown key {key!r}; {_suggest(key, _AMOUNTS)}")
        if key in limits:
            raise ConfigError(f"budget {text!r}: {key} stands there twice; keep one of them")
        limits[key] = _amount(text, key, amount)
    try:
        return Budget(**limits)
    except ValueError as error:
        raise ConfigError(f"budget {text!r}: {error}; write {_BUDGET_EXAMPLE}, or unlimited") from error
    except ArithmeticError as error:
        raise ConfigError(f"budget {text!r}: an amount is too large; leave a key out for no limit") from error


def budget_text(budget: Budget) -> str:
    """Write a budget as `parse_budget` reads it."""
    given = {key: getattr(budget, key) for key in _AMOUNTS}
    stated = [f"{key}={value}" for key, value in given.items() if value not in (None, "answer")]
    return ",".join(stated) or "unlimited"


def _amount(text: str, key: str, amount: str) -> object:
    read, wanted = _AMOUNTS[key]
    try:
        return read(amount)
    except (ValueError, ArithmeticError) as error:
        raise ConfigError(f"budget {text!r}: {key} must be {wanted}, not {amount!r}") from error


def _on_limit(text: str) -> str:
    if text not in ("answer", "raise"):
        raise ValueError(text)
    return text


_AMOUNTS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "usd": (Decimal, "dollars such as 0.05"),
    "tokens": (int, "a whole number"),
    "input_tokens": (int, "a whole number"),
    "output_tokens": (int, "a whole number"),
    "requests": (int, "a whole number"),
    "tool_calls": (int, "a whole number"),
    "seconds": (float, "seconds such as 30 or 0.5"),
    "gpu_seconds": (float, "seconds such as 30 or 0.5"),
    "on_limit": (_on_limit, "answer or raise"),
}


# ---------------------------------------------------------------- where values come from
class _Given(NamedTuple):
    name: str
    value: object
    origin: str
    base: Path  # what a relative path is relative to


def _from_arguments(arguments: Mapping[str, object], cwd: Path) -> Iterator[_Given]:
    return (_Given(name, value, "argument", cwd) for name, value in arguments.items() if value is not None)


def _from_environment(environ: Mapping[str, str], cwd: Path) -> Iterator[_Given]:
    for name in _CASTS:
        variable = f"AGENTKIT_{name.upper()}"
        if value := environ.get(variable):  # empty counts as unset, as shells and containers mean it
            yield _Given(name, value, variable, cwd)


def _from_project(cwd: Path) -> Iterator[_Given]:
    for folder in (cwd, *cwd.parents):
        if (own := folder / "agentkit.toml").is_file():
            return _from_table(_read_toml(own), own)
        if (shared := folder / "pyproject.toml").is_file():
            table = _read_toml(shared).get("tool", {}).get("agentkit")
            if table is not None:
                return _from_table(table, shared)
    return iter(())


def _from_user(environ: Mapping[str, str]) -> Iterator[_Given]:
    folder = Path(environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))
    path = folder / "agentkit" / "config.toml"
    return _from_table(_read_toml(path), path) if path.is_file() else iter(())


def _from_defaults(cwd: Path) -> Iterator[_Given]:
    defaults = {"default_budget": _BUDGET_EXAMPLE, "ledger": "memory:", "trace_dir": None}
    return (_Given(name, value, "default", cwd) for name, value in defaults.items())


def _from_table(table: object, path: Path) -> Iterator[_Given]:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: agentkit must be a table, not {table!r}; write [tool.agentkit]")
    for name, value in table.items():
        if name not in _CASTS:
            raise ConfigError(f"{path}: unknown setting {name!r}; {_suggest(name, _CASTS)}")
        yield _Given(name, value, str(path), path.parent)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}; correct it or remove it") from error


@lru_cache(maxsize=16)  # every agent reads the settings, and a project file can be long
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- what values become
def _cast(given: _Given) -> Any:
    try:
        return _CASTS[given.name](given.value, given.base)
    except ConfigError as error:
        raise ConfigError(f"setting {given.name!r} (from {given.origin}): {error}") from error


def _budget(value: object, base: Path) -> Budget:
    return value if isinstance(value, Budget) else parse_budget(_text(value))


def _ledger(value: object, base: Path) -> str:
    scheme, separator, path = _text(value).partition("sqlite:///")
    if not scheme and separator and path:
        return f"sqlite:///{base / path}"
    if value != "memory:":
        raise ConfigError(f"no ledger opens at {value!r}; write 'memory:' or 'sqlite:///PATH'")
    return "memory:"


def _folder(value: object, base: Path) -> Path | None:
    if value is None:
        return None
    return base / os.path.expanduser(value if isinstance(value, Path) else _text(value))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"the value must be text, not {value!r}; put it in quotes")
    return value


_CASTS: Mapping[str, Callable[[object, Path], Any]] = {
    "default_budget": _budget,
    "ledger": _ledger,
    "trace_dir": _folder,
}


def _suggest(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
