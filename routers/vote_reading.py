"""What a vote on a reply says: right, wrong, or nothing that is clear.

A voter is asked to end with "The AI generated answer is correct." or "… incorrect.": the last such sentence
decides. Without one it is the last "correct", "right", "incorrect" or "wrong" that says so of the whole, not of a
word behind it ("the correct value"), and without that a "yes" or "no" that stands alone.
"""

from __future__ import annotations

import re

_MARKUP = re.compile(r'[*_`"“”]')
_WORDS = r"(?P<lead>(?:[a-z'-]+\s+){0,4})"
_VERDICT = re.compile(
    r"\banswer\s+(?P<lead>(?:is|isn't|was|wasn't|seems|cannot|can't|does\s+not|doesn't)\s+"
    r"(?:[a-z'-]+\s+){0,3})(?P<word>(?:in)?correct)\b"
)
_JUDGED = re.compile(
    rf"\b{_WORDS}(?P<word>(?:in)?correct|right|wrong)\b"
    r"(?!\s+(?!(?:and|but|or|nor|because|since|as|for|by|in|here|to|with|when|according|given)\b)\w)"
)
_QUESTION = re.compile(r"[^.!?\n]*\?")
_UNSAID = re.compile(
    r"\b(?:far from|anything but|fail(?:s|ed)? to|lack|too \w+ to|less than|opposite|should)\b|^to be\b"
)
_PROVIDED = re.compile(r"\s+(?:only\s+)?(?:if|unless|when|provided)\b")
_ALONE = re.compile(r"(?:^|[.!?:\n])\s*(yes|no)\s*(?=[.,;:!?\n]|$)")
_JOINT = re.compile(r"\b(?:and|but|so|since|because|hence|which)\b")
_NOT = re.compile(r"(?:\b(?:not|never|cannot|nothing|no|hardly)\b|n't\b)")
_UNCLEAR = re.compile(
    r"\b(?:almost|nearly|partly|partially|only|half|either|neither|n?or|whether|if|unless|may|might|could|doubt\w*)\b"
)
_DOUBTED = re.compile(
    r"(?:\b(?:whether|if|unless|doubt\w*)|(?:\b(?:not|cannot)|n't)\s+"
    r"(?:think|believe|say|tell|sure|certain|clear|true|know))\b[^.,!?;:\n]{0,40}$"
)


def read_vote(text: str) -> bool | None:
    """Return whether a vote says that the reply is right; None where it does not say so clearly."""
    plain = _QUESTION.sub(" ", _MARKUP.sub("", text).replace("’", "'").lower())  # it may be said over again
    found = list(_VERDICT.finditer(plain)) or list(_JUDGED.finditer(plain))
    if found:
        last = found[-1]
        if _DOUBTED.search(plain[: last.start()]) or _PROVIDED.match(plain, last.end()):
            return None
        return _meant(last["lead"], last["word"])
    alone = _ALONE.findall(plain)
    return alone[-1] == "yes" if alone else None


def _meant(lead: str, word: str) -> bool | None:
    """Return what `word` says behind the words of `lead`, up to four of them."""
    if _UNSAID.search(lead):
        return None
    lead = _JOINT.split(lead)[-1].strip()
    if _UNCLEAR.search(lead):
        return None
    negations = list(_NOT.finditer(lead))
    good = word in ("correct", "right")
    if not negations:
        return good
    if len(negations) > 1:
        return None
    if good:
        return False
    return True if negations[0].end() == len(lead) else None  # "not entirely wrong" is neither
