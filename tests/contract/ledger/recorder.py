"""A process that records the batches of one source until it is killed or `last` is reached.

Arguments: URL, last position, rows of a batch. It opens the ledger when a line arrives on its input, prints the
position after each batch, and goes on from the ledger's position when another recorder was faster.
"""

from __future__ import annotations

import asyncio
import sys

from ohmesh.engines.ledger import open_ledger
from ohmesh.errors import SequenceConflict
from tests.contract.ledger.samples import batch

SOURCE = "shard-0"


async def record(url: str, last: int, rows: int) -> None:
    ledger = await open_ledger(url)
    try:
        position = await ledger.position(SOURCE)
        while position < last:
            try:
                await ledger.record(batch(position + 1, rows=rows, source=SOURCE, follows=position))
                position += 1
                tell(str(position))
            except SequenceConflict as conflict:
                position = conflict.last
    finally:
        await ledger.close()


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    tell("ready")
    sys.stdin.readline()
    asyncio.run(record(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
