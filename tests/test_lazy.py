"""Names that packages load when they are first used."""

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = ["", ".backends", ".composer", ".planner", ".routers", ".toolmaking", ".tools", ".tools.index"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_no_other(package: str) -> None:
    module = import_module(f"agentkit{package}")
    named = {name: getattr(module, name) for name in module.__all__}
    assert {name for name, what in named.items() if getattr(what, "__name__", name) != name} == set()
    with pytest.raises(AttributeError, match=f"module 'agentkit{package}' has no attribute 'nothing'"):
        _ = module.nothing


def test_a_name_is_loaded_when_it_is_used_and_then_kept() -> None:
    code = (
        "import sys, agentkit.composer as composer\n"
        "assert 'agentkit.composer.coverage' not in sys.modules\n"
        "first = composer.CoverageComposer\n"
        "assert vars(composer)['CoverageComposer'] is first"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_module_is_hidden_by_a_name_of_its_package() -> None:
    code = "import types, agentkit\nassert isinstance(agentkit.lazy, types.ModuleType)"
    subprocess.run([sys.executable, "-c", code], check=True)
