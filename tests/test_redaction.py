"""Secrets are found whole, in pieces and inside anything; everything else stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit import redaction
from agentkit.redaction import REDACTED, StreamRedactor, excerpt, hide, hide_named, redact, redact_all

KNOWN = "correct-horse-7battery"
SHAPED = {
    "openai": "sk-proj-Ab3dEf6hIj9lMnOpQrStUv",
    "anthropic": "sk-ant-api03-x9_yZ-0123456789abcdefABCDEF-qwAA",
    "openrouter": "sk-or-v1-0123456789abcdef0123456789abcdef",
    "google": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "github": "ghp_0123456789abcdefABCDEF0123456789abcd",
    "github, new": "github_pat_11ABCDEFG0123456789_abcdefghij",
    "gitlab": "glpat-0123456789abcdefABCD",
    "groq": "gsk_0123456789abcdefABCDEF0123",
    "hugging face": "hf_0123456789abcdefABCDEFghij",
    "npm": "npm_0123456789abcdefABCDEF0123456789",
    "perplexity": "pplx-0123456789abcdefABCDEF",
    "pypi": "pypi-AgEIcHlwaS5vcmcCJDAxMjM0NTY3ODkwMTIz",
    "replicate": "r8_0123456789abcdefABCDEF",
    "stripe": "sk_live_0123456789abcdefABCD",
    "sendgrid": "SG.0123456789abcdefgh.0123456789abcdefghij",
    "slack": "xoxb-0123456789-abcdefABCDEF",
    "tavily": "tvly-dev-0123456789abcdef",
    "xai": "xai-0123456789abcdefABCDEF",
    "oauth": "ya29.a0AfH6SMBx0123456789abcdef",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "bearer": "Bearer 0123456789abcdef.ABCDEF",
    "address": "://admin:hunter2hunter2@",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIB0A\n2bcd==\n-----END RSA PRIVATE KEY-----",
}
HARMLESS = [
    "a risk-adjusted, task-oriented desk-top",
    "the task-force-2024-planning-committee met",
    "class SG.Widget, xai-based, hf_hub_download, npm_config, gsk_",
    "AKIA is a prefix; AIza too; Bearer of good news; eyJ",
    "https://example.com:8080/path?user=me#frag and http://[::1]:80/",
    "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----",
    "Straße, 予算, \u2028 \ud800 and \x00",
]


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    before = redaction._patterns
    hide(KNOWN)
    yield
    redaction._patterns = before


SECRETS = [*SHAPED.values(), KNOWN]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "around", [("", ""), ("key: ", "."), ('{"a": "', '"}'), ("line\\n", "\\n"), ("x=", "&y=1")]
)
def test_a_secret_is_taken_out_and_its_surroundings_stay(secret: str, around: tuple[str, str]) -> None:
    before, after = around
    cleaned = redact(before + secret + after)
    assert secret not in cleaned
    assert cleaned.startswith(before) and REDACTED in cleaned
    if not secret.startswith(("Bearer", "-----")):  # whose ends are not as clear
        assert cleaned.endswith(after)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_a_little_like_one_stays_the_same_object(text: str) -> None:
    assert redact(text) is text
    assert stream(text, range(len(text))) == text


def test_a_value_is_cleaned_inside_and_stays_the_same_object_when_clean() -> None:
    value: dict[str, Any] = {"a": [1, None, {"b": f"x {KNOWN}"}], KNOWN: ("y", True), "n": 2.5}
    assert redact_all(value) == {"a": [1, None, {"b": f"x {REDACTED}"}], REDACTED: ("y", True), "n": 2.5}
    clean = {"a": [1, {"b": "x"}], "c": ("y",)}
    assert redact_all(clean) is clean


def test_an_excerpt_is_cut_after_the_secret_is_out() -> None:
    assert excerpt("x" * 190 + KNOWN) == "x" * 190 + REDACTED
    assert KNOWN[:4] not in excerpt("x" * 195 + KNOWN)
    assert excerpt("y" * 300, 5) == "yyyyy"


# ---------------------------------------------------------------- what is a secret
@pytest.mark.parametrize("placeholder", ["", "EMPTY", "none", "  x  ", "sk-1234"])
def test_a_placeholder_is_no_secret(placeholder: str) -> None:
    hide(placeholder)
    assert redact(f"the word {placeholder} stays") == f"the word {placeholder} stays"


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("authorization", "Bearer swordfish-swordfish", True),
        ("X-Api-Key", "swordfish", True),
        ("DATABASE_PASSWORD", "swordfish", True),
        ("x-internal", "9f86d081884c7d659a2feaa0c55ad015", True),
        ("x-title", "A shop of fine goods", False),
        ("REGION", "swordfish", False),
        ("TOKENIZER", "swordfish", False),
        ("proxy-authorization", "swordfish", True),
        ("SHOP_ACCESS_TOKEN", "swordfish", True),
    ],
)
def test_the_name_or_the_look_of_a_value_tells_whether_it_is_secret(name: str, value: str, hidden: bool) -> None:
    hide_named(name, value)
    secret = value.removeprefix("Bearer ")
    assert (secret not in redact(f"it is {secret} here")) is hidden


# ---------------------------------------------------------------- in pieces
def stream(text: str, cuts: Any) -> str:
    """What goes on of `text` when it comes in pieces, cut at `cuts`."""
    redactor, places = StreamRedactor(), [0, *sorted(cuts), len(text)]
    pieces = [redactor.feed(text[start:end]) for start, end in zip(places, places[1:], strict=False)]
    return "".join(pieces) + redactor.flush()


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_pieces_of_any_size_is_taken_out(secret: str) -> None:
    text = f"The key is {secret} and nothing else."
    for size in range(1, len(secret) + 2):
        out = stream(text, range(0, len(text), size))
        assert secret not in out and secret[-12:] not in out
        assert out.startswith("The key is ")


@given(st.data())
def test_however_a_text_is_cut_no_secret_and_no_other_text_is_lost(data: st.DataObject) -> None:
    words = st.sampled_from([*SHAPED.values(), KNOWN, KNOWN[:6], "sk-", "plain", " ", "é", "://", "\n", "ey", "-"])
    text = " ".join(data.draw(st.lists(words, max_size=12)))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=30))
    out = stream(text, cuts)
    whole = redact(text)
    assert all(secret not in out for secret in (KNOWN, *SHAPED.values()))
    assert [out.count(word) for word in ("plain", "é", REDACTED)] == [
        whole.count(word) for word in ("plain", "é", REDACTED)
    ]


def test_nothing_is_held_back_that_cannot_be_a_secret() -> None:
    redactor = StreamRedactor()
    assert [redactor.feed(piece) for piece in ["The ", "task", "s ", "are ", "risk"]] == [
        "The ",
        "task",
        "s ",
        "are ",
        "risk",
    ]
    assert redactor.feed(" sk-") == " "
    assert redactor.feed("y is ") == "sk-y is "
    assert redactor.feed("corr") == ""
    assert redactor.feed("idor") == "corridor"


def test_a_long_text_without_blanks_is_not_held_back_for_ever() -> None:
    redactor = StreamRedactor()
    assert sum(len(redactor.feed("://" + "a" * 1_000)) for _ in range(20)) > 10_000
