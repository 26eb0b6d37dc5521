"""The kind `text`: the sentiment of a text in English, by VADER's lexicon and rules.

Source: C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014; the threshold of its labels is theirs. The lexicon ships in the wheel of vaderSentiment and is read
at the first task of each runner process.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from ohmesh.errors import ArgumentsRefused
from ohmesh.handlers.declaration import agent

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

_LABEL_THRESHOLD = 0.05
_CHARACTERS_MAX = 10_000  # the rules compare words in pairs: time grows with the square of the length


class Sentiment(msgspec.Struct, frozen=True):
    """`score` from -1 (most negative) to 1; the three shares of the text sum to 1."""

    label: str
    score: float
    positive: float
    neutral: float
    negative: float


@agent(kind="text", capabilities=("text", "sentiment"))
def text(text: str | bytes) -> Sentiment:
    """Sentiment of `text` (bytes are read as UTF-8). Refuses what is empty, undecodable or too long."""
    readable = _readable(text)
    scores = _analyzer().polarity_scores(readable)
    score = scores["compound"]
    return Sentiment(_label(score), score, scores["pos"], scores["neu"], scores["neg"])


def _readable(text: str | bytes) -> str:
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise ArgumentsRefused(f"The text is not UTF-8: {error}.") from None
    if not text.strip():
        raise ArgumentsRefused("The text is empty.", hint="Send at least one word.")
    if len(text) > _CHARACTERS_MAX:
        raise ArgumentsRefused(
            f"The text has {len(text)} characters; at most {_CHARACTERS_MAX} are read.",
            hint="Send it in parts.",
        )
    return text


def _label(score: float) -> str:
    if score >= _LABEL_THRESHOLD:
        return "POSITIVE"
    return "NEGATIVE" if score <= -_LABEL_THRESHOLD else "NEUTRAL"


@lru_cache(maxsize=1)
def _analyzer() -> SentimentIntensityAnalyzer:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
