"""The peers: what each needs, and the workers that it is run with: two processes, as its documentation advises for
throughput. Versions are pinned in the files beside this one; Redis keeps nothing on disk, which suits its clients."""

from __future__ import annotations

from dataclasses import dataclass

REDIS = "redis"


@dataclass(frozen=True)
class Peer:
    """`workers` are commands behind `python -m`; a peer without any starts them itself, below its client."""

    name: str
    app: str
    environment: str
    workers: tuple[tuple[str, ...], ...] = ()
    broker: tuple[str, ...] = (REDIS,)


CELERY = (
    "celery -A benchmarks.peers.celery_app worker --pool prefork --concurrency 2 --prefetch-multiplier 64"
    " --without-gossip --without-mingle --without-heartbeat --loglevel ERROR"
)
DRAMATIQ = "dramatiq benchmarks.peers.dramatiq_app --processes 2 --threads 8"
TASKIQ = "taskiq worker benchmarks.peers.taskiq_app:broker --workers 2 --log-level ERROR"
ARQ = "arq benchmarks.peers.arq_app.WorkerSettings"
HUEY = "huey.bin.huey_consumer benchmarks.peers.huey_app.huey --worker-type process --workers 2 --quiet"
DASK = "distributed.cli.dask_worker {url} --nworkers 2 --nthreads 1 --no-dashboard"
DASK_SCHEDULER = "distributed.cli.dask_scheduler --host 127.0.0.1 --port {port} --no-dashboard"

PEERS = (
    Peer("celery", "celery_app", "celery", (tuple(CELERY.split()),)),
    Peer("dramatiq", "dramatiq_app", "dramatiq", (tuple(DRAMATIQ.split()),)),
    Peer("taskiq", "taskiq_app", "taskiq", (tuple(TASKIQ.split()),)),
    Peer("arq", "arq_app", "arq", (tuple(ARQ.split()),) * 2),
    Peer("huey", "huey_app", "huey", (tuple(HUEY.split()),)),
    Peer("dask", "dask_app", "dask", (tuple(DASK.split()),), tuple(DASK_SCHEDULER.split())),
    Peer("ray_tasks", "ray_tasks_app", "ray", broker=()),
    Peer("ray_actors", "ray_actors_app", "ray", broker=()),
)
