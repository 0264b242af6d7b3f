"""The shape of the repository: sizes, packages, links, public names, and what `import agentkit` costs."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("budgets", "evals", "local_models", "routers", "tools")
SHIPPED = ("agentkit", *LINKED)
LONGEST_FILE = 450
LONGEST_FUNCTION = 60


def python_files(*folders: str) -> Iterator[Path]:
    """Yield the Python files below `folders`, each once: links are not followed."""
    for folder in folders:
        for parent, _, names in os.walk(ROOT / folder):
            yield from (Path(parent, name) for name in sorted(names) if name.endswith(".py"))


def packages_on_disk() -> set[str]:
    """Return the import names of all folders that hold Python files and are installed."""
    folders = {path.parent.relative_to(ROOT) for path in python_files(*SHIPPED)}
    names = {".".join(folder.parts) for folder in folders}
    return {name if name.split(".")[0] == "agentkit" else f"agentkit.{name}" for name in names}


def folder_of(package: str) -> Path:
    """Return where a package of ours lies; the links make its import name a path."""
    return ROOT.joinpath(*package.split("."))


def exported(package: str) -> list[str] | None:
    """Return `__all__` of a package as written, None if it has none."""
    init = folder_of(package) / "__init__.py"
    for node in ast.parse(init.read_text()).body if init.exists() else ():
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=value)
                | ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.expr() as value)
            ):
                return list(ast.literal_eval(value))
    return None


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in python_files(*SHIPPED, "tests", "examples")
    }
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files(*SHIPPED, "tests", "examples")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= LONGEST_FUNCTION
    ]
    assert offenders == []


def test_every_package_is_declared() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"] == sorted(packages_on_disk())


def test_every_package_has_an_init() -> None:
    missing = [name for name in sorted(packages_on_disk()) if not (folder_of(name) / "__init__.py").exists()]
    assert missing == []


@pytest.mark.parametrize("folder", LINKED)
def test_the_links_are_relative(folder: str) -> None:
    assert (ROOT / "agentkit" / folder).readlink() == Path("..", folder)


@pytest.mark.parametrize("package", sorted(packages_on_disk()))
def test_public_names_are_few_and_sorted(package: str) -> None:
    names = exported(package)
    if names is None:
        assert package.count(".") > 1, f"{package} must declare __all__"
        return
    assert names == sorted(set(names))
    assert len(names) <= (15 if package == "agentkit" else 12)


def test_importing_agentkit_is_light() -> None:
    code = "import agentkit, json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, text=True, timeout=60
    )
    assert {"torch", "numpy"}.isdisjoint(json.loads(loaded.stdout))
