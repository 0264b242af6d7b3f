"""`agentkit bench best-of`: the same number of samples, shared out evenly or by marginal gain; and who picks best.

Real samples: HumanEval programs of CodeT, 100 a problem, with what each does on generated asserts, and MATH
answers, 8 a question. First, with a check that tells a right sample when it sees one, the questions solved by:

- `uniform`: k samples of every question;
- `marginal`: one sample at a time to the question of highest gain. Its chance is a Beta posterior after its own
  failures, the prior fitted by moments on the other half of the questions; one that is solved gains nothing more;
- `predicted`: as many as uniform, shared out before a second sample is drawn, by what the first one does on the
  asserts: without a check (programs only).

Then, without a check, who picks from k programs: majority, CodeT, B4, chance. Each draw of samples is shuffled
anew; intervals are over questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from statistics import fmean, pvariance
from typing import NamedTuple

from agentkit.budgets.allocation import allocate
from agentkit.budgets.allocation_samples import best_of_k_after
from agentkit.errors import MissingExtra
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.public_data import required_folder, rows
from agentkit.evals.statistics import bootstrap_mean

K = 5
"""Samples a question, on average."""
_DRAWS, _QUICK_DRAWS = 40, 3


class Sample(NamedTuple):
    """Whether a sample is right, and which asserts it passes, as a text of 0 and 1."""

    right: bool
    passed: str


Question = list[Sample]


def run(options: Options) -> BenchResult:
    """Read the samples and share them out."""
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    draws = _QUICK_DRAWS if options.quick else _DRAWS
    for name, questions in (("code", _programs()), ("math", _answers())):
        options.progress(f"best-of: {len(questions)} {name} questions, {draws} draws of their samples")
        solved = _shared_out(questions, draws)
        for rule, by_question in solved.items():
            metrics[f"{name}_{rule}_solved"] = fmean(by_question)
        for rule in list(solved)[1:]:
            pairs = zip(solved[rule], solved["uniform"], strict=True)
            intervals[f"{name}_{rule}_gain"] = bootstrap_mean([mine - even for mine, even in pairs])
    picked = _picked(_programs(), draws)
    metrics |= {f"code_{rule}_picked": fmean(by_question) for rule, by_question in picked.items()}
    intervals |= {f"code_{rule}_picked": bootstrap_mean(found) for rule, found in picked.items()}
    return BenchResult("best-of", metrics | {"samples": K, "draws": draws}, intervals)


def _programs() -> list[Question]:
    table = rows(required_folder("samples_codet_humaneval") / "matrices.jsonl.gz")
    return [
        [Sample(bool(one["gold"]), one["passed"]) for one in row["solutions"] for _ in range(one["count"])]
        for row in table
    ]


def _answers() -> list[Question]:
    table = rows(required_folder("samples_qwen_rm_math100") / "samples.jsonl.gz")
    return [[Sample(bool(score), "") for score in row["score"]] for row in table]


def _shared_out(questions: Sequence[Question], draws: int) -> dict[str, list[float]]:
    """Return by rule the share of draws in which each question has a right sample."""
    solved: dict[str, list[float]] = {"uniform": [0.0] * len(questions), "marginal": [0.0] * len(questions)}
    if questions[0][0].passed:
        solved["predicted"] = [0.0] * len(questions)
    for number in range(draws):
        draw = random.Random(number)
        order = draw.sample(range(len(questions)), len(questions))
        shuffled = [draw.sample(question, len(question)) for question in questions]
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        for fitted, used in (halves, halves[::-1]):
            budget = K * len(used)
            prior = _prior([questions[place] for place in fitted])
            units = {
                "uniform": [K] * len(used),
                "marginal": _one_by_one([shuffled[p] for p in used], prior, budget),
            }
            if "predicted" in solved:
                first = _by_first([(questions[p], shuffled[p]) for p in fitted], [shuffled[p] for p in used])
                units["predicted"] = list(allocate(first, budget, least=1, most=len(shuffled[used[0]])).units)
            for rule, given in units.items():
                for place, count in zip(used, given, strict=True):
                    solved[rule][place] += any(one.right for one in shuffled[place][:count]) / draws
    return solved


def _one_by_one(questions: Sequence[Question], prior: tuple[float, float], budget: int) -> list[int]:
    """Return how many samples each question gets when the next goes to the highest posterior chance."""
    right, wrong = prior
    units = [0] * len(questions)
    queue = [(-right / (right + wrong), place) for place in range(len(questions))]
    heapify(queue)
    while budget and queue:
        _, place = heappop(queue)
        budget -= 1
        sample = questions[place][units[place]]
        units[place] += 1
        if not sample.right and units[place] < len(questions[place]):
            heappush(queue, (-right / (right + wrong + units[place]), place))
    return units


def _by_first(
    fitted: Sequence[tuple[Question, Question]], used: Sequence[Question]
) -> list[Callable[[int], float]]:
    """Return the gains of further samples by how many asserts the first one passes, in thirds."""
    shares = sorted(_share(shuffled[0]) for _, shuffled in fitted)
    cuts = shares[len(shares) // 3], shares[2 * len(shares) // 3]

    def third(sample: Sample) -> int:
        return sum(_share(sample) >= cut for cut in cuts)

    priors = {}
    for place in range(3):
        like = [whole for whole, shuffled in fitted if third(shuffled[0]) == place]
        priors[place] = _prior(like or [whole for whole, _ in fitted])
    return [best_of_k_after(*priors[third(question[0])]) for question in used]


def _share(sample: Sample) -> float:
    return sample.passed.count("1") / max(len(sample.passed), 1)


def _prior(questions: Sequence[Question]) -> tuple[float, float]:
    """Return the Beta prior with the mean and the variance of the questions' chances."""
    chances = [fmean(one.right for one in question) for question in questions]
    mean, spread = min(max(fmean(chances), 0.01), 0.99), max(pvariance(chances), 1e-4)
    size = max(mean * (1 - mean) / spread - 1, 0.1)
    return mean * size, (1 - mean) * size


def _picked(questions: Sequence[Question], draws: int) -> dict[str, list[float]]:
    """Return by rule how often the program that it picks of K is right, by question."""
    try:
        import numpy as np

        from agentkit.evals.baselines.sample_selection import b4, codet, majority
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    rules = {"majority": majority, "codet": codet, "b4": b4}
    found = {rule: [0.0] * len(questions) for rule in (*rules, "chance")}
    for number in range(draws):
        draw = random.Random(number)
        for place, question in enumerate(questions):
            samples = draw.sample(question, K)
            passes = np.array([[sign == "1" for sign in one.passed] for one in samples], dtype=np.uint8)
            for rule, pick in rules.items():
                found[rule][place] += samples[pick(passes)].right / draws
            found["chance"][place] += fmean(one.right for one in samples) / draws
    return found
