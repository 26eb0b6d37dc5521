"""What `ohmesh doctor` found: one sentence each, with its remedy."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Weight(StrEnum):
    FINE = "fine"
    NOTE = "note"  # nothing is wrong; good to know
    WARNING = "warning"  # works now, and may not later
    PROBLEM = "problem"


class Finding(Struct, frozen=True):
    subject: str
    weight: Weight
    text: str
    remedy: str = ""


def fine(subject: str, text: str) -> Finding:
    return Finding(subject, Weight.FINE, text)


def note(subject: str, text: str, remedy: str = "") -> Finding:
    return Finding(subject, Weight.NOTE, text, remedy)


def warning(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, Weight.WARNING, text, remedy)


def problem(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, Weight.PROBLEM, text, remedy)
