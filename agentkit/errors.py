"""Every error agentkit raises, in one tree.

    AgentkitError
    ├─ ConfigError
    │   ├─ SpecError            path, line, column, hint: an agent definition is wrong
    │   ├─ TableError           path, line: a table of recorded outcomes is wrong
    │   ├─ CacheError           path, reason: the file of a response cache cannot be used
    │   ├─ MissingExtra         extra, package: an optional dependency is not installed
    │   ├─ MissingSecret        name: an environment variable is not set
    │   └─ SandboxUnavailable   level, available: this machine cannot keep code as tightly as asked
    ├─ BudgetError
    │   ├─ BudgetExceeded       scope, resource, asked, available: spent, will never fit
    │   ├─ Saturated            scope, resource, asked, available, held: held now, may fit later
    │   ├─ ScopeFrozen          scope: an overrun froze it
    │   ├─ ScopeClosed          scope: it takes no more holds
    │   ├─ HoldStateError       hold, state, operation: the state machine forbids it
    │   ├─ UnknownHold          hold
    │   ├─ UnboundedCost        model, reason: no sound upper bound of the price
    │   └─ LedgerError          path, reason: the ledger's storage cannot be used
    ├─ RoutingError
    │   └─ NoEligibleModel      reasons by model
    ├─ PlanError                a plan cannot be run
    ├─ BackendError             model, detail; every one may carry a partial answer
    │   ├─ BackendUnavailable   5xx, reset; Unreachable: no connection came about
    │   │   ├─ Overloaded       retry_after, seconds: too much is asked of it by everybody
    │   │   └─ CircuitOpen      retry_after, seconds: it failed so often that it is left alone for a while
    │   ├─ RateLimited          retry_after, seconds
    │   ├─ BackendTimeout       phase
    │   ├─ ContextOverflow      tokens, window
    │   ├─ ContentRefused
    │   ├─ BadRequest           the provider refuses the request as sent
    │   ├─ BadResponse          the provider's answer cannot be read
    │   └─ CassetteMiss         replay found no recording
    ├─ ToolError
    │   ├─ ToolNotFound         name, close matches
    │   ├─ ToolArgumentError    name, problems the model can act on
    │   ├─ ToolTimeout          name, seconds
    │   ├─ ToolDenied           name, reason: a policy forbids the call
    │   ├─ ToolSourceError      source, reason: what supplies tools cannot be opened
    │   ├─ AddressRefused       url, reason: a tool must not go there
    │   ├─ PageError            url, reason: a page cannot be had
    │   └─ ToolFailed           name, cause
    ├─ OutputError              the answer does not satisfy output_type
    └─ LocalModelError          a local model cannot be loaded or run

Errors carry fields, and their text says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from agentkit.costs import Cost
from agentkit.redaction import redact

if TYPE_CHECKING:
    from agentkit.types import Completion, Receipt


class AgentkitError(Exception):
    """Base of every error raised by agentkit on purpose; its text is without secrets, see `redaction`.

    `receipts` are those of the run it ended, whose charges stand although there is no answer.
    """

    receipts: tuple[Receipt, ...] = ()

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


# ---------------------------------------------------------------- configuration
class ConfigError(AgentkitError):
    """The program or its definition asks for something that cannot be."""


class SpecError(ConfigError):
    """An agent definition is wrong at `path:line:column`; `hint` says what to do."""

    def __init__(self, what: str, *, path: str = "", line: int = 0, column: int = 0, hint: str = "") -> None:
        self.what, self.path, self.line, self.column, self.hint = what, path, line, column, hint
        place = f"{path}:{line}:{column}: " if path else ""
        super().__init__(f"{place}{what}" + (f"; {hint}" if hint else ""))


class TableError(ConfigError):
    """A table of recorded outcomes, or a file beside it, is wrong at `path:line`; line 0 is the whole file."""

    def __init__(self, what: str, path: object, line: int) -> None:
        self.what, self.path, self.line = what, str(path), line
        super().__init__(f"{path}:{line}: {what}" if line else f"{path}: {what}")


class CacheError(ConfigError):
    """The file of a response cache cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"response cache {path!r} cannot be used: {reason}; delete it, or name another file")


class MissingExtra(ConfigError):
    """An optional dependency is needed and absent."""

    def __init__(self, extra: str, package: str) -> None:
        self.extra, self.package = extra, package
        super().__init__(f"{package!r} is not installed; install the {extra!r} extra of agentkit-budget")


class MissingSecret(ConfigError):
    """An environment variable that holds a secret is not set."""

    def __init__(self, name: str, wanted_by: str = "") -> None:
        self.name, self.wanted_by = name, wanted_by
        by = f" (needed by {wanted_by})" if wanted_by else ""
        super().__init__(f"environment variable {name!r} is not set{by}; export it, or give the model an api_key")


class SandboxUnavailable(ConfigError):
    """This machine cannot keep code as tightly as asked; it is not run less tightly instead."""

    def __init__(self, level: str, reason: str, available: Sequence[str]) -> None:
        self.level, self.reason, self.available = level, reason, tuple(available)
        have = f"ask for {' or '.join(map(repr, available))}" if available else "no level can be had here"
        super().__init__(f"the sandbox level {level!r} cannot be had: {reason}; {have}")


# ---------------------------------------------------------------- budget
class BudgetError(AgentkitError):
    """A budget refuses an operation."""


def _amount(resource: str, amount: int) -> str:
    """Write an amount of the ledger for people: dollars, seconds, or a count."""
    if resource == "usd":
        whole, nano = divmod(amount, 1_000_000_000)
        return f"${whole}.{nano:09d}".rstrip("0").removesuffix(".")
    return f"{amount / 1_000_000:g} gpu_seconds" if resource == "gpu_us" else f"{amount} {resource}"


class BudgetExceeded(BudgetError):
    """The limit minus what is spent is below the amount asked: waiting cannot help."""

    def __init__(self, scope: str, resource: str, asked: int, available: int) -> None:
        self.scope, self.resource, self.asked, self.available = scope, resource, asked, available
        super().__init__(
            f"scope {scope!r} has {_amount(resource, available)} left and {_amount(resource, asked)} were asked; "
            "raise the limit or ask for less"
        )


class Saturated(BudgetError):
    """The amount does not fit while other holds are open: it may fit when they settle."""

    def __init__(self, scope: str, resource: str, asked: int, available: int, held: int) -> None:
        self.scope, self.resource, self.asked = scope, resource, asked
        self.available, self.held = available, held
        super().__init__(
            f"scope {scope!r} has {_amount(resource, available)} free ({_amount(resource, held)} held by open "
            f"calls) and {_amount(resource, asked)} were asked; wait with a deadline, or ask for less"
        )


class ScopeFrozen(BudgetError):
    """The scope was frozen by an overrun that its limit could not take."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(
            f"scope {scope!r} is frozen: a provider billed more than its bound and the limit could not "
            "take the excess; reconcile the bill, then open a new scope"
        )


class ScopeClosed(BudgetError):
    """The scope was closed and takes no more holds."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"scope {scope!r} is closed; open a new one")


class HoldStateError(BudgetError):
    """The state machine of a hold forbids the operation."""

    def __init__(self, hold: str, state: str, operation: str) -> None:
        self.hold, self.state, self.operation = hold, state, operation
        super().__init__(f"hold {hold!r} is {state}: it cannot {operation}")


class UnknownHold(BudgetError):
    """No hold has this id."""

    def __init__(self, hold: str) -> None:
        self.hold = hold
        super().__init__(f"no hold has the id {hold!r}; it was never reserved in this ledger")


class UnboundedCost(BudgetError):
    """A call has no sound upper bound in a resource that is limited."""

    def __init__(self, model: str, reason: str) -> None:
        self.model, self.reason = model, reason
        super().__init__(
            f"the cost of {model!r} has no upper bound ({reason}); give it a price (the shipped table holds at "
            "its maker's own address only), say what a call costs at most (usd_per_call), or remove the limit"
        )


class LedgerError(BudgetError):
    """The ledger's storage cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"ledger {path!r} cannot be used: {reason}")


# ---------------------------------------------------------------- routing and planning
class RoutingError(AgentkitError):
    """No model can be chosen."""


class NoEligibleModel(RoutingError):
    """Every candidate was ruled out; `reasons` says why, by model."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = dict(reasons)
        listed = "; ".join(f"{name}: {why}" for name, why in self.reasons.items()) or "no models configured"
        super().__init__(f"no model can serve this request ({listed})")


class PlanError(AgentkitError):
    """A plan cannot be run."""


# ---------------------------------------------------------------- backends
FailureKind = Literal[
    "rate_limited", "overloaded", "down", "timeout", "context", "refused", "request", "unreadable"
]
"""What went wrong with a model call, as retries and fallbacks tell it apart."""


class BackendError(AgentkitError):
    """A model call failed; `partial` holds what had arrived, if anything.

    `may_be_billed` is False when the provider said no before it worked, or was never reached: nothing is charged.
    """

    kind: ClassVar[FailureKind] = "request"
    may_be_billed = True
    charged = Cost()
    """What the ledger charged for the call, with all its attempts."""
    retry_after: float | None = None
    """Seconds after which the provider wants to be asked again, None if it did not say."""

    def __init__(self, model: str, detail: str, *, partial: Completion | None = None) -> None:
        self.model, self.detail, self.partial = model, redact(detail), partial
        super().__init__(f"model {model!r}: {detail}")


class BackendUnavailable(BackendError):
    """The provider could not be reached or broke down."""

    kind: ClassVar[FailureKind] = "down"


class Unreachable(BackendUnavailable):
    """No connection to the provider came about, so nothing was sent."""

    may_be_billed = False


class Overloaded(BackendUnavailable):
    """The provider turns calls away, whoever makes them; `retry_after` in seconds, None if it did not say."""

    kind: ClassVar[FailureKind] = "overloaded"
    may_be_billed = False

    def __init__(self, model: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(model, detail)
        self.retry_after = retry_after


class CircuitOpen(BackendUnavailable):
    """So many calls failed that none is sent for `retry_after` seconds."""

    may_be_billed = False

    def __init__(self, model: str, retry_after: float) -> None:
        detail = f"it failed too often and is left alone for {retry_after:.3g} s; wait, or name a fallback"
        super().__init__(model, detail)
        self.retry_after = retry_after


class RateLimited(BackendError):
    """The provider asks for a pause of `retry_after` seconds, None if it did not say."""

    kind = "rate_limited"
    may_be_billed = False

    def __init__(self, model: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(model, detail)
        self.retry_after = retry_after


class BackendTimeout(BackendError):
    """A time limit passed; `phase` is connect, first_token, between_chunks or total."""

    kind = "timeout"

    def __init__(self, model: str, phase: str, seconds: float, *, partial: Completion | None = None) -> None:
        super().__init__(model, f"no answer within {seconds:g} s ({phase})", partial=partial)
        self.phase, self.seconds = phase, seconds
        self.may_be_billed = phase != "connect"


class ContextOverflow(BackendError):
    """The prompt does not fit the model's context window, both in tokens."""

    kind = "context"
    may_be_billed = False

    def __init__(self, model: str, tokens: int, window: int) -> None:
        super().__init__(model, f"the prompt has {tokens} tokens, the context window {window}; shorten it")
        self.tokens, self.window = tokens, window


class ContentRefused(BackendError):
    """The provider refused the content."""

    kind = "refused"


class BadRequest(BackendError):
    """The provider refuses the request as sent."""

    may_be_billed = False


class BadResponse(BackendError):
    """The provider's answer cannot be read."""

    kind = "unreadable"


class CassetteMiss(BackendError):
    """Replay found no recording of the request; it never calls out."""

    may_be_billed = False


# ---------------------------------------------------------------- tools
class ToolError(AgentkitError):
    """A tool call failed; the text is shown to the model."""


class ToolNotFound(ToolError):
    """No tool has this name."""

    def __init__(self, name: str, close: Sequence[str] = ()) -> None:
        self.name, self.close = name, tuple(close)
        hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
        super().__init__(f"there is no tool {name!r}{hint}")


class ToolArgumentError(ToolError):
    """The arguments do not satisfy the tool's schema; `problems` says how, one line each."""

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        self.name, self.problems = name, tuple(problems)
        super().__init__(f"arguments of {name!r} are wrong: {'; '.join(problems)}")


class ToolTimeout(ToolError):
    """A tool ran past its time limit, in seconds."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds = name, seconds
        super().__init__(f"tool {name!r} gave no result within {seconds:g} s")


class ToolDenied(ToolError):
    """A policy forbids the call; it did not run and was not paid for."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, redact(reason)
        super().__init__(f"tool {name!r} was not run: {reason}")


class ToolSourceError(ToolError):
    """What supplies tools cannot be opened: a server that does not start, a description that cannot be read."""

    def __init__(self, source: str, reason: str) -> None:
        self.source, self.reason = source, redact(reason)
        super().__init__(f"tool source {source!r} cannot be opened: {reason}")


class AddressRefused(ToolError):
    """A tool must not go to this address."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = redact(url[:200]), reason
        super().__init__(f"{self.url!r} is refused: {reason}")


class PageError(ToolError):
    """A page cannot be had."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = redact(url[:200]), reason
        super().__init__(f"{self.url!r} cannot be fetched: {reason}")


class ToolFailed(ToolError):
    """A tool raised; tools may also raise it themselves to tell the model what went wrong."""

    def __init__(self, name: str, cause: str) -> None:
        self.name, self.cause = name, redact(cause)
        super().__init__(f"tool {name!r} failed: {cause}")


# ---------------------------------------------------------------- answers and local models
class OutputError(AgentkitError):
    """The answer does not satisfy output_type; `text` is what the model said."""

    def __init__(self, text: str, problems: Sequence[str]) -> None:
        self.text, self.problems = text, tuple(problems)
        super().__init__(f"the answer does not satisfy output_type: {'; '.join(problems)}")


class LocalModelError(AgentkitError):
    """A local model cannot be loaded or run."""
