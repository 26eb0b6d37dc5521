"""How well the next delay of each link is foreseen, one step ahead and in the order of time, on a trace of round trips.

    python benchmarks/arrival.py --rtt FILE.npz [--drop-repeats] [--parts] [--json]

FILE holds `rtt_ms`, float32 [slices, nodes, nodes], NaN where nothing was measured; a delay is half of a round trip.
All forecasters are asked for a slice, then told it. With --drop-repeats a value that equals the link's last one is left
out: some platforms repeat a value until they have measured again. Scored are links with 40 values or more, from the
21st on; where less than a quarter of links has so many, those with half of what their median has, after half of that.

    hit_rate      share of delays that stayed within the lead that was given for 95 %
    mean_wait_ms  how long before T those who hit were ready: the mean of max(lead - delay, 0)
    pinball_95    the pinball loss of the lead as 0.95 quantile, ms: both of the above in one figure, least is best
    within_50ms   share of delays within 50 ms of the point forecast (|delay - forecast| <= 50): the median where a
                  forecaster has one (ours has), otherwise its only figure
    link_hit_p10  the tenth of links with the lowest hit rate have at most this one: whom an average hides

--parts runs ours without one of its parts each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.arrival_forecasters import (  # noqa: E402
    WANTED,
    AdaptiveConformal,
    Forecaster,
    LastValue,
    Ohmesh,
    PublishedPrior,
    RetransmissionTimer,
    RollingQuantile,
)
from ohmesh.protocols.arrival.calibration import CalibrationConfig  # noqa: E402
from ohmesh.protocols.arrival.estimator import EstimatorConfig  # noqa: E402

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
WINDOW_MS = 50.0
LEAST_VALUES = 40


@dataclass(frozen=True, slots=True)
class Trace:
    """Slices of (links, delays in ms); `is_scored` and `rows` are of all of them, one after the other."""

    nodes: int
    slices: list[tuple[Rows, Floats]]
    rows: Rows
    delays_ms: Floats
    is_scored: NDArray[np.bool_]
    least: int


def read_trace(path: Path, *, drop_repeats: bool) -> Trace:
    with np.load(path) as stored:
        rtt_ms = stored["rtt_ms"].astype(np.float64)
    nodes = rtt_ms.shape[1]
    slices = list(_slices(rtt_ms / 2, drop_repeats))
    rows = np.concatenate([rows for rows, _ in slices])
    delays_ms = np.concatenate([delays for _, delays in slices])
    places, totals = _places(rows, nodes * nodes)
    least = _least(totals[totals > 0])
    return Trace(nodes, slices, rows, delays_ms, (totals[rows] >= least) & (places >= least // 2), least)


def _slices(delays_ms: Floats, drop_repeats: bool) -> Iterator[tuple[Rows, Floats]]:
    """Only of ways from one node to another, and only what a round trip can be."""
    nodes = delays_ms.shape[1]
    is_way = ~np.eye(nodes, dtype=bool).ravel()
    last_ms = np.full(nodes * nodes, np.nan)
    for matrix in delays_ms:
        flat = matrix.ravel()
        is_measured = np.isfinite(flat) & (flat > 0) & is_way
        is_kept = is_measured & (flat != last_ms) if drop_repeats else is_measured
        last_ms = np.where(is_measured, flat, last_ms)
        rows = np.flatnonzero(is_kept)
        yield rows, flat[rows]


def _least(totals: Rows) -> int:
    if not len(totals) or (totals >= LEAST_VALUES).mean() >= 0.25:
        return LEAST_VALUES
    return max(int(np.median(totals)) // 2, 2)


def _places(rows: Rows, links: int) -> tuple[Rows, Rows]:
    """Which value of its link each is, counted from 0, and how many each link has."""
    totals = np.bincount(rows, minlength=links)
    order = np.argsort(rows, kind="stable")
    places = np.empty(len(rows), np.intp)
    places[order] = np.arange(len(rows)) - np.repeat(np.cumsum(totals) - totals, totals)
    return places, totals


def replay(forecaster: Forecaster, trace: Trace) -> tuple[Floats, Floats]:
    leads, points = [], []
    for rows, delays_ms in trace.slices:
        lead_ms, point_ms = forecaster.forecast(rows)
        leads.append(lead_ms)
        points.append(point_ms)
        forecaster.observe(rows, delays_ms)
    return np.concatenate(leads), np.concatenate(points)


def score(leads: Floats, points: Floats, trace: Trace) -> dict[str, float]:
    scored = trace.is_scored
    lead_ms, point_ms, delay_ms = leads[scored], points[scored], trace.delays_ms[scored]
    early_ms = lead_ms - delay_ms
    is_hit = early_ms >= 0
    _, link = np.unique(trace.rows[scored], return_inverse=True)
    of_links = np.bincount(link, is_hit) / np.bincount(link)
    return {
        "hit_rate": float(is_hit.mean()),
        "mean_wait_ms": float(np.maximum(early_ms, 0).mean()),
        "pinball_95": float(np.maximum((1 - WANTED) * early_ms, -WANTED * early_ms).mean()),
        "within_50ms": float((np.abs(delay_ms - point_ms) <= WINDOW_MS).mean()),
        "link_hit_p10": float(np.quantile(of_links, 0.1)),
    }


def forecasters(nodes: int) -> dict[str, Callable[[], Forecaster]]:
    links = nodes * nodes
    return {
        "prior": lambda: PublishedPrior(links),
        "last value": lambda: LastValue(links),
        "rolling quantile of 20": lambda: RollingQuantile(links, 20),
        "rolling quantile of 50": lambda: RollingQuantile(links, 50),
        "RFC 6298": lambda: RetransmissionTimer(links),
        "adaptive conformal": lambda: AdaptiveConformal(links),
        "ohmesh": lambda: Ohmesh(nodes),
    }


def parts(nodes: int) -> dict[str, Callable[[], Forecaster]]:
    uncalibrated = CalibrationConfig(rate=0.0)
    return {
        "ohmesh": lambda: Ohmesh(nodes),
        "without neighbourhoods": lambda: Ohmesh(nodes, is_alone=True),
        "without the short memory": lambda: Ohmesh(nodes, EstimatorConfig(memories=(1_024.0,))),
        "without the long memory": lambda: Ohmesh(nodes, EstimatorConfig(memories=(4.0,))),
        "without the agent's window": lambda: Ohmesh(nodes, EstimatorConfig(own_share=0.0)),
        "without calibration": lambda: Ohmesh(nodes, EstimatorConfig(calibration=uncalibrated)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rtt", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("--drop-repeats", action="store_true")
    parser.add_argument("--parts", action="store_true", help="ours, without one of its parts each")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    began = time.perf_counter()
    trace = read_trace(given.rtt, drop_repeats=given.drop_repeats)
    if not trace.is_scored.any():
        parser.error(f"no link of {given.rtt} has {trace.least} values")
    measured: dict[str, dict[str, float]] = {}
    for name, make in (parts if given.parts else forecasters)(trace.nodes).items():
        spent = time.process_time()
        measured[name] = score(*replay(make(), trace), trace)
        measured[name]["processor_s"] = time.process_time() - spent
    result = {
        "file": str(given.rtt),
        "drop_repeats": given.drop_repeats,
        "slices": len(trace.slices),
        "nodes": trace.nodes,
        "links": len(np.unique(trace.rows[trace.is_scored])),
        "samples": int(trace.is_scored.sum()),
        "least_values": trace.least,
        "warm_up": trace.least // 2,
        "forecasters": measured,
        "seconds": round(time.perf_counter() - began, 1),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    print(json.dumps(result) if given.json else _table(result, measured))


def _table(result: dict[str, object], measured: dict[str, dict[str, float]]) -> str:
    head = ", ".join(f"{name} {value}" for name, value in result.items() if name != "forecasters")
    lines = [head, "", f"{'':26}{'hit rate':>9}{'wait ms':>9}{'pinball':>9}{'in 50 ms':>10}{'p10 link':>10}"]
    lines += [
        f"{name:26}{one['hit_rate']:>9.2%}{one['mean_wait_ms']:>9.1f}{one['pinball_95']:>9.3f}"
        f"{one['within_50ms']:>10.2%}{one['link_hit_p10']:>10.1%}"
        for name, one in measured.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
