"""A Ray of two processors below the client of the benchmark, without what the trivial task does not need."""

from __future__ import annotations

from functools import cache

import ray

OBJECT_STORE_BYTES = 100 << 20


@cache
def start() -> None:
    """Once, and only where tasks are handed in: a worker imports the apps too."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=OBJECT_STORE_BYTES)
