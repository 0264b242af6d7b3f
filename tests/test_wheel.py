"""The wheel as a user gets it: built from a copy, installed in an environment of its own, run from elsewhere."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("budgets", "evals", "local_models", "routers", "tools")


class Installation:
    """A wheel of this checkout, and a virtual environment that has it installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self._copy_sources(folder / "source")
        self.run(
            sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation", "./source"
        )
        (self.wheel,) = folder.glob("*.whl")
        venv.create(folder / "venv", with_pip=False)
        # The dependencies are those of the running environment: nothing to download, and its own editable
        # agentkit stays out, since a .pth file is obeyed only in the environment it belongs to.
        (site,) = folder.glob("venv/lib/python*/site-packages")
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        target = str(self.bin / "python")
        self.run(sys.executable, "-m", "pip", "--python", target, "install", "--no-index", "--no-deps", self.wheel)

    def run(self, *command: str | Path) -> str:
        """Run a command outside the checkout and return what it printed; it must succeed."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            command, capture_output=True, cwd=self.folder, env=environment, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, code: str) -> str:
        """Run Python code in the environment and return what it printed."""
        return self.run(self.bin / "python", "-c", code)

    @staticmethod
    def _copy_sources(target: Path) -> None:
        target.mkdir()
        for name in ("pyproject.toml", "LICENSE"):
            shutil.copy(ROOT / name, target)
        for name in ("agentkit", *LINKED):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=ignored)
        for name in LINKED:  # as in a clone on a system without links: the mapping alone must do
            (target / "agentkit" / name).unlink()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_shipped_file_and_no_other(installation: Installation) -> None:
    source = installation.folder / "source"
    shipped = {
        path.relative_to(source).as_posix()
        for name in ("agentkit", *LINKED)
        for parent, _, names in os.walk(source / name)
        for path in (Path(parent, name) for name in names)
    }
    expected = {path if path.startswith("agentkit/") else f"agentkit/{path}" for path in shipped}
    with zipfile.ZipFile(installation.wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_the_command_runs(installation: Installation) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert installation.run(installation.bin / "agentkit", "--version").split() == ["agentkit", version]
    assert "Usage: agentkit" in installation.run(installation.bin / "agentkit", "--help")


def test_the_folders_are_importable_inside_agentkit_only(installation: Installation) -> None:
    code = f"""
import importlib, importlib.util, json
inside = [importlib.import_module("agentkit." + name).__file__ for name in {LINKED}]
outside = [name for name in {LINKED} if importlib.util.find_spec(name)]
print(json.dumps([inside, outside]))
"""
    inside, outside = json.loads(installation.python(code))
    assert all(Path(file).is_relative_to(installation.folder / "venv") for file in inside)
    assert outside == []
