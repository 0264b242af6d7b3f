"""The size on disk of an installation with the core dependencies only, in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import tomllib
import venv
from pathlib import Path

import agentkit

_MB = 1_000_000
_INSTALLER = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth", "__pycache__")
_PATIENCE = 600.0


def core_install_mb() -> tuple[dict[str, float], str]:
    """Return the sizes in megabytes by key, or none and the reason why it could not be installed here.

    `core_install_mb` is agentkit and what it needs, bytecode included and pip excluded.
    """
    root = Path(agentkit.__file__).parent.parent
    if not (root / "pyproject.toml").exists():
        return {}, "this agentkit is not a checkout, so that there is nothing to build"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _copy_sources(root, folder / "source")
        venv.create(folder / "venv", with_pip=True, symlinks=True)
        python, source = folder / "venv" / "bin" / "python", folder / "source"
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(source)]
        done = subprocess.run(pip, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        if done.returncode:
            return {}, (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        (site,) = folder.glob("venv/lib/python*/site-packages")
        return sizes(site), ""


def _copy_sources(root: Path, target: Path) -> None:
    """Copy what the wheel is built from; a build would leave its own files behind in the checkout."""
    target.mkdir()
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    folders = {path.partition("/")[0] for path in project["tool"]["setuptools"]["package-dir"].values()}
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in folders:
        shutil.copytree(root / folder, target / folder, symlinks=True, ignore=ignored)
    for file in ("pyproject.toml", "LICENSE", "README.md"):
        if (root / file).exists():
            shutil.copy(root / file, target)


def sizes(site: Path) -> dict[str, float]:
    """Return what lies in a site-packages folder, in megabytes by key."""
    everything = {path: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    core = {path: size for path, size in everything.items() if not _of_installer(path.relative_to(site).parts[0])}
    own = sum(size for path, size in core.items() if path.relative_to(site).parts[0].startswith("agentkit"))
    return {
        "core_install_mb": sum(core.values()) / _MB,
        "core_install_no_bytecode_mb": sum(size for path, size in core.items() if path.suffix != ".pyc") / _MB,
        "core_install_with_pip_mb": sum(everything.values()) / _MB,
        "core_install_own_mb": own / _MB,
    }


def _of_installer(top: str) -> bool:
    return top in _INSTALLER or top.startswith(("pip-", "setuptools-"))
