"""The published JSON schema: current, and in agreement with the loader about what has the right shape."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from agentkit.costs import Budget
from agentkit.model_spec import Capability
from agentkit.schema import json_schema
from agentkit.types import Capabilities
from agentkit.yaml_reader import parse_yaml
from tests.definitions.cases import BAD, MEANING, SHAPE

HERE = Path(__file__).parent / "definitions"
PUBLISHED = Path(__file__).parent.parent / "docs/agentkit.schema.json"
GOOD = sorted(path.stem for path in (HERE / "good").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def data(path: Path) -> Any:
    return parse_yaml(str(path), path.read_text()).plain()


def test_the_published_schema_is_current() -> None:
    assert json.loads(PUBLISHED.read_text()) == json_schema()


@pytest.mark.parametrize("name", GOOD)
def test_a_good_definition_is_valid(validator: Draft202012Validator, name: str) -> None:
    assert [error.message for error in validator.iter_errors(data(HERE / f"good/{name}.yaml"))] == []


@pytest.mark.parametrize("name", SHAPE)
def test_a_wrong_shape_is_refused(validator: Draft202012Validator, name: str) -> None:
    assert not validator.is_valid(data(HERE / f"bad/{name}.yaml"))


@pytest.mark.parametrize("name", MEANING)
def test_what_only_the_loader_can_tell_is_valid(validator: Draft202012Validator, name: str) -> None:
    assert validator.is_valid(data(HERE / f"bad/{name}.yaml"))


def test_the_table_has_no_name_twice() -> None:
    assert len(BAD) == len(list((HERE / "bad").glob("*.yaml")))


def test_the_spec_follows_the_types_it_fills() -> None:
    assert set(get_args(Capability)) == set(Capabilities.__dataclass_fields__)
    assert set(json_schema()["$defs"]["BudgetSpec"]["properties"]) == set(Budget.__dataclass_fields__)


@pytest.mark.parametrize("text", ["12", "1e3", "${env:LIMIT}", "${env:LIMIT:-5}", 12, 0.5])
def test_a_number_may_be_text_or_a_variable(validator: Draft202012Validator, text: object) -> None:
    definition = data(HERE / "good/minimal.yaml") | {"budgets": {"default": {"usd": text}}}
    assert validator.is_valid(definition)


def test_an_included_file_may_give_what_is_left_out(validator: Draft202012Validator) -> None:
    assert validator.is_valid({"include": ["team.yaml"]})
    assert not validator.is_valid({"version": 1})
