"""Texts as small numbers for a column: each is kept once, and forgotten when no row names it any more.

Tasks come and go, so the table would grow for ever. It is swept when it holds twice what it held after the last
sweep: over time a word costs the same, however many there are, and the table is never larger than twice what rows
name, plus FLOOR, plus what one frame brings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FLOOR = 1_024
MAX_WORD_CHARACTERS = 200


class WordTable:
    """0 is the empty text. Whoever adds words asks `is_full` before, and sweeps."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": 0}
        self._texts: list[str] = [""]
        self._free: list[int] = []
        self._sweep_at = FLOOR

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def texts(self) -> Sequence[str]:
        """By code; the empty text where a code is not in use."""
        return self._texts

    @property
    def is_full(self) -> bool:
        return len(self._codes) > self._sweep_at

    def find(self, text: str) -> int | None:
        return self._codes.get(text[:MAX_WORD_CHARACTERS])

    def add(self, texts: Sequence[str]) -> npt.NDArray[np.uint32]:
        """Their codes. What is longer than MAX_WORD_CHARACTERS is cut."""
        return np.fromiter(map(self._add, texts), np.uint32, len(texts))

    def sweep(self, used: npt.NDArray[np.uint32]) -> None:
        """Forget all but the codes in `used`."""
        keep = np.zeros(len(self._texts), np.bool_)
        keep[used] = True
        for code in np.flatnonzero(~keep).tolist():
            if self._texts[code]:
                del self._codes[self._texts[code]]
                self._texts[code] = ""
                self._free.append(code)
        self._sweep_at = max(FLOOR, 2 * len(self._codes))

    def _add(self, text: str) -> int:
        text = text[:MAX_WORD_CHARACTERS]
        code = self._codes.get(text)
        if code is not None:
            return code
        if self._free:
            code = self._free.pop()
            self._texts[code] = text
        else:
            code = len(self._texts)
            self._texts.append(text)
        self._codes[text] = code
        return code
