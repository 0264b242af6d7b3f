"""Public formats in small, and what is refused."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from agentkit.errors import ConfigError, TableError
from agentkit.evals.replay.importers import FORMATS, convert
from agentkit.routers.estimators import OutcomeTable, read_table

ROUTERBENCH = """sample_id,prompt,eval_name,gpt-4,gpt-4|model_response,gpt-4|total_cost,mixtral,mixtral|model_response,mixtral|total_cost
m.1,"['Why, so?']",mmlu,1.0,"['B']",0.002,0.25,"['A']",0.0001
m.2,"['How?']",gsm8k,0.0,"['7']",0.003,,,
"""  # noqa: E501  # a row is a line
ROUTELLM = "prompt,mixtral,gpt-4,gpt-4_response\nWhy?,True,False,because\nHow?,False,True,so\n"
LLMROUTER = [
    {"task_name": "mmlu", "query": "Why?", "model_name": "a", "performance": 1, "token_num": 9, "response": "B"},
    {"task_name": "mmlu", "query": "Why?", "model_name": "b", "performance": 0.5, "input_tokens": 7},
]
PREPROCESSED = [{"question": "Why?", "scores": {"a": 1.0, "b": 0.0}}]
ROUTERARENA = {
    "global_index": "AIME_7", "question": "Why?", "llm_selected": "haiku", "generated_answer": "42",
    "token_usage": {"input_tokens": 11, "output_tokens": 5},
    "evaluation_result": {"score": 1.0, "inference_cost": 0.0002},
}  # fmt: skip
FAILED = {**ROUTERARENA, "global_index": "AIME_8", "evaluation_result": None}


def lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[[str, str, str], OutcomeTable]:
    def run(form: str, name: str, content: str) -> OutcomeTable:
        (tmp_path / name).write_text(content)
        convert(form, tmp_path / name, tmp_path / "table")
        return read_table(tmp_path / "table", assumed_output=0)

    return run


Import = Callable[[str, str, str], OutcomeTable]


def test_routerbench(imported: Import) -> None:
    table = imported("routerbench", "wide.csv", ROUTERBENCH)
    assert table.models == ("gpt-4", "mixtral")
    assert [(item.id, item.task) for item in table.items] == [("m.1", "mmlu"), ("m.2", "gsm8k")]
    assert table.score[0].tolist() == [1.0, 0.25] and table.cost[0].tolist() == [0.002, 0.0001]
    assert table.known.tolist() == [[True, True], [True, False]]
    assert table.responses[0]["mixtral"] == "['A']"


def test_routellm(imported: Import, tmp_path: Path) -> None:
    table = imported("routellm", "mmlu_law.csv", ROUTELLM)
    assert table.models == ("gpt-4", "mixtral") and table.counts.left_out == 4  # no costs: prices are to be added
    assert [item.task for item in table.items] == ["mmlu_law"] * 2
    assert table.responses[1] == {"gpt-4": "so"}


def test_llmrouter_in_both_forms(imported: Import, tmp_path: Path) -> None:
    table = imported("llmrouter", "routing.jsonl", lines(LLMROUTER))
    assert table.models == ("a", "b") and len(table.items) == 1
    assert table.input_tokens[0].tolist()[1] == 7
    (tmp_path / "test.json").write_text(json.dumps(PREPROCESSED))
    assert convert("llmrouter", tmp_path / "test.json", tmp_path / "second") == 2


def test_routerarena(imported: Import) -> None:
    table = imported("routerarena", "haiku.jsonl", lines([ROUTERARENA, FAILED]))
    assert [(item.id, item.task) for item in table.items] == [("AIME_7", "AIME")]
    assert (table.score[0, 0], table.cost[0, 0], table.output_tokens[0, 0]) == (1.0, 0.0002, 5)
    assert table.responses[0] == {"haiku": "42"}


def test_a_folder_of_files_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "cached").mkdir()
    for model in ("haiku", "flash"):
        (tmp_path / "cached" / f"{model}.jsonl").write_text(lines([{**ROUTERARENA, "llm_selected": model}]))
    assert convert("routerarena", tmp_path / "cached", tmp_path / "table") == 2
    assert read_table(tmp_path / "table").models == ("flash", "haiku")


def test_the_same_source_has_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROUTELLM)
    for name in ("first", "second"):
        convert("routellm", tmp_path / "a.csv", tmp_path / name)
    assert read_table(tmp_path / "first").digest == read_table(tmp_path / "second").digest


@pytest.mark.parametrize(
    ("form", "name", "content", "says"),
    [
        ("routerbench", "a.csv", "prompt,gpt-4\nWhy?,1\n", "total_cost"),
        ("routerbench", "a.csv", ROUTERBENCH.replace("0.25", "good"), "a number is expected, not 'good'"),
        ("routellm", "a.csv", "question,m\nWhy?,True\n", "'prompt' is missing"),
        ("llmrouter", "a.jsonl", '{"query": "q"}\n', "'model_name' is missing"),
        ("llmrouter", "a.jsonl", "[}\n", "not JSON"),
        ("llmrouter", "a.json", "{}", "list of objects"),
        ("llmrouter", "a.json", "[1]", "object is expected, not 1"),
        ("llmrouter", "a.json", '[{"question": "q", "scores": [1]}]', "object is expected"),
        ("llmrouter", "a.json", '[{"question": "q", "scores": {"m": "bad"}}]', "a number is expected"),
        ("llmrouter", "a.json", '[{"question": "q", "scores": {"m": null}}]', "a score is a number"),
        ("routerarena", "a.jsonl", "[1]", "object is expected"),
        ("routerarena", "a.jsonl", lines([{**ROUTERARENA, "evaluation_result": 3}]), "object is expected, not 3"),
        ("routerarena", "a.jsonl", lines([FAILED]), "no outcome"),
        ("routerarena", "a.jsonl", lines([{**ROUTERARENA, "evaluation_result": {"score": 70}}]), "up to 1"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, form: str, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TableError, match=says):
        convert(form, tmp_path / name, tmp_path / "table")
    assert not (tmp_path / "table").exists()


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=", ".join(FORMATS)):
        convert("pickle", tmp_path, tmp_path / "table")
