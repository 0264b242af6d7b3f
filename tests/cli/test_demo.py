"""`agentkit demo`: three questions to the order desk."""

import re
from decimal import Decimal

from tests.cli.conftest import Cli


def test_three_questions_are_answered_within_their_budgets(cli: Cli) -> None:
    code, out, _ = cli("demo")
    assert code == 0
    statuses = re.findall(r"^│ status +(\w+)", out, re.MULTILINE)
    assert statuses == ["complete", "complete", "exhausted"]
    answers = re.findall(r"^│ answer +The \w+ is (.+?)\. ", out, re.MULTILINE)
    assert answers == re.findall(r"^│ expected +(\S+)", out, re.MULTILINE)[:2]
    totals = [Decimal(usd) for usd in re.findall(r"^total +\$(\S+)", out, re.MULTILINE)]
    (said,) = re.findall(r"The three answers cost \$(\S+) in", out)
    assert len(totals) == 3
    assert sum(totals) == Decimal(said)
    assert all(0 < total < Decimal("0.001") for total in totals)
