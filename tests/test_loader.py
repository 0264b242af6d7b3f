"""From a definition in YAML to agents that run."""

from decimal import Decimal
from pathlib import Path

import pytest

from agentkit.agent import FINISH_LINE_GATE, MAX_STEPS, OUTPUT_QUANTILE, Agent
from agentkit.backends import RemoteBackend
from agentkit.costs import Budget, Cost
from agentkit.errors import ConfigError, MissingSecret, SpecError
from agentkit.loader import load
from agentkit.models import resolve
from agentkit.planner import BudgetAware, FixedPlanner, LLMPlanner, OnFailure, SingleStepPlanner
from agentkit.routers import RuleRouter
from agentkit.routers.fusion import FusionRouter
from agentkit.routers.multi_round import MultiRoundRouter
from agentkit.routers.votes import VoteRouter

HEAD = """\
version: 1
entry: desk
models:
  small: {backend: openai, model: gpt-5-mini, base_url: "http://127.0.0.1:1/v1", price: {input: 1, output: 4}}
  large: {backend: openai, model: big, base_url: "http://127.0.0.1:1/v1", quality: 0.9, context_window: 9000}
"""

TOOLS = """\
from agentkit import tool

@tool(cost={"usd": "0.5", "tokens": 7})
def shout(text: str) -> str:
    "Shout."
    return text.upper()

def whisper(text: str) -> str:
    "Whisper."
    return text.lower()

def untyped(text):
    return text
"""


def write(folder: Path, body: str) -> Path:
    (folder / "loader_tools.py").write_text(TOOLS)
    path = folder / "agents.yaml"
    path.write_text(HEAD + body)
    return path


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Loading puts the definition's folder on the path; it must not stay there."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "loader_tools", raising=False)


def test_everything_an_agent_can_say(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
budgets:
  tight: {usd: 0.05, tool_calls: {calculate: 2}, on_limit: raise}
routers:
  ladder: {rules: {order: [small, large]}}
tools:
  loud: {python: "loader_tools:shout", cost: {usd: 0.001}, timeout: 3}
agents:
  desk:
    router: ladder
    budget: tight
    tools: [calculate, loud, {python: "loader_tools:whisper"}, {agent: helper, description: "Ask the helper."}]
    instructions: "Be brief."
    description: "Answers."
    max_steps: 5
    temperature: 0
    seed: 4
    output_quantile: 0.9
    finish_line_gate: 0
    planner: {budget_aware: {proposals: 3}}
  helper: {model: small, planner: {budget_aware: {}}}
""",
    )
    agent = load(path)
    assert (agent.name, agent.description, agent.instructions, agent.max_steps) == (
        "desk",
        "Answers.",
        "Be brief.",
        5,
    )
    assert list(agent.backends) == ["small", "large"]
    assert isinstance(agent.router, RuleRouter) and agent.router.order == ("small", "large")
    assert agent.budget == Budget(usd=Decimal("0.05"), tool_calls={"calculate": 2}, on_limit="raise")
    calculator, loud, whisper, helper = agent.tools
    assert (calculator.name, loud.name, whisper.name, helper.name) == ("calculate", "loud", "whisper", "helper")
    # what the definition says holds instead of what the function says
    assert (loud.cost, loud.timeout) == (Cost(usd=1_000_000, tokens=7), 3)
    assert helper.spec.description == "Ask the helper."
    assert agent.planner == BudgetAware(3)
    assert (agent._lengths.quantile, agent._gate) == (0.9, 0.0)


@pytest.mark.parametrize(
    ("given", "planner"),
    [
        ("{}", LLMPlanner()),
        (
            "{when: pays, max_steps: 8, max_replans: 0, concurrency: 4, on_failure: fail_fast, retries: 1}",
            LLMPlanner(
                when="pays", max_steps=8, max_replans=0, concurrency=4, on_failure=OnFailure("fail_fast", 1)
            ),
        ),
    ],
)
def test_a_planner_that_lets_a_model_plan(tmp_path: Path, given: str, planner: LLMPlanner) -> None:
    agent = load(write(tmp_path, f"agents: {{desk: {{model: small, planner: {{plan: {given}}}}}}}\n"))
    assert agent.planner == planner


def test_defaults(tmp_path: Path) -> None:
    agent = load(write(tmp_path, "agents: {desk: {model: small}}\n"))
    assert (agent.max_steps, agent.budget, agent.tools) == (MAX_STEPS, None, ())
    assert (agent._lengths.quantile, agent._gate) == (OUTPUT_QUANTILE, FINISH_LINE_GATE)
    backend = agent.backends["small"]
    assert isinstance(backend, RemoteBackend) and backend.card.model == "gpt-5-mini"
    assert isinstance(agent, Agent) and isinstance(agent.planner, SingleStepPlanner)


def test_what_is_named_twice_is_made_once(tmp_path: Path) -> None:
    body = """\
routers: {ladder: {rules: {order: [small, large]}}}
agents:
  desk: {router: ladder, tools: [{agent: helper}]}
  helper: {model: small}
"""
    agent = load(write(tmp_path, body))
    assert agent.tools[0].name == "helper"
    assert agent.backends["large"].card.context_window == 9000 and agent.backends["large"].card.quality == 0.9


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("loader_tools:nothing", "has no attribute 'nothing'"),
        ("no_such_module_here:f", "No module named"),
        ("loader_tools:untyped", "text"),
    ],
)
def test_a_python_tool_that_cannot_be_made_is_placed(tmp_path: Path, reference: str, problem: str) -> None:
    path = write(tmp_path, f'agents:\n  desk:\n    model: small\n    tools: [{{python: "{reference}"}}]\n')
    with pytest.raises(SpecError, match=problem) as caught:
        load(path)
    assert (caught.value.path, caught.value.line) == (str(path), 9)
    assert "package.module:function" in caught.value.hint


def test_a_model_that_cannot_be_made_is_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    path = tmp_path / "agents.yaml"
    path.write_text(
        "version: 1\nentry: desk\nmodels:\n  m: {backend: openai, model: gpt-5-mini}\nagents: {desk: {model: m}}\n"
    )
    with pytest.raises(SpecError, match="OPENAI_API_KEY") as caught:
        load(path)
    assert caught.value.line == 4


# ---------------------------------------------------------------- model names
@pytest.mark.parametrize("name", ["gpt-5", "mystery:gpt-5", "zoo:"])
def test_a_model_name_that_says_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="openai:MODEL"):
        resolve(name)


def test_openai_needs_a_key_and_a_server_of_ones_own_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(MissingSecret, match="OPENAI_API_KEY"):
        resolve("openai:gpt-5-mini")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    backend = resolve("openai:gpt-5-mini")
    assert backend.card.name == "gpt-5-mini" and backend.card.price is None  # the table's is OpenAI's own


STEPS = """\
agents:
  desk:
    model: small
    tools: [{python: "made_tools:shout"}]
    planner:
      fixed:
        concurrency: 2
        steps:
          - {id: a, tool: shout, arguments: {text: hello}, seconds: 3, on_failure: isolate, retries: 1}
          - {id: b, tool: shout, arguments: {text: {$from: a, path: [0]}}, share: 0.5}
          - {id: c, task: Say it again., needs: [b]}
"""


def test_a_plan_is_given_in_the_definition(tmp_path: Path) -> None:
    (tmp_path / "made_tools.py").write_text(TOOLS)
    (tmp_path / "app.yaml").write_text(HEAD + STEPS)
    planner = load(tmp_path / "app.yaml").planner
    assert isinstance(planner, FixedPlanner)
    plan = planner.plan_of("anything")
    assert plan.concurrency == 2 and [step.needs for step in plan.steps] == [(), ("a",), ("b",)]
    assert plan.steps[0].on_failure == OnFailure("isolate", retries=1) and plan.steps[0].seconds == 3
    (tmp_path / "app.yaml").write_text(HEAD + STEPS.replace("id: c", "id: c.d"))
    with pytest.raises(SpecError, match=r"app\.yaml:11:\d+: step id 'c.d': take letters"):
        load(tmp_path / "app.yaml")
    (tmp_path / "app.yaml").write_text(HEAD + STEPS.replace("needs: [b]", "needs: [d]"))
    with pytest.raises(SpecError, match=r"app\.yaml:16:\d+: .*needs\[0\]: 'd' is not one of the other steps"):
        load(tmp_path / "app.yaml")


def test_tool_making_is_asked_for_in_the_definition(tmp_path: Path) -> None:
    rows = [f'{{"family": "sums", "task": "What is {n} + 1?", "answer": "{n + 1}"}}' for n in (3, 14, 25)]
    (tmp_path / "solved.jsonl").write_text("\n".join(rows))
    making = "{maker: smith, examples: solved.jsonl, store: made, when: always, rounds: 1, level: process}"
    text = f"{HEAD}agents:\n  smith: {{model: large}}\n  desk: {{model: small, tool_making: {making}}}\n"
    (tmp_path / "app.yaml").write_text(text)
    found = load(tmp_path / "app.yaml").tool_making
    assert found is not None and [family.name for family in found.families] == ["sums"]
    assert found.store.folder == tmp_path / "made"
    (tmp_path / "solved.jsonl").write_text(rows[0])
    with pytest.raises(SpecError, match=r"app\.yaml:\d+:\d+: tools cannot be made: .*give 3 or more"):
        load(tmp_path / "app.yaml")


def test_panels_and_rounds(tmp_path: Path) -> None:
    def router(kind: str) -> object:
        body = f"routers: {{r: {kind}}}\nagents:\n  desk: {{router: r}}\n"
        agent = load(write(tmp_path, body))
        assert list(agent.backends) == ["small", "large"]
        return agent.router

    vote = router("{panel: {models: [small, small, large]}}")
    assert isinstance(vote, VoteRouter) and vote.panel == ("small", "small", "large") and vote.estimator is None
    fusion = router("{panel: {models: [small, small], by: fusion, fuser: large}}")
    assert isinstance(fusion, FusionRouter) and fusion.fuser == "large"
    rounds = router("{multi_round: {router: small, models: {large: sums}, rounds: 2}}")
    assert isinstance(rounds, MultiRoundRouter)
    assert (rounds.router, rounds.pool, rounds.rounds) == ("small", {"large": "sums"}, 2)


def test_panels_that_need_an_artefact(tmp_path: Path) -> None:
    body = "routers: {{r: {{panel: {{models: [small, large], by: {}, artefact: a.safetensors}}}}}}\n"
    for by in ("weighted_vote", "verifier"):
        with pytest.raises(ConfigError, match=r"a\.safetensors does not exist"):
            load(write(tmp_path, body.format(by) + "agents:\n  desk: {router: r}\n"))


@pytest.mark.parametrize("model", ["backend: local, zoo: pico", "backend: openai, model: m, api_key: k"])
def test_any_model_may_state_what_a_call_costs_at_most(tmp_path: Path, model: str) -> None:
    text = f"version: 1\nentry: a\nmodels: {{m: {{{model}, usd_per_call: 0.01}}}}\nagents: {{a: {{model: m}}}}\n"
    (tmp_path / "a.yaml").write_text(text)
    assert load(tmp_path / "a.yaml").backends["m"].card.usd_per_call == Decimal("0.01")
