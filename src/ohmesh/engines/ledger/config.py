"""Bounds of a ledger. Every queue, page, batch and wait of the adapter ends at a number named here."""

from __future__ import annotations

from msgspec import Struct

from ohmesh.errors import InvalidArgument

LINE_BITS = 20
"""An entry's key is the number of its batch, shifted by this, plus its line in the batch."""


class LedgerConfig(Struct, frozen=True, kw_only=True):
    """The defaults suit one machine and a team's database alike.

    What is too large for history is not an error: a result above `value_bytes_max` is left out and its size kept,
    the texts of failures and events are cut and say so. History must never be what stops a mesh. A page of tasks ends
    at `page_rows_max` or `page_bytes_max`, so that it travels in one message; the next one goes on from there.
    """

    value_bytes_max: int = 65_536
    failures_chars_max: int = 65_536
    detail_chars_max: int = 16_384

    batch_rows_max: int = 50_000
    page_rows_max: int = 1_000
    page_bytes_max: int = 600_000
    task_ids_max: int = 1_000

    # Rows are made, hashed and inserted this many at a time: less than a millisecond of interpreter, so that the
    # thread that records does not hold up the event loop beside it.
    chunk_rows: int = 100

    readers: int = 4
    waiting_reads_max: int = 64
    waiting_records_max: int = 16

    connect_ms: int = 5_000
    busy_ms: int = 5_000
    answer_ms: int = 30_000
    close_ms: int = 5_000

    # SQLite only. Without fsync a power cut (not a crash) can take the last batches, rows and position together: the
    # ledger is whole, only older, and the projector reads on from there as far as the log still reaches.
    fsync: bool = False
    cache_bytes: int = 32 * 1024 * 1024
    write_ahead_pages: int = 4_000

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name != "fsync" and value < 1:
                raise InvalidArgument(
                    f"{name} = {value} is not a bound.", hint="Give a number of at least 1."
                )
        if self.batch_rows_max >= 1 << LINE_BITS:
            raise InvalidArgument(
                f"batch_rows_max = {self.batch_rows_max} is more than one batch can number.",
                hint=f"Stay below {1 << LINE_BITS}.",
            )
