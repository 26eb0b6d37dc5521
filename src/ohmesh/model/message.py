"""Messages between clients, dispatchers and hosts; each is one body of a Frame.

Every message is tagged by a small integer, encoded as a MessagePack array (fields in the order below), and may be
extended only at its end: a reader ignores fields that it does not know and fills those that are missing from defaults.
No message can be part of a reference cycle, so the garbage collector need not look at them (gc=False): with hundreds of
thousands of tasks in memory that is a fifth of the time of a dispatcher.

    client -> dispatcher    Submit, Watch, Cancel
    dispatcher -> client    Accepted, Finished, CancelAnswer
    host -> dispatcher      HostReport, Outcomes
    dispatcher -> host      Grants, Settled, Revoke, Enquire
    host -> whoever listens Progress, StreamItems
    reader -> host          SendItems
    request -> reply        ListTasks -> TaskPage, ListHosts -> HostPage, Describe -> ShardDescription,
                            ChangeTasks -> TasksChanged, PauseKind, LimitKind -> KindState, Explain -> Explanation,
                            AskLock -> LockAnswer,
                            SetSchedule, ChangeSchedule, ListSchedules -> SchedulePage;
                            any of them -> Problem
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from ohmesh.model.agent import AgentSpec, Duty, HostView
from ohmesh.model.explanation import Explain, Explanation
from ohmesh.model.limit import KindLimit, LimitStanding
from ohmesh.model.lock import AskLock, LockAnswer
from ohmesh.model.schedule import ChangeSchedule, ListSchedules, SchedulePage, SetSchedule
from ohmesh.model.task import Grant, Outcome, Submission, TaskEdit, TaskResult, TaskView

DEAD_LETTER = "dead_letter"


class Submit(Struct, array_like=True, frozen=True, gc=False, tag=1):
    """`client` is the name whose subject hears Accepted and Finished. Safe to send again: ids deduplicate."""

    client: str
    tasks: list[Submission]


class Watch(Struct, array_like=True, frozen=True, gc=False, tag=2):
    """Tell `client` how these tasks end (at once where they have). Repeated until answered: interest is not durable."""

    client: str
    task_ids: list[str]


class Cancel(Struct, array_like=True, frozen=True, gc=False, tag=3):
    client: str
    task_ids: list[str]


class Refusal(Struct, array_like=True, frozen=True, gc=False):
    """One submission that was not taken. `code` is that of errors.py; nothing was stored."""

    task_id: str
    code: str
    message: str
    retry_after_ms: int = 0


class Accepted(Struct, array_like=True, frozen=True, gc=False, tag=11):
    """These tasks are in the log now; the refused ones are not.

    joined: pairs of a task that was not taken and the one of the same unique key that waits or runs instead.
    unserved: kinds among them that no worker runs now.
    existed: an earlier submission of the same key had brought them; what came now counts for nothing."""

    task_ids: list[str]
    refused: list[Refusal] = []
    joined: list[tuple[str, str]] = []
    unserved: list[str] = []
    existed: bool = False


class Finished(Struct, array_like=True, frozen=True, gc=False, tag=12):
    """Also the answer to Watch. `unknown`: ids that this shard does not hold (never seen, or past their retention)."""

    results: list[TaskResult]
    unknown: list[str] = []


class CancelAnswer(Struct, array_like=True, frozen=True, gc=False, tag=13):
    """`cancelled` will never start or are being stopped; `too_late` had ended; `unknown` were never here."""

    cancelled: list[str]
    too_late: list[str] = []
    unknown: list[str] = []


class HostReport(Struct, array_like=True, frozen=True, gc=False, tag=21):
    """A heartbeat: who I am, what I can take, what I hold. Sent at an interval, on joining, when asked, on a gap.

    incarnation: the host's start (ms since 1970): a higher one makes every lease of a lower one void.
    epoch, number: the last Grants frame of this shard that was seen; a lease of a frame up to `number` that is
        neither in `held` nor in unanswered Outcomes never arrived.
    held: leases that it runs, or keeps the unanswered outcome of.
    lease_ms: after a silence of this length its leases are void.
    takes_envelopes: it can be granted many small tasks as one (model.envelope).
    """

    host: str
    incarnation: int
    epoch: int
    number: int
    agents: list[AgentSpec]
    held: list[int]
    duty: Duty = Duty.READY
    leaving: bool = False
    lease_ms: int = 10_000
    pid: int = 0
    version: str = ""
    runner_failures: int = 0
    takes_envelopes: bool = False


class Outcomes(Struct, array_like=True, frozen=True, gc=False, tag=22):
    """Sent again until Settled names the leases. `slots` are the agents whose width changed since the last report."""

    host: str
    incarnation: int
    outcomes: list[Outcome]
    slots: list[tuple[str, int]] = []


class Grants(Struct, array_like=True, frozen=True, gc=False, tag=31):
    """`number` counts this epoch's Grants frames to this host from 1; refuse an epoch lower than one seen."""

    shard: int
    epoch: int
    number: int
    grants: list[Grant]


class Settled(Struct, array_like=True, frozen=True, gc=False, tag=32):
    """The outcomes of these leases are in the log, or will never be (stale): forget them."""

    shard: int
    epoch: int
    leases: list[int]


class Revoke(Struct, array_like=True, frozen=True, gc=False, tag=33):
    """Stop these: cancelled tasks, or leases that a report showed to be void."""

    shard: int
    epoch: int
    leases: list[int]


class Enquire(Struct, array_like=True, frozen=True, gc=False, tag=34):
    """A new dispatcher speaks: report now, and send it every outcome that is not settled.

    instead_of: a higher epoch that you reported and that the log does not know (its data were lost, or begun anew):
        whoever still believes in that one is to believe in `epoch` again."""

    shard: int
    epoch: int
    instead_of: int = 0


class NewDispatcher(Struct, array_like=True, frozen=True, gc=False, tag=14):
    """A new dispatcher speaks to every client: send again what nobody has answered, ask again what you wait for."""

    shard: int
    epoch: int


class Progress(Struct, array_like=True, frozen=True, gc=False, tag=71):
    """How far a running attempt is: `done` of `total`, where that is known. It may be lost; it is stored nowhere.

    lease, count: both rise, so what comes late is known by them. attempt: a new one begins anew.
    at_ms: the host's wall clock when it heard of it.
    """

    task_id: str
    attempt: int
    done: float
    total: float | None = None
    note: str = ""
    at_ms: int = 0
    lease: int = 0
    count: int = 0

    @property
    def share(self) -> float | None:
        """Between 0 and 1; None where there is no total."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total else None

    def __str__(self) -> str:
        amount = f"{self.done:g}" if self.total is None else f"{self.done:g} of {self.total:g}"
        return f"{amount} {self.note}".rstrip()


class StreamItems(Struct, array_like=True, frozen=True, gc=False, tag=72):
    """What a running attempt has yielded, numbered from `first`, counted from 0 in each attempt. It may be lost.

    lease: rises with each attempt. values: MessagePack each. is_kept: all of them are in the task's value too.
    """

    task_id: str
    attempt: int
    lease: int
    first: int
    values: list[bytes]
    is_kept: bool = True


class SendItems(Struct, array_like=True, frozen=True, gc=False, tag=73):
    """A reader lacks the items of this task from `first` on: send again what is still there."""

    task_id: str
    first: int = 0


class ListTasks(Struct, array_like=True, frozen=True, gc=False, tag=41):
    """Tasks the shard holds, newest first. `after`: the cursor of the page before; `filter`: a selector of tasks.

    state: also DEAD_LETTER, which are those that ended without a result, could not be helped and were not purged.
    with_payload: of those asked for by id, what they were submitted with, and before they were edited.
    A page with an `after` may hold fewer than `limit` or none: the shard looks at a bounded number of tasks at a time.
    """

    task_ids: list[str] = []
    kind: str = ""
    state: str = ""
    limit: int = 100
    after: str = ""
    filter: str = ""
    with_payload: bool = False


class TaskPage(Struct, array_like=True, frozen=True, gc=False, tag=42):
    tasks: list[TaskView]
    after: str = ""
    total: int = 0


class ListHosts(Struct, array_like=True, frozen=True, gc=False, tag=43):
    pass


class HostPage(Struct, array_like=True, frozen=True, gc=False, tag=44):
    hosts: list[HostView]


class Describe(Struct, array_like=True, frozen=True, gc=False, tag=45):
    pass


class ShardDescription(Struct, array_like=True, frozen=True, gc=False, tag=46):
    """One dispatcher's shard in numbers. `depth`: kind -> (queued, running, retrying).

    paused: kind -> since when. dead_letters: kind -> how many. mesh_ms: the mesh's time when it was answered.
    limits: kind -> its limit, and whether that holds something back now.
    """

    shard: int
    epoch: int
    owner: str
    last_sequence: int
    depth: dict[str, tuple[int, int, int]]
    states: dict[str, int]
    hosts: int
    lost_tail: str = ""
    paused: dict[str, int] = {}
    dead_letters: dict[str, int] = {}
    mesh_ms: int = 0
    limits: dict[str, LimitStanding] = {}


class TaskChange(IntEnum):
    RETRY = 1  # failed, dead, timed out or cancelled: wait again
    REPLAY = 2  # a dead letter: wait again
    PURGE_DEAD_LETTERS = 3  # no dead letter any more
    PURGE_WAITING = 4  # cancelled; what runs goes on


class ChangeTasks(Struct, array_like=True, frozen=True, gc=False, tag=47):
    """Do it to the named tasks, or to `everything` that it fits, of one kind or ("") of all. Durable when answered.

    request: names the wish. Repeated until answered, and the same request never queues a task twice.
    up_to: with `everything`: that of the answer before, 0 at first; what came later is not meant.
    edit: of a REPLAY of one task, what it runs with.
    """

    change: TaskChange
    request: str
    task_ids: list[str] = []
    everything: bool = False
    kind: str = ""
    up_to: int = 0
    edit: TaskEdit | None = None


class TasksChanged(Struct, array_like=True, frozen=True, gc=False, tag=48):
    """`too_late`: not in a state for it, or not any more. `has_more`: ask again, with this `up_to`.

    key_taken: not queued again, because another task with their unique key waits or runs."""

    done: list[str]
    too_late: list[str] = []
    unknown: list[str] = []
    up_to: int = 0
    has_more: bool = False
    key_taken: list[str] = []


class PauseKind(Struct, array_like=True, frozen=True, gc=False, tag=51):
    """Grant nothing of this kind any more, or grant it again; what runs goes on. Safe to repeat."""

    kind: str
    is_paused: bool


class KindState(Struct, array_like=True, frozen=True, gc=False, tag=52):
    """`depth`: queued, running, retrying. `paused_ms`: since when; 0 is not paused."""

    kind: str
    depth: tuple[int, int, int]
    paused_ms: int = 0
    dead_letters: int = 0
    limit: LimitStanding | None = None


class LimitKind(Struct, array_like=True, frozen=True, gc=False, tag=55):
    """So many of this kind may start in a time, or run at a time; None: no limit. Safe to repeat. -> KindState"""

    kind: str
    limit: KindLimit | None = None


class Problem(Struct, array_like=True, frozen=True, gc=False, tag=49):
    """A request that could not be answered; `code` is that of errors.py."""

    code: str
    message: str
    retry_after_ms: int = 0


ToDispatcher = (
    Submit
    | Watch
    | Cancel
    | HostReport
    | Outcomes
    | ListTasks
    | ListHosts
    | Describe
    | ChangeTasks
    | PauseKind
    | LimitKind
    | AskLock
    | Explain
    | SetSchedule
    | ChangeSchedule
    | ListSchedules
)
ToClient = Accepted | Finished | CancelAnswer | NewDispatcher
ToHost = Grants | Settled | Revoke | Enquire
Reply = (
    TaskPage
    | HostPage
    | ShardDescription
    | TasksChanged
    | KindState
    | Explanation
    | SchedulePage
    | LockAnswer
    | Problem
)
