"""Docstrings as people write them."""

import inspect

import pytest

from agentkit.tools.docstring import parameters, summary


def google_style() -> None:
    """Look an order up
    in the books.

    Slow on Mondays.

    Args:
        number: The order's number,
            as printed,
            unit: none.
        depth (int, optional): How far back to look.
        *rest: Ignored.

    Returns:
        status: Not a parameter.
    """


CLEAN = inspect.getdoc(google_style) or ""


def test_the_summary_is_the_first_paragraph_on_one_line() -> None:
    assert summary(CLEAN) == "Look an order up in the books."


def test_parameters_come_from_the_args_section_only() -> None:
    assert parameters(CLEAN) == {
        "number": "The order's number, as printed, unit: none.",
        "depth": "How far back to look.",
        "rest": "Ignored.",
    }


@pytest.mark.parametrize("heading", ["Args:", "Arguments:", "Parameters:"])
def test_headings(heading: str) -> None:
    assert parameters(f"Do.\n\n{heading}\n  a: First.\n  b: Second.\n") == {"a": "First.", "b": "Second."}


@pytest.mark.parametrize("text", ["", "Do.", "Do.\n\nReturns:\n    a: Thing.", "Args: in the summary\n    a: No."])
def test_no_section_means_no_descriptions(text: str) -> None:
    assert parameters(text) == {}
