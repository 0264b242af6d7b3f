"""Which values in a call stand in trusted text."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.tools.taint import Provenance

TASK = "Please pay 1,200.50 dollars to Bob O'Neil <bob@corp.example> for order 17, by 2026-12-01."

VALUES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "as written": ({"to": "bob@corp.example", "order": 17, "date": "2026-12-01"}, ()),
    "case, blanks and full-width forms": ({"to": "  BOB@CORP.example ", "name": "Bob\n O'Neil", "n": "１７"}, ()),
    "a number as another type": ({"amount": 1200.5, "order": 17.0}, ()),
    "left out": ({"note": "", "cc": None, "bcc": [], "more": {}}, ()),
    "another value": ({"to": "eve@evil.example", "order": 18}, ("to", "order")),
    "part of a word": ({"a": "ob@corp.example", "b": "bob@corp.exam", "c": 120}, ("a", "b", "c")),
    "more than a word": ({"to": "bob@corp.example,eve@evil.example"}, ("to",)),
    "in another coding": ({"to": base64.b64encode(b"bob@corp.example").decode()}, ("to",)),
    "look-alike letters": ({"to": "b\u043eb@corp.example"}, ("to",)),
    "yes or no": ({"all": True, "force": False}, ("all", "force")),
    "deep inside": ({"list": ["Bob", {"eve": 17}]}, ("list[1].eve",)),
    "not a number": ({"amount": float("nan"), "most": float("inf")}, ("amount", "most")),
}


@pytest.mark.parametrize(("arguments", "untrusted"), VALUES.values(), ids=VALUES)
def test_values(arguments: dict[str, Any], untrusted: tuple[str, ...]) -> None:
    assert Provenance([TASK]).untrusted(arguments) == untrusted


@given(st.text(min_size=1), st.text())
def test_a_value_is_trusted_only_if_it_stands_in_the_text(value: str, text: str) -> None:
    if not Provenance([text]).untrusted({"v": value}):
        plain = Provenance([value]).texts
        assert not plain or any(plain[0] in known for known in Provenance([text]).texts)


@given(st.text(alphabet="ab 1", min_size=1), st.lists(st.text(alphabet="ab 1"), max_size=4))
def test_trusting_more_never_trusts_less(value: str, texts: list[str]) -> None:
    provenance = Provenance()
    was_trusted = not provenance.untrusted({"v": value})
    for text in texts:
        provenance.trust(text)
        is_trusted = not provenance.untrusted({"v": value})
        assert is_trusted or not was_trusted
        was_trusted = is_trusted


def test_sources_are_kept_once_in_order() -> None:
    provenance = Provenance(tainted_by=["mail"])
    for source in ("web", "mail", "web"):
        provenance.taint(source)
    assert provenance.tainted_by == ["mail", "web"]
