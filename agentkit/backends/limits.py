"""Rate limits of a model: requests and tokens a minute, kept by token buckets.

A bucket refills at rate/60 a second and holds b = rate/6, ten seconds' worth, one at least: providers check
limits of a minute over shorter times too. A call leaves when what it takes is there, or the bucket is full;
what it takes beyond is owed by those who come next. In any T seconds at most b + rate·T/60 and one call is
taken. A call takes what it holds in the ledger, and gives back what it did not use once that is known.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """`rate` units a minute, full at first; `now` is the caller's clock, in seconds."""

    rate: float
    _level: float = 0.0
    _at: float | None = None

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"a rate is above 0 a minute, not {self.rate!r}")

    @property
    def most(self) -> float:
        """What a full bucket holds."""
        return max(1.0, self.rate / 6)

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` may be taken."""
        missing = min(amount, self.most) - self._refill(now)
        return max(0.0, missing) * 60 / self.rate

    def take(self, amount: float, now: float) -> None:
        """Take `amount`."""
        self._level = self._refill(now) - amount

    def correct(self, taken: float, used: float, now: float) -> None:
        """Replace what was taken by what was used."""
        self._level = min(self._refill(now) + taken - used, self.most)

    def _refill(self, now: float) -> float:
        if self._at is None:
            self._level = self.most
        else:  # a clock that went back refills nothing
            self._level = min(self._level + max(0.0, now - self._at) * self.rate / 60, self.most)
        self._at = now
        return self._level


class RateLimits:
    """What a provider allows a model in a minute, None for no limit; shared by all who call the model."""

    def __init__(
        self, *, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self._requests = None if requests_per_minute is None else TokenBucket(requests_per_minute)
        self._tokens = None if tokens_per_minute is None else TokenBucket(tokens_per_minute)

    def wait(self, tokens: int, now: float) -> float:
        """Return the seconds until a call of `tokens` may leave."""
        waits = [bucket.wait(amount, now) for bucket, amount in self._buckets(tokens)]
        return max(waits, default=0.0)

    def take(self, tokens: int, now: float) -> None:
        """Note that a call of at most `tokens` leaves."""
        for bucket, amount in self._buckets(tokens):
            bucket.take(amount, now)

    def correct(self, taken: int, used: int, now: float) -> None:
        """Note that the call used `used` tokens of the `taken`."""
        if self._tokens is not None:
            self._tokens.correct(taken, used, now)

    def _buckets(self, tokens: int) -> list[tuple[TokenBucket, float]]:
        pairs = ((self._requests, 1), (self._tokens, tokens))
        return [(bucket, amount) for bucket, amount in pairs if bucket is not None]
