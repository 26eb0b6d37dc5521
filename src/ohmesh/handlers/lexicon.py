"""Sentiment of English by VADER's lexicon and rules: what the kind `text` does without a model.

Source: C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014; the threshold of its labels is theirs. The lexicon ships in the wheel of vaderSentiment and is read
at the first task of each runner process.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from ohmesh.errors import ArgumentsRefused

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

_LABEL_THRESHOLD = 0.05


class LexiconSentiment(msgspec.Struct, frozen=True):
    """`score` from -1 (most negative) to 1; the three shares of the text sum to 1."""

    label: str
    score: float
    positive: float
    neutral: float
    negative: float


class Lexicon:
    """Implements handlers.text.Reader."""

    operations = ("sentiment",)

    def sentiment(self, text: str) -> LexiconSentiment:
        scores = _analyzer().polarity_scores(text)
        score = scores["compound"]
        return LexiconSentiment(_label(score), score, scores["pos"], scores["neu"], scores["neg"])

    def embedding(self, text: str) -> list[float]:
        raise ArgumentsRefused(
            f"This worker has no model to embed the text of {len(text)} characters with.",
            hint="Whoever runs the worker names one: ohmesh worker text --text-model DIRECTORY.",
        )


def _label(score: float) -> str:
    if score >= _LABEL_THRESHOLD:
        return "POSITIVE"
    return "NEGATIVE" if score <= -_LABEL_THRESHOLD else "NEUTRAL"


@lru_cache(maxsize=1)
def _analyzer() -> SentimentIntensityAnalyzer:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
