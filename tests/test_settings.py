"""Settings: which source wins, what an origin says, and what a value may be."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.costs import Budget
from agentkit.errors import ConfigError
from agentkit.settings import Settings, parse_budget

SOURCES = ("argument", "environment", "project", "user", "default")


class Machine:
    """A working directory and a user's configuration folder, both empty at first."""

    def __init__(self, folder: Path) -> None:
        self.cwd = folder / "project" / "deep" / "down"
        self.project = folder / "project"
        self.user = folder / "config" / "agentkit" / "config.toml"
        self.cwd.mkdir(parents=True)
        self.user.parent.mkdir(parents=True)
        self.environ = {"XDG_CONFIG_HOME": str(folder / "config")}

    def load(self, *, ledger: str | None = None, trace_dir: Path | str | None = None) -> Settings:
        return Settings.load(ledger=ledger, trace_dir=trace_dir, cwd=self.cwd, environ=self.environ)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# ---------------------------------------------------------------- precedence
@pytest.mark.parametrize("first", range(len(SOURCES)))
def test_the_first_source_that_has_a_value_wins(machine: Machine, first: int) -> None:
    present = SOURCES[first:]
    if "environment" in present:
        machine.environ["AGENTKIT_LEDGER"] = "sqlite:////by/environment"
    if "project" in present:
        (machine.project / "agentkit.toml").write_text('ledger = "sqlite:////by/project"')
    if "user" in present:
        machine.user.write_text('ledger = "sqlite:////by/user"')
    settings = machine.load(ledger="sqlite:////by/argument" if "argument" in present else None)
    winner = present[0]
    assert settings.ledger == ("memory:" if winner == "default" else f"sqlite:////by/{winner}")
    assert (
        settings.origins["ledger"]
        == {
            "argument": "argument",
            "environment": "AGENTKIT_LEDGER",
            "project": str(machine.project / "agentkit.toml"),
            "user": str(machine.user),
            "default": "default",
        }[winner]
    )


def test_each_setting_is_resolved_by_itself(machine: Machine) -> None:
    machine.environ["AGENTKIT_TRACE_DIR"] = "/traces"
    machine.user.write_text('default_budget = "usd=1"')
    settings = machine.load()
    assert (settings.default_budget, settings.ledger, settings.trace_dir) == (
        Budget(usd=Decimal(1)),
        "memory:",
        Path("/traces"),
    )
    assert dict(settings.origins) == {
        "default_budget": str(machine.user),
        "ledger": "default",
        "trace_dir": "AGENTKIT_TRACE_DIR",
    }


def test_defaults_are_bounded(machine: Machine) -> None:
    settings = machine.load()
    assert settings.default_budget == Budget(usd=Decimal("0.10"), seconds=120.0, tool_calls=50)
    assert (settings.ledger, settings.trace_dir) == ("memory:", None)
    assert set(settings.origins.values()) == {"default"}


def test_a_budget_object_is_taken_as_it_is(machine: Machine) -> None:
    budget = Budget(requests=3)
    settings = Settings.load(default_budget=budget, cwd=machine.cwd, environ=machine.environ)
    assert settings.default_budget is budget


def test_an_empty_variable_is_not_set(machine: Machine) -> None:
    machine.environ["AGENTKIT_LEDGER"] = ""
    assert machine.load().origins["ledger"] == "default"


# ---------------------------------------------------------------- project and user files
def test_the_nearest_project_file_is_the_only_one_read(machine: Machine) -> None:
    (machine.project / "agentkit.toml").write_text('trace_dir = "/outer"')
    (machine.cwd / "agentkit.toml").write_text('ledger = "memory:"')
    assert machine.load().trace_dir is None


def test_pyproject_serves_unless_agentkit_toml_lies_beside_it(machine: Machine) -> None:
    pyproject = machine.project / "pyproject.toml"
    pyproject.write_text('[tool.agentkit]\ntrace_dir = "/by/pyproject"')
    assert machine.load().origins["trace_dir"] == str(pyproject)
    (machine.project / "agentkit.toml").write_text('trace_dir = "/by/own"')
    assert machine.load().trace_dir == Path("/by/own")


def test_a_pyproject_of_another_tool_is_passed_over(machine: Machine) -> None:
    (machine.project / "agentkit.toml").write_text('trace_dir = "/outer"')
    (machine.cwd / "pyproject.toml").write_text("[tool.other]\nkey = 1")
    assert machine.load().trace_dir == Path("/outer")


def test_relative_paths_are_relative_to_the_file_that_names_them(machine: Machine) -> None:
    (machine.project / "agentkit.toml").write_text('ledger = "sqlite:///runs/ledger.db"\ntrace_dir = "runs"')
    settings = machine.load()
    assert settings.ledger == f"sqlite:///{machine.project}/runs/ledger.db"
    assert settings.trace_dir == machine.project / "runs"
    assert machine.load(trace_dir="here").trace_dir == machine.cwd / "here"


def test_the_home_folder_holds_the_user_file_and_is_meant_by_a_tilde(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = machine.project
    monkeypatch.setenv("HOME", str(home))
    path = home / ".config" / "agentkit" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('trace_dir = "~/traces"')
    settings = Settings.load(cwd=machine.cwd, environ={})
    assert (settings.trace_dir, settings.origins["trace_dir"]) == (home / "traces", str(path))


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('ledgr = "memory:"', "unknown setting 'ledgr'; did you mean 'ledger'?"),
        ("zzz = 1", "unknown setting 'zzz'; known are default_budget, ledger, trace_dir"),
        ("ledger = 5", "setting 'ledger' (from {path}): the value must be text, not 5"),
        ('trace_dir = ""', "setting 'trace_dir' (from {path}): the value must be text, not ''"),
        ('ledger = "redis://x"', "setting 'ledger' (from {path}): no ledger opens at 'redis://x'"),
        ('ledger = "sqlite:///"', "setting 'ledger' (from {path}): no ledger opens at 'sqlite:///'"),
        ('default_budget = "usd=lots"', "setting 'default_budget' (from {path}): budget 'usd=lots': usd must be"),
        ("ledger = ", "cannot be read as TOML"),
    ],
)
def test_errors_name_the_file(machine: Machine, text: str, fragment: str) -> None:
    machine.user.write_text(text)
    with pytest.raises(ConfigError) as caught:
        machine.load()
    assert str(machine.user) in str(caught.value)
    assert fragment.format(path=machine.user) in str(caught.value)


def test_a_project_table_must_be_a_table(machine: Machine) -> None:
    (machine.project / "pyproject.toml").write_text("[tool]\nagentkit = 3")
    with pytest.raises(ConfigError, match=r"pyproject\.toml: agentkit must be a table, not 3"):
        machine.load()


def test_errors_name_the_variable(machine: Machine) -> None:
    machine.environ["AGENTKIT_DEFAULT_BUDGET"] = "usd=0.1,second=3"
    with pytest.raises(ConfigError, match=r"from AGENTKIT_DEFAULT_BUDGET.*did you mean 'seconds'\?"):
        machine.load()


# ---------------------------------------------------------------- budgets as text
def test_every_key_of_a_budget_can_be_written() -> None:
    text = (
        "usd=0.05, tokens=9,input_tokens=8,output_tokens=7,requests=6,tool_calls=5,"
        "seconds=4.5,gpu_seconds=0.25,on_limit=raise"
    )
    assert parse_budget(text) == Budget(
        usd=Decimal("0.05"),
        tokens=9,
        input_tokens=8,
        output_tokens=7,
        requests=6,
        tool_calls=5,
        seconds=4.5,
        gpu_seconds=0.25,
        on_limit="raise",
    )


def test_unlimited_is_only_had_by_its_name() -> None:
    assert parse_budget("unlimited") == Budget.unlimited()
    with pytest.raises(ConfigError, match="is not KEY=AMOUNT"):
        parse_budget("")


@given(usd=st.decimals(0, 1_000_000, places=9), tokens=st.integers(0, 2**62), seconds=st.floats(0, 1e9))
def test_a_budget_survives_being_written_down(usd: Decimal, tokens: int, seconds: float) -> None:
    assert parse_budget(f"usd={usd},tokens={tokens},seconds={seconds!r}") == Budget(
        usd=usd, tokens=tokens, seconds=seconds
    )


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("usd", "'usd' is not KEY=AMOUNT"),
        ("usd=1,", "'' is not KEY=AMOUNT"),
        ("dollars=1", "unknown key 'dollars'; known are usd, tokens"),
        ("token=1", "unknown key 'token'; did you mean 'tokens'?"),
        ("usd=1,usd=2", "usd stands there twice"),
        ("usd=abc", "usd must be dollars such as 0.05, not 'abc'"),
        ("usd=-1", "must be finite and not negative"),
        ("usd=nan", "must be finite and not negative"),
        ("usd=1e30", "must be an integer between 0 and 2**62"),
        ("usd=1e999999", "an amount is too large"),
        ("tokens=1.5", "tokens must be a whole number, not '1.5'"),
        ("tokens=-1", "must be an integer between 0 and 2**62"),
        ("seconds=soon", "seconds must be seconds such as 30 or 0.5, not 'soon'"),
        ("seconds=inf", "seconds must be finite and not negative"),
        ("gpu_seconds=inf", "an amount is too large"),
        ("on_limit=stop", "on_limit must be answer or raise, not 'stop'"),
    ],
)
def test_a_wrong_budget_says_what_is_wrong(text: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_budget(text)
    assert str(caught.value).startswith(f"budget {text!r}: ")
    assert fragment in str(caught.value)
