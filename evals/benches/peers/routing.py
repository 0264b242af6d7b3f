# mypy: ignore-errors
# (its packages are in other checkouts)
"""RouteLLM's and eth-sri's own code on the folds of our replay: `python routing.py TABLE RATIO`.

AGENTKIT_ROUTELLM and AGENTKIT_CASCADE_ROUTING name their checkouts (commits 0b64fda and 1788b90); an absent one is
left out. They need pandas, hyperopt and loguru beside agentkit. TABLE keeps replies of two models on GSM8K; the
strong one costs RATIO times the weak one per token. Prints hull areas with 95 % paired intervals as JSON.

Their code runs as it is, on what a user would have to give it:

- RouteLLM's embeddings come from a provider; here `openai` is a stand-in that embeds with MiniLM (384 numbers).
  `sw_ranking` takes the training fold's outcomes as battles, a model being a tier of its own; `mf` is trained by
  their own loop at their own settings, but for the width of the embedding and the device.
- cascade routing gets our estimates of quality and cost, our verifier's beliefs after each reply, and covariances
  by its own default; λ is swept over our knob instead of searched for one budget at a time.
"""

import json
import os
import random
import sys
import tempfile
import types
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from agentkit.backends.minilm import MiniLM
from agentkit.costs import NANO
from agentkit.evals.baselines import Ladder, routellm
from agentkit.evals.baselines.cascades import cascade_routing, shared_fit
from agentkit.evals.baselines.routellm import RUNGS, ThresholdRouter
from agentkit.evals.replay.folds import folds
from agentkit.evals.replay.report import report
from agentkit.evals.replay.runs import replay
from agentkit.routers import Call, Stop
from agentkit.routers.estimators import read_table
from agentkit.routers.estimators.recorded import Stage
from agentkit.routers.estimators.verified import rates

WEAK, STRONG = "mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"


def gsm8k(folder: Path, ratio: float):
    """Return the questions of GSM8K, a million tokens of the weak model at a dollar, of the strong at `ratio`."""
    table = read_table(folder)
    table = table.rows([row for row, item in enumerate(table.items) if item.task == "gsm8k"])
    price = np.array([ratio if "gpt-4" in model else 1.0 for model in table.models])
    return replace(table, cost=(table.input_tokens + table.output_tokens) * price / 1e6, prices={})


@cache
def embedded(text: str):
    """Return the embedding of a text."""
    return MiniLM().encode([text])[0]


class Embeddings:
    """What RouteLLM calls of the provider's client."""

    def create(self, input, model):
        """Return embeddings in the shape of the provider's reply."""
        data = [types.SimpleNamespace(embedding=embedded(text).tolist()) for text in input]
        return types.SimpleNamespace(data=data)


# ---------------------------------------------------------------- RouteLLM
def routellm_checkout(checkout: str) -> dict:
    """Return contenders that ask RouteLLM's routers for the chance that the strong model wins."""
    client = types.SimpleNamespace(embeddings=Embeddings())
    sys.modules["openai"] = types.SimpleNamespace(OpenAI=lambda: client)
    sys.path.insert(0, checkout)
    return {"RouteLLM sw_ranking": _with_wins(_sw_ranking), "RouteLLM mf": _with_wins(_factorised)}


def _with_wins(fit):
    def contender(table):
        wins = fit(table)
        chances = np.array([wins.of(text) for text in table.texts])
        cost = np.nan_to_num(table.cost).mean(axis=0)
        weak, strong = int(cost.argmin()), int(cost.argmax())
        shares = np.linspace(1.0, 0.0, RUNGS)
        limits = np.quantile(chances, 1 - shares)
        limits[0], limits[-1] = -np.inf, np.inf
        spend = tuple(float(cost[weak] + share * (cost[strong] - cost[weak])) for share in shares)
        names = table.models[weak], table.models[strong]
        return Ladder(tuple(ThresholdRouter(wins, *names, float(limit)) for limit in limits), spend)

    return contender


class Wins:
    """The chance that the strong model wins, each text asked about once."""

    def __init__(self, ask) -> None:
        self.of = cache(ask)


def _battles(table):
    weak, strong = (int(place) for place in np.argsort(np.nan_to_num(table.cost).mean(axis=0)))
    gain = table.score[:, strong] - table.score[:, weak]
    return ["model_a" if one > 0 else "model_b" if one < 0 else "tie" for one in gain]


def _sw_ranking(table):
    import pandas
    from routellm.routers.similarity_weighted.utils import compute_elo_mle_with_tie

    battles = pandas.DataFrame({"model_a": STRONG, "model_b": WEAK, "winner": _battles(table)})
    known = np.stack([embedded(text) for text in table.texts])

    def ask(text):  # as SWRankingRouter.calculate_strong_win_rate, whose constructor downloads its battles
        similarity = known @ embedded(text)
        ratings = compute_elo_mle_with_tie(battles, sample_weight=10 * 10 ** (similarity / similarity.max()))
        return 1 - 1 / (1 + 10 ** ((ratings[STRONG] - ratings[WEAK]) / 400))

    return Wins(ask)


def _factorised(table):
    from routellm.routers.matrix_factorization import train_matrix_factorization as training
    from routellm.routers.matrix_factorization.model import MODEL_IDS, MFModel

    winners = _battles(table)
    pair = {"model_a": STRONG, "model_b": WEAK}
    data = [{**pair, "winner": winner, "idx": idx} for idx, winner in enumerate(winners) if winner != "tie"]
    random.Random(42).shuffle(data)
    cut = int(len(data) * 0.95)
    train, test = (training.PairwiseDataset(part) for part in (data[:cut], data[cut:]))
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, np.stack([embedded(text) for text in table.texts]))
        net = training.MFModel_Train(128, len(MODEL_IDS), len(winners), text_dim=384, npy_path=file.name)
    loaders = train.get_dataloaders(64), test.get_dataloaders(1024, shuffle=False)
    how = {"lr": 3e-4, "weight_decay": 1e-5, "alpha": 0.1, "num_epochs": 100, "device": "cpu"}
    training.train_loops(net, *loaders, **how)
    model = MFModel(128, len(MODEL_IDS), 384, 1, True)
    weights = {name.replace("text_proj.", "text_proj.0.").replace("classifier.", "classifier.0."): value
               for name, value in net.state_dict().items() if not name.startswith("Q.")}  # fmt: skip
    model.load_state_dict(weights)
    return Wins(lambda text: model.pred_win_rate(MODEL_IDS[STRONG], MODEL_IDS[WEAK], text))


# ---------------------------------------------------------------- cascade routing of eth-sri
def ethz_checkout(checkout: str) -> dict:
    """Return the contender that asks their CascadeRouter which model to run next."""
    package = types.ModuleType("selection")  # its __init__ imports every provider's client
    package.__path__ = [str(Path(checkout) / "src" / "selection")]
    sys.modules["selection"] = package
    return {"cascade routing (eth-sri)": _ethz}


def _ethz(table):
    from selection import quality_computer
    from selection.cascade_router import CascadeRouter

    expected_max = quality_computer.compute_expected_max

    def of_one_or_more(qualities, sigma, **how):  # newer NumPy does not take an array of one for a number
        one = len(qualities) == 1 and sigma is not None
        return (float(qualities[0]), float(sigma[0, 0])) if one else expected_max(qualities, sigma, **how)

    quality_computer.compute_expected_max = of_one_or_more
    fitted, knob = shared_fit(table), rates(table)
    stage = Stage.of(fitted.table)

    class Beliefs(quality_computer.BaseQualityComputer):
        is_independent = False

        def predict(self, questions, answers):
            found = []
            for row, seen in zip(questions, answers, strict=True):
                got = [outcome for outcome in seen if outcome is not None]
                ones = fitted.rehearsal.estimate(stage.queries[row], stage.cards, got)
                found.append([one.quality for one in ones])
            return np.array(found), self.predict_covariances(questions, answers)

    quality = Beliefs()
    rows = [row for row, known in enumerate(stage.outcomes) if len(known) == len(stage.cards)]
    quality.fit_covariances(rows, [[stage.outcomes[row][card.name] for card in stage.cards] for row in rows])
    order = np.argsort(np.nan_to_num(table.cost).mean(axis=0))

    class Router:
        def __init__(self, rate) -> None:
            self.rate = rate
            self.peer = CascadeRouter(quality, None, list(range(len(order))), None, force_order=False)

        def next(self, query, candidates, seen, view):
            ones = fitted.estimator.estimate(query, candidates, seen)
            qualities = np.array([one.quality for one in ones])
            costs = np.array([one.cost["usd"] / NANO for one in ones])
            by_name = {outcome.model: outcome for outcome in seen}
            answers = [by_name.get(card.name) for card in candidates]
            (sigma,) = quality.predict_covariances([None], [answers])
            chosen, _ = self.peer._predict_model(
                query.text, qualities, sigma, costs, answers, len(seen), self.rate, cheapest=True
            )
            if chosen is not None:
                return Call(candidates[chosen].name, "theirs")
            believed = [qualities[[card.name for card in candidates].index(outcome.model)] for outcome in seen]
            return Stop(int(np.argmax(believed)) if believed else None, "theirs")  # as their select_answer

    falling = tuple(float(place) for place in range(len(knob), 0, -1))  # only the hull is compared
    return Ladder(tuple(Router(rate) for rate in knob), falling, fitted.base)


if __name__ == "__main__":
    contenders = {"cascade routing (ours)": cascade_routing, "RouteLLM-style (ours)": routellm}
    for variable, make in (("AGENTKIT_CASCADE_ROUTING", ethz_checkout), ("AGENTKIT_ROUTELLM", routellm_checkout)):
        if place := os.environ.get(variable):
            contenders |= make(place)
    arena, runs = replay(
        list(folds(gsm8k(Path(sys.argv[1]), float(sys.argv[2])))),
        contenders,
        progress=lambda line: sys.stderr.write(line + "\n"),
    )
    ours = "hull_over_cascade routing (ours)"
    sys.stdout.write(json.dumps({
        name: {key: row[key] for key in ("hull", ours, f"{ours}_low", f"{ours}_high", "apgr") if key in row}
        for name, row in report(arena, runs)["routers"].items()
    }, indent=1))  # fmt: skip
