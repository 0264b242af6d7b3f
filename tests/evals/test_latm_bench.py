"""The latm bench: tools that do what their families ask, and what a small run shows."""

import pytest

from agentkit.evals.benches import Options
from agentkit.evals.benches.latm import EXAMPLES, SET, Done, _questions, _report, run
from agentkit.evals.benches.latm_tools import ARGUMENTS, DRAFTS
from agentkit.evals.public_data import data_folder

needs_data = pytest.mark.skipif(data_folder(SET) is None, reason="the public data is not here")


@needs_data
@pytest.mark.parametrize("family", DRAFTS)
def test_the_last_draft_is_right_on_what_it_was_written_from(family: str) -> None:
    solved = _questions()[family][:EXAMPLES]
    said = [DRAFTS[family][-1](**ARGUMENTS[family](question.task)) for question in solved]
    right = [text.split() == question.answer.split() for text, question in zip(said, solved, strict=True)]
    assert all(right) != (family == "object_counting")  # what is an instrument it cannot know


def test_a_break_even_is_where_the_sums_cross() -> None:
    made = [Done(10, 100 * (place == 0), True, tool=True) for place in range(30)]
    direct = [Done(20, 0, False)] * 30
    metrics: dict[str, float] = {}
    _report(
        "f", {"always": made, "direct_thinking": direct, "direct_at_once": made, "strong": direct}, metrics, {}
    )
    assert metrics["f_break_even_against_strong_predicted_tasks"] == 10
    assert metrics["f_break_even_against_strong_observed_tasks"] == 10
    assert "f_break_even_against_direct_at_once_predicted_tasks" not in metrics
    failed = [Done(20, 100 * (place == 0), True) for place in range(30)]
    _report(
        "g", {"always": failed, "direct_thinking": direct, "direct_at_once": made, "strong": direct}, metrics, {}
    )
    assert not any(key.startswith("g_break_even") for key in metrics)
    assert metrics["f_making_usd"] == pytest.approx(1e-7) and metrics["f_strong_accuracy"] == 0


@needs_data
def test_a_small_run_has_the_keys_that_are_promised() -> None:
    metrics = run(Options(quick=True, install=False)).metrics
    assert metrics["word_sorting_always_accuracy"] == metrics["navigate_always_accuracy"] == 1
    assert metrics["navigate_making_usd"] > metrics["word_sorting_making_usd"] > 0  # a draft more
    for family in ("word_sorting", "navigate"):
        assert metrics[f"{family}_always_usd_per_task"] < metrics[f"{family}_direct_thinking_usd_per_task"]
        assert metrics[f"{family}_break_even_against_direct_thinking_predicted_tasks"] > 4
    assert metrics["dispatch_right_share"] > 0.95 < metrics["dispatch_others_left_alone_share"]
