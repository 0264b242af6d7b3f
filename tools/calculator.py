"""Exact arithmetic for agents: a tokeniser and a precedence parser, no eval.

Values are fractions, so 1/3*3 is 1; only sqrt and fractional powers round, to 50 digits. A result keeps the
decimal places of its operands, as money does: 7*12.50 is 87.50. Whole numbers are written in full, others
to 28 significant digits. Every limit is checked before the work it would cost.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Overflow, Underflow
from fractions import Fraction
from math import floor

from agentkit.errors import ToolFailed
from agentkit.tools.tool import tool

_MAX_LENGTH = 1_000
_MAX_DEPTH = 50
_MAX_DIGITS = 500
_MAX_BITS = 1_661  # of a number of 500 digits
_SHOWN = Context(prec=28, rounding=ROUND_HALF_EVEN)
_ROOTS = Context(prec=50, Emax=_MAX_DIGITS, Emin=-_MAX_DIGITS, traps=[Overflow, Underflow])

_TOKEN = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[a-z]+|\*\*|[-+*/%(),]", re.ASCII)
_SYNONYMS = str.maketrans({"^": "**", "×": "*", "÷": "/", "−": "-"})
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2}
_OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}


@tool
async def calculate(expression: str) -> str:
    """Work out an arithmetic expression exactly.

    Args:
        expression: Numbers with + - * / % ** and parentheses, and abs(x), round(x, places), min(x, ...),
            max(x, ...), sqrt(x); for example "round(7 * 12.50 / 3, 2)".
    """
    return evaluate(expression)


def evaluate(expression: str) -> str:
    """Return the value of `expression` as decimal text; ToolFailed says what is wrong with it.

    `%` is the remainder, with the sign of the divisor; `round` takes halves away from zero.
    """
    if len(expression) > _MAX_LENGTH:
        raise _failed(f"the expression is longer than {_MAX_LENGTH} characters; split it")
    return str(_Parser(_tokens(expression.lower().translate(_SYNONYMS))).parse())


@dataclass(frozen=True, slots=True)
class _Number:
    """An exact value, and how many decimal places it is shown with at least."""

    value: Fraction
    places: int = 0

    def __post_init__(self) -> None:
        if _bits(self.value) > _MAX_BITS:
            raise _failed(f"a number has more than {_MAX_DIGITS} digits; use smaller numbers")

    def __str__(self) -> str:
        shown = Decimal(self.value.numerator)
        if self.value.denominator != 1:
            shown = _SHOWN.divide(shown, Decimal(self.value.denominator)).normalize(_SHOWN)
            if abs(shown.adjusted()) >= _SHOWN.prec:
                return str(shown)
        if Fraction(shown) != self.value:
            return f"{shown:f}"
        return max(f"{shown:f}", f"{shown:.{self.places}f}", key=len)  # pads with zeros, never cuts digits


class _Parser:
    """Recursive descent over the tokens of one expression, which end with an empty one."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def parse(self) -> _Number:
        """Return the value of the whole expression."""
        value = self._binary(1)
        self._expect("")
        return value

    def _binary(self, lowest: int) -> _Number:
        left = self._unary()
        while (precedence := _PRECEDENCE.get(self._token, 0)) >= lowest:
            symbol = self._take()
            if symbol == "%" and self._token in ("+", "-"):  # 20% + 1 would silently mean 20 modulo 1
                raise _unexpected(self._token, "a number")
            left = _combine(symbol, left, self._binary(precedence + 1))
        return left

    def _unary(self) -> _Number:
        self._depth += 1  # every way to nest passes here
        if self._depth > _MAX_DEPTH:
            raise _failed(f"the expression nests deeper than {_MAX_DEPTH} levels; split it")
        if self._token in ("-", "+"):
            sign = -1 if self._take() == "-" else 1
            operand = self._unary()
            number = _Number(sign * operand.value, operand.places)
        else:
            number = self._atom()
            if self._token == "**":
                self._take()
                number = _power(number, self._unary())
        self._depth -= 1
        return number

    def _atom(self) -> _Number:
        token = self._take()
        if token == "(":
            number = self._binary(1)
            self._expect(")")
            return number
        if token.isalpha():
            return self._call(token)
        if token[:1].isdigit() or token[:1] == ".":
            return _literal(token)
        raise _unexpected(token, "a number")

    def _call(self, name: str) -> _Number:
        if name not in _FUNCTIONS:
            raise _failed(f"{name!r} is unknown; there are {', '.join(_FUNCTIONS)}")
        self._expect("(")
        arguments = [self._binary(1)]
        while self._token == ",":
            self._take()
            arguments.append(self._binary(1))
        self._expect(")")
        function, most = _FUNCTIONS[name]
        if len(arguments) > most:
            raise _failed(f"{name} takes at most {most} argument{'s' * (most > 1)}, not {len(arguments)}")
        return function(*arguments)

    @property
    def _token(self) -> str:
        return self._tokens[self._next]

    def _take(self) -> str:
        token = self._token
        self._next += bool(token)  # stays at the end
        return token

    def _expect(self, token: str) -> None:
        if (found := self._take()) != token:
            raise _unexpected(found, repr(token) if token else "an operator")


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while rest := text[position:].lstrip():
        if not (match := _TOKEN.match(rest)):
            raise _failed(f"{rest[:1]!r} is not arithmetic; use digits, + - * / % ** and parentheses")
        tokens.append(match[0])
        position = len(text) - len(rest) + match.end()
    return [*tokens, ""]


def _literal(token: str) -> _Number:
    mantissa, _, exponent = token.partition("e")
    if abs(int(exponent or 0)) > _MAX_DIGITS:
        raise _failed(f"an exponent is beyond {_MAX_DIGITS}; use smaller numbers")
    return _Number(Fraction(token), len(mantissa.partition(".")[2]) if not exponent else 0)


def _combine(symbol: str, left: _Number, right: _Number) -> _Number:
    try:
        value = _OPERATIONS[symbol](left.value, right.value)
    except ZeroDivisionError:
        raise _failed("division by zero") from None
    return _Number(value, max(left.places, right.places))


def _power(base: _Number, exponent: _Number) -> _Number:
    if not base.value and exponent.value < 0:
        raise _failed("division by zero: 0 has no negative power")
    if exponent.value.denominator == 1:
        if (_bits(base.value) - 1) * abs(exponent.value) > _MAX_BITS:  # the least the result can have
            raise _failed(f"the power has more than {_MAX_DIGITS} digits; use smaller numbers")
        return _Number(base.value ** int(exponent.value), base.places)
    if base.value < 0:
        raise _failed("a negative number has no real fractional power")
    try:
        return _Number(Fraction(_ROOTS.power(_decimal(base), _decimal(exponent))), base.places)
    except (Overflow, Underflow):
        raise _failed(f"the power has more than {_MAX_DIGITS} digits; use smaller numbers") from None


def _sqrt(number: _Number) -> _Number:
    if number.value < 0:
        raise _failed("a negative number has no real square root")
    return _Number(Fraction(_ROOTS.sqrt(_decimal(number))), number.places)


def _round(number: _Number, places: _Number | None = None) -> _Number:
    digits = places.value if places else Fraction(0)
    if digits.denominator != 1 or abs(digits) > _SHOWN.prec:
        raise _failed(f"round takes a whole number of places up to {_SHOWN.prec}, not {places}")
    unit = Fraction(10) ** -int(digits)
    size = floor(abs(number.value) / unit + Fraction(1, 2)) * unit
    return _Number(size if number.value >= 0 else -size, max(0, int(digits)))


def _abs(number: _Number) -> _Number:
    return _Number(abs(number.value), number.places)


def _least(*numbers: _Number) -> _Number:
    return min(numbers, key=lambda number: number.value)


def _greatest(*numbers: _Number) -> _Number:
    return max(numbers, key=lambda number: number.value)


_FUNCTIONS: dict[str, tuple[Callable[..., _Number], int]] = {
    "abs": (_abs, 1),
    "round": (_round, 2),
    "min": (_least, _MAX_LENGTH),
    "max": (_greatest, _MAX_LENGTH),
    "sqrt": (_sqrt, 1),
}


def _decimal(number: _Number) -> Decimal:
    return _ROOTS.divide(Decimal(number.value.numerator), Decimal(number.value.denominator))


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _unexpected(token: str, wanted: str) -> ToolFailed:
    found = f"found {token!r}" if token else "the expression ends"
    return _failed(f"{found} where {wanted} should be; write 1,000 as 1000 and 20% as 20/100")


def _failed(cause: str) -> ToolFailed:
    return ToolFailed("calculate", cause)
