"""An older version's log and snapshot: the present one makes of them what that one made."""

from __future__ import annotations

from ohmesh.protocols.queue.rows import decode_log_frame, digest
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.simulator.world import World, run
from tests.unit.older_versions.transcript import OLDER
from tests.unit.roles.served_shard import LOG, ServedShard
from tests.waiting import eventually

SNAPSHOT = bytes.fromhex(OLDER.snapshot.data)


def replayed(entries: list[bytes], table: TaskTable | None = None) -> TaskTable:
    table = table or TaskTable()
    for sequence, entry in enumerate(entries, 1):
        table.apply_all(decode_log_frame(entry, sequence).rows)
    return table


def told(table: TaskTable) -> dict[str, tuple[str, int, str, int]]:
    return {
        task.task_id: (task.state.value, task.attempts, task.value.hex(), len(task.failures))
        for task in table.every()
    }


def test_the_log_is_what_it_was() -> None:
    assert told(replayed(OLDER.entries())) == OLDER.tasks
    assert {state for state, *_ in OLDER.tasks.values()} == {"succeeded", "failed", "cancelled", "queued"}


def test_the_snapshot_holds_what_the_log_before_it_says_byte_for_byte() -> None:
    table, sequence, previous = decode_snapshot(SNAPSHOT)
    before = OLDER.entries()[:sequence]
    assert (sequence, previous) == (OLDER.snapshot.sequence, digest(before[-1]))
    assert encode_snapshot(table, sequence, previous) == encode_snapshot(replayed(before), sequence, previous)


def test_snapshot_and_rest_of_the_log_are_the_whole_log_byte_for_byte() -> None:
    entries = OLDER.entries()
    table, sequence, _ = decode_snapshot(SNAPSHOT)
    late, whole = replayed(entries[sequence:], table), replayed(entries)
    assert told(late) == OLDER.tasks
    last, previous = len(entries), digest(entries[-1])
    assert encode_snapshot(late, last, previous) == encode_snapshot(whole, last, previous)


def test_a_present_dispatcher_takes_an_older_shard_over_and_goes_on() -> None:
    async def main(world: World) -> None:
        await take_over(world)

    run(main, seed=1)


async def take_over(world: World) -> None:
    shard = ServedShard(world)
    await shard.open()
    log = shard.outside.log
    await log.create(LOG)
    for sequence, entry in enumerate(OLDER.entries()):
        await log.append(LOG, entry, expected=sequence)
    await shard.outside.blobs.put(OLDER.snapshot.key, SNAPSHOT)
    shard.start("node", 8)
    await eventually(lambda: shard.sent, what="the dispatcher asks who is there")
    await shard.submit("new")
    rows = [decode_log_frame(entry.data, entry.sequence).rows for entry in world.cluster.history(LOG)]
    table = TaskTable()
    for each in rows:
        table.apply_all(each)
    assert told(table) == OLDER.tasks | {"new": ("queued", 0, "", 0)}
    assert table.epoch == 8
    await shard.report(8)
    (grant,) = await shard.granted("new")
    await shard.succeed(grant)
    await eventually(lambda: "new" in shard.finished(), what="the shard works as any other")
