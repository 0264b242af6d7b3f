"""Several answers to one question, and how one is made of them: a vote, or a model that merges what differs.

With `artefact.vote(panel)` votes weigh what fitting found, with `artefact.best_of(panel)` a verifier chooses. At
the end a model votes on its own answer, so that a verifier can be fitted on what such votes are worth.
"""

from decimal import Decimal

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend
from agentkit.backends.fake import Reply
from agentkit.routers import Router, RuleRouter
from agentkit.routers.fusion import FusionRouter
from agentkit.routers.self_verification import SelfVerifyingRouter
from agentkit.routers.votes import VoteRouter
from agentkit.types import ModelCard
from agentkit.usage import Price


def scripted(name: str, says: list[Reply]) -> ScriptedBackend:
    return ScriptedBackend(says, card=ModelCard(name, "scripted", name, Price(Decimal(1), Decimal(4))))


def ask(router: Router, *models: ScriptedBackend) -> None:
    agent = Agent(models, router=router, temperature=1.0)  # a model that is asked again must be able to differ
    answer = agent.run_sync("What is 17 * 24?", budget=Budget(usd="0.05"))
    print(f"{answer.text} ({answer.spent['requests']} calls, ${answer.spent.usd})")


# one model three times; the third is not asked once two agree
ask(VoteRouter(["small"] * 3), scripted("small", ["408", "The answer is 408.", "410"]))
# three models, of which two agree
ask(
    VoteRouter(["a", "b", "c"]),
    scripted("a", ["398"]),
    scripted("b", ["408"]),
    scripted("c", ["It is **408**, so the answer is 408"]),
)
# two that differ, and a third that merges them
judge = scripted("judge", ["17 * 24 = 408: the first is right."])
ask(FusionRouter(["a", "b"], "judge"), scripted("a", ["408"]), scripted("b", ["398"]), judge)
# one that judges its own answer three times; a trace keeps the votes, and the router goes on as it would without
votes = ["17 * 24 = 408. The AI generated answer is correct.", "Correct.", "I cannot say."]
router = SelfVerifyingRouter(RuleRouter(), "small", votes=3, always=True)
ask(router, scripted("small", ["408", *votes]))
