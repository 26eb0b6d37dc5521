"""What a demo hands in: sentences of two novels for their sentiment, photographs for what is on them.

One task in `PHOTOGRAPH_EVERY` is about a photograph, where the extra `image` is installed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from itertools import cycle, product

PHOTOGRAPHS = ("astronaut.jpg", "chelsea.jpg", "coffee.jpg")
COPY_WIDTH = 160
OPERATIONS: tuple[tuple[str, dict[str, object]], ...] = (
    ("faces", {}),
    ("size", {}),
    ("describe", {}),
    ("resize", {"width": COPY_WIDTH, "encoding": "jpeg"}),
)
PHOTOGRAPH_EVERY = 10


@dataclass(frozen=True, slots=True)
class Work:
    """One task to be: `subject` is the sentence, or the name of the photograph."""

    kind: str
    subject: str
    arguments: list[object]
    named: dict[str, object] = field(default_factory=dict)

    @property
    def operation(self) -> str:
        """What is done to a photograph; "" for a sentence."""
        return str(self.arguments[1]) if len(self.arguments) > 1 else ""


def demo_work(count: int, *, with_photographs: bool) -> list[Work]:
    """So many tasks; sentences and photographs take their turns, and begin anew when they run out."""
    sentences = cycle([Work("text", sentence, [sentence]) for sentence in read_sentences()])
    photographs = cycle(_photograph_work()) if with_photographs else sentences
    return [next(sentences if number % PHOTOGRAPH_EVERY else photographs) for number in range(count)]


def read_sentences() -> list[str]:
    """Real sentences; their source stands at the head of the file."""
    text = resources.files("ohmesh.cli").joinpath("sentences.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def read_photograph(name: str) -> bytes:
    """The file's bytes; the README beside it says whose it is."""
    return resources.files("ohmesh.cli").joinpath("photographs", name).read_bytes()


def _photograph_work() -> list[Work]:
    files = {name: read_photograph(name) for name in PHOTOGRAPHS}
    return [
        Work("image", name, [files[name], operation], named)
        for (operation, named), name in product(OPERATIONS, PHOTOGRAPHS)
    ]
