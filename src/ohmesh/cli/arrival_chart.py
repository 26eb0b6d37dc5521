"""When agents were ready, drawn as columns: time goes to the right, how many upward."""

from __future__ import annotations

from collections.abc import Sequence

HEIGHT = 6
_BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_PLAIN = "   ..::##"
_FULL = 8


def arrival_chart(
    bars: Sequence[tuple[float, int]], *, zero: str, height: int = HEIGHT, encoding: str = "utf-8"
) -> str:
    """bars: (upper bound in milliseconds, how many), of equal widths. zero: what the time 0 is called; it is marked
    where it lies among them. Blocks where `encoding` has them, else plain characters; a bar is never drawn as none."""
    if not bars:
        return ""
    blocks = _BLOCKS if _can(encoding) else _PLAIN
    most = max(count for _, count in bars)
    steps = [max(1, round(count * height * _FULL / most)) if count else 0 for _, count in bars]
    label = f"{most:,}"
    gutter = " " * len(label)
    lines = []
    for row in reversed(range(height)):
        cells = "".join(blocks[min(_FULL, max(0, step - row * _FULL))] for step in steps)
        lines.append(f"{label if row == height - 1 else gutter} |{cells}".rstrip())
    width_ms = (bars[-1][0] - bars[0][0]) / (len(bars) - 1) if len(bars) > 1 else bars[0][0]
    first_ms, last_ms = bars[0][0] - width_ms, bars[-1][0]
    lines.append(f"{gutter} +{_axis(len(bars), first_ms, last_ms)}")
    ends = f"{first_ms:.1f} ms", f"{last_ms:.1f} ms"
    gap = max(2, len(bars) - len(ends[0]) - len(ends[1]))
    lines.append(f"{gutter}  {ends[0]}{' ' * gap}{ends[1]}   from {zero}")
    return "\n".join(lines)


def _axis(width: int, first_ms: float, last_ms: float) -> str:
    axis = ["-"] * width
    if first_ms <= 0 <= last_ms and last_ms > first_ms:
        axis[min(width - 1, int(-first_ms / (last_ms - first_ms) * width))] = "0"
    return "".join(axis)


def _can(encoding: str) -> bool:
    try:
        _BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
