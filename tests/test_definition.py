"""Agent definitions: what good ones mean, and that bad ones give one error at the right place."""

import json
import traceback
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.costs import Budget
from agentkit.definition import Definition, read_definition
from agentkit.errors import SpecError
from agentkit.includes import MAX_INCLUDE_DEPTH
from agentkit.model_spec import LocalModelSpec, OpenAIModelSpec
from agentkit.models import from_spec
from agentkit.spec import AgentTool, BudgetSpec, PythonTool
from agentkit.usage import Price
from agentkit.yaml_reader import MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, parse_yaml
from tests.definitions.cases import BAD

HERE = Path(__file__).parent / "definitions"
SECRET = "sk-secret-42"
ENV = {"API_KEY": SECRET, "LIMIT": "0.05"}
MINIMAL = (HERE / "good/minimal.yaml").read_text()
FULL = (HERE / "good/full.yaml").read_text()


def good(name: str, **env: str) -> Definition:
    return read_definition(HERE / f"good/{name}.yaml", ENV | env)


def refusal(path: Path) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read_definition(path, ENV)
    assert caught.value.line > 0 and caught.value.column > 0
    return caught.value


# ---------------------------------------------------------------- good ones
def test_a_full_definition_means_what_it_says() -> None:
    spec = good("full").spec
    large = spec.models["gpt-5.2"]
    assert isinstance(large, OpenAIModelSpec) and large.price and large.api_key
    assert large.price.to_price() == Price(Decimal("1.25"), Decimal(10), Decimal("0.125"), Decimal("1.5"))
    assert large.api_key.get_secret_value() == SECRET
    assert large.base_url == "https://llm.example/v1"
    assert (large.max_output_tokens, large.capabilities) == (16_000, {"temperature": False, "json_schema": True})
    assert spec.budgets["small"].to_budget() == Budget(usd=Decimal("0.05"), tokens=20_000, seconds=30)
    assert spec.routers["default"].order == ("pico", "folder", "gpt-5.2")
    main = spec.agents["main"]
    assert main.tools[:3] == ("calculate", "lookup", "ask_expert")
    assert main.tools[3:] == (PythonTool(python="shop.tools:order", timeout=2.5), AgentTool(agent="helper"))
    assert spec.tools["sums"] == "calculate"
    assert (main.models, main.max_steps, main.temperature, main.seed) == (("pico", "gpt-5.2"), 8, 0.2, 7)


def test_models_of_every_provider_become_backends() -> None:
    definition = good("providers")
    backends = {name: from_spec(name, model) for name, model in definition.spec.models.items()}
    dialects = {name: backend.card.backend for name, backend in backends.items()}
    assert dialects == {
        "fast": "openai",
        "thinker": "openai-responses",
        "strong": "anthropic",
        "wide": "gemini",
        "open": "openai",
        "ours": "azure",
    }
    assert backends["strong"].card.image_tokens == 1600
    assert not backends["open"].card.capabilities.images


def test_a_strict_budget_limits_every_resource_it_names() -> None:
    budget = good("full").spec.budgets["strict"].to_budget()
    assert budget.on_limit == "raise"
    assert budget.limits() == {
        "usd": 100_000_000,
        "input_tokens": 10_000,
        "output_tokens": 2_000,
        "requests": 12,
        "tool_calls[lookup]": 3,
        "tool_calls[sums]": 10,
        "gpu_us": 2_500_000,
    }


def test_files_are_found_beside_the_definition_and_read_as_they_are() -> None:
    spec = good("full").spec
    assert spec.agents["main"].instructions == (HERE / "good/parts/main.md").read_text()
    folder = spec.models["folder"]
    assert isinstance(folder, LocalModelSpec) and folder.path == str(HERE / "good/checkpoints/mine")


def test_variables_fill_scalars_of_every_type() -> None:
    spec = good("variables", QUALITY="0.75", CAN_CALL="false", SIZE="", EMPTY="").spec
    small, large = spec.models["small"], spec.models["large"]
    assert isinstance(small, LocalModelSpec) and (small.zoo, small.quality) == ("nano", 0.75)
    assert isinstance(large, OpenAIModelSpec)
    assert (large.model, large.capabilities) == ("gpt-large", {"tools": False})
    assert spec.budgets["default"].to_budget() == Budget(
        usd=Decimal("0.05"), requests=5, tool_calls=4, on_limit="raise"
    )
    assert spec.agents["main"].instructions == "Write ${name} as it is, by order of the owner."
    assert (spec.agents["main"].model, spec.entry) == ("small", "main")


def test_includes_merge_maps_replace_lists_and_resolve_paths_where_they_stand() -> None:
    definition = good("included")
    small = definition.spec.models["small"]
    assert isinstance(small, LocalModelSpec)
    assert (small.path, small.quality, small.threads) == (str(HERE / "good/parts/weights"), 0.6, 2)
    assert definition.spec.budgets["default"] == BudgetSpec(usd=Decimal("0.02"), requests=3)
    main = definition.spec.agents["main"]
    assert main.tools == ("calculate",)
    assert main.instructions == (HERE / "good/parts/main.md").read_text()


def test_what_a_search_and_a_making_keep_lies_beside_the_file_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/making.yaml").write_text(
        "agents:\n  main:\n    tool_search: {cache: said.json}\n"
        "    tool_making: {maker: smith, examples: solved.jsonl, store: tools}\n  smith: {model: small}\n"
    )
    root = tmp_path / "app.yaml"
    root.write_text(MINIMAL.replace("version: 1", "version: 1\ninclude: [parts/making.yaml]"))
    main = read_definition(root).spec.agents["main"]
    assert main.tool_search and main.tool_search.cache == str(tmp_path / "parts/said.json")
    assert main.tool_making and main.tool_making.store == str(tmp_path / "parts/tools")
    assert main.tool_making.examples == str(tmp_path / "parts/solved.jsonl")


def test_a_version_may_come_from_an_included_file(tmp_path: Path) -> None:
    (tmp_path / "leaf.yaml").write_text("version: 1\n")
    (tmp_path / "middle.yaml").write_text("include: [leaf.yaml]\n")
    root = tmp_path / "root.yaml"
    root.write_text(MINIMAL.replace("version: 1", "include: [middle.yaml]"))
    assert read_definition(root, ENV).spec.version == 1


def test_places_lead_to_the_file_a_value_came_from() -> None:
    definition = good("included")
    asked = ("models", "small", "quality"), ("agents", "main", "tools"), ("budgets", "default", "requests")
    places = [definition.error("wrong", *keys) for keys in asked]
    assert [(Path(error.path).name, error.line) for error in places] == [
        ("team.yaml", 4),
        ("included.yaml", 4),
        ("limits.yaml", 2),
    ]


def test_scalars_are_read_as_yaml_1_2() -> None:
    spec = good("yaml12").spec
    small = spec.models["no"]
    assert isinstance(small, LocalModelSpec) and small.threads == 10
    on = spec.agents["on"]
    assert (on.model, on.instructions, on.description, on.temperature) == ("no", "off", "2026-11-20", 0.1)
    assert spec.agents["yes"].instructions == "12:30"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("+.5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("'1'", "1"),
        ("2026-11-20", "2026-11-20"),
    ],
)
def test_scalar(text: str, value: object) -> None:
    read = parse_yaml("x", f"a: {text}").plain()["a"]
    assert (read, type(read)) == (value, type(value))


def test_an_alias_repeats_its_anchor() -> None:
    a, b = good("aliases").spec.models.values()
    assert a.price == b.price is not None


# ---------------------------------------------------------------- bad ones
@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    place, says = BAD[name]
    error = refusal(HERE / f"bad/{name}.yaml")
    file = place if place.count(":") == 2 else f"{name}.yaml:{place}"
    assert str(error).startswith(str(HERE / "bad" / file) + ": ")
    assert says in str(error)


def test_every_bad_file_is_in_the_table() -> None:
    assert {path.stem for path in (HERE / "bad").glob("*.yaml")} == set(BAD)


def deep_includes(folder: Path) -> str:
    for i in range(MAX_INCLUDE_DEPTH + 1):
        (folder / f"{i}.yaml").write_text(f"include: [{i + 1}.yaml]\n")
    return "include: [0.yaml]\n"


def many_includes(folder: Path) -> str:
    (folder / "part.yaml").write_text("models: {}\n")
    return f"include: [{'part.yaml, ' * 100}]\n"


GENERATED = {
    "huge": (b"#" * (MAX_BYTES + 1), "1:1", "over 1,000,000 bytes"),
    "binary": (b"version: 1\n\x7fELF\x00\x01", "2:1", "control character"),
    "nul": (b"version: 1\na\x00b", "2:2", "control character"),
    "latin": ("version: 1\n# café".encode("latin-1"), "2:6", "not UTF-8"),
    "utf16": ("version: 1\n".encode("utf-16"), "1:1", "not UTF-8"),
    "deep_lists": (b"a: " + b"[" * 100_000, f"1:{MAX_DEPTH + 4}", "nested over 50 deep"),
    "deep_maps": (b"".join(b" " * i + b"a:\n" for i in range(99)), f"{MAX_DEPTH + 2}:52", "nested over 50 deep"),
    "many_values": (b"a: [" + b"x," * MAX_NODES + b"]", "1:100001", "over 50,000 values"),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated(name: str, tmp_path: Path) -> None:
    content, place, says = GENERATED[name]
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    assert str(refusal(path)).startswith(f"{path}:{place}: ")
    assert says in str(refusal(path))


@pytest.mark.parametrize("write", [deep_includes, many_includes])
def test_includes_are_limited(tmp_path: Path, write: object) -> None:
    assert callable(write)
    path = tmp_path / "root.yaml"
    path.write_text(write(tmp_path))
    assert "too many includes; at most 10 deep, 100 files" in str(refusal(path))


def test_a_missing_file_is_a_spec_error(tmp_path: Path) -> None:
    assert "there is no file" in str(refusal(tmp_path / "nothing.yaml"))


def test_the_first_problem_of_the_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(MINIMAL.replace("zoo: nano", "zoo: nono").replace("entry: main", "entry: 3"))
    assert refusal(path).line == 4


def test_a_long_circle_of_agents_is_found(tmp_path: Path) -> None:
    count = 1_500  # deeper than Python's stack
    agents = "".join(f"  a{i}: {{model: small, tools: [{{agent: a{(i + 1) % count}}}]}}\n" for i in range(count))
    path = tmp_path / "circle.yaml"
    path.write_text(MINIMAL.replace("  main: {model: small}\n", agents).replace("entry: main", "entry: a0"))
    assert "in a circle" in str(refusal(path))


# ---------------------------------------------------------------- secrets
def every_value_replaced(text: str) -> list[str]:
    lines = text.splitlines()
    return [
        "\n".join([*lines[:i], f"{line.split(':')[0]}: ${{env:API_KEY}}", *lines[i + 1 :]])
        for i, line in enumerate(lines)
        if ":" in line and not line.startswith("#")
    ]


@pytest.mark.parametrize("text", every_value_replaced(FULL))
def test_no_error_shows_the_value_of_a_variable(text: str, tmp_path: Path) -> None:
    path = tmp_path / "misplaced.yaml"
    path.write_text(text)
    try:
        read_definition(path, ENV)
    except SpecError as error:
        assert SECRET not in "".join(traceback.format_exception(error))
        assert not any(SECRET in str(cause) for cause in (error.__context__, error.__cause__))


@pytest.mark.parametrize("name", ["secret_is_a_list", "address_with_credentials"])
def test_no_error_shows_a_literal_secret(name: str) -> None:
    error = refusal(HERE / f"bad/{name}.yaml")
    assert "sk-literal-9" not in "".join(traceback.format_exception(error)) + repr(error.__context__)


def test_no_repr_shows_a_secret() -> None:
    definition = good("full")
    model = definition.spec.models["gpt-5.2"]
    for shown in (
        repr(definition),
        repr(definition.root),
        str(definition.spec),
        repr(model),
        str(model.model_dump()),
    ):
        assert SECRET not in shown


# ---------------------------------------------------------------- properties
def read_text(text: bytes, folder: Path) -> Definition | SpecError:
    path = folder / "fuzzed.yaml"
    path.write_bytes(text)
    try:
        return read_definition(path, ENV)
    except SpecError as error:
        assert error.line > 0 and error.column > 0 and error.path and error.what
        return error


@given(text=st.text("ab:{}[]&*!|>'\"-#?%@`, \n\t$\\~", max_size=80) | st.binary(max_size=80))
def test_any_text_gives_a_spec_error(text: str | bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    assert isinstance(read_text(content, tmp_path_factory.getbasetemp()), SpecError)


@given(
    first=st.integers(0, FULL.count("\n")),
    second=st.integers(0, FULL.count("\n")),
    junk=st.sampled_from(["", "  - x", "    a: 1", "  ? []", "\t", "x: *y", "  b: .nan", "  main: 3", "}", "'"]),
)
def test_a_damaged_definition_never_crashes(
    first: int, second: int, junk: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = FULL.splitlines()
    lines[second : second + 1] = [junk, lines[first % len(lines)]]
    read = read_text("\n".join(lines).encode(), tmp_path_factory.getbasetemp())
    assert isinstance(read, Definition | SpecError)  # whose place and text read_text has checked


values = st.recursive(
    st.integers(0, 10**22) | st.integers() | st.floats() | st.booleans() | st.text(max_size=9) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    limits=st.dictionaries(st.sampled_from([*BudgetSpec.model_fields, "other"]), values, max_size=4),
    quoted=st.booleans(),
)
def test_any_budget_is_a_budget_or_a_spec_error(
    limits: dict[str, object], quoted: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = MINIMAL + "budgets:\n  default: " + flow({k: str(v) for k, v in limits.items()} if quoted else limits)
    read = read_text(text.encode("utf-8", "replace"), tmp_path_factory.getbasetemp())
    if isinstance(read, Definition):
        budget = read.spec.budgets["default"].to_budget()
        assert all(0 <= amount <= 2**62 for amount in budget.limits().values())


def flow(value: object) -> str:
    """Write a value as YAML flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str):
        return "'" + "".join(c for c in value if c.isprintable()).replace("'", "''") + "'"
    if isinstance(value, float):
        return repr(value).replace("inf", ".inf").replace("nan", ".nan")
    return json.dumps(value)


def test_node_find_stops_where_keys_end() -> None:
    root: Node = parse_yaml("x", "a: [{b: 1}]")
    found, node = root.find(("a", "<tag>", 0, "b", "missing"))
    assert (found, node.value, node.place.line, node.place.column) == (("a", 0, "b"), 1, 1, 9)
