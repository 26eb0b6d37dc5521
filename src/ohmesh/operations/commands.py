"""The one registry of verbs. CLI, REST, MCP, console, dashboard and docs are made of this table or checked against it.

A verb is declared here once; its arguments (names, types, defaults, bounds, help) stand once in `arguments.py`.
"""

from __future__ import annotations

from ohmesh.errors import InvalidArgument
from ohmesh.operations.care_commands import CARE_COMMANDS
from ohmesh.operations.command import Command, Risk, Role, Scope
from ohmesh.operations.conflict_commands import CONFLICT_COMMANDS
from ohmesh.operations.fleet_commands import FLEET_COMMANDS
from ohmesh.operations.fleet_state_commands import FLEET_STATE_COMMANDS
from ohmesh.operations.schedule_commands import SCHEDULE_COMMANDS
from ohmesh.operations.webhook_commands import WEBHOOK_COMMANDS

_ARGUMENTS = "ohmesh.operations.arguments:"
_RESULTS = "ohmesh.operations.results:"

GROUPS = {
    "tasks": "List, inspect, await, cancel and retry tasks.",
    "queues": "List queues; pause, resume, limit and purge them.",
    "locks": "Named locks: list them, take one away.",
    "history": "What has ended and what happened, however long ago.",
    "schedules": "Tasks that are made again and again: add, list, pause, run, remove.",
    "dlq": "Dead letters, the tasks that failed for good: list, inspect, replay, edit, purge.",
    "fleet": "The fleet: its status, agents, sectors and clusters.",
    "ops": "Operations on the fleet: list, inspect, await and start them.",
    "conflicts": "What agents of the fleet contradict each other about: list, inspect, settle.",
    "runbook": "Procedures that do and report every step: the daily check, a silent sector, more agents.",
    "webhooks": "Tell others over HTTP what happens: add, list, test, pause, resume and remove.",
}

COMMANDS: tuple[Command, ...] = (
    Command(
        name="submit",
        summary="Submit one task.",
        help="Returns once the task is durable; with --wait, once it has ended. Arguments are read as JSON where "
        "they are JSON, else as text. A key makes the submission safe to repeat: the same key is the same task.",
        example='ohmesh submit text "What a lovely day" --wait 10',
        arguments=_ARGUMENTS + "Submit",
        result=_RESULTS + "TaskOutcome",
        run="ohmesh.operations.tasks:submit",
        risk=Risk.WRITE,
        idempotent=False,
        undo="tasks cancel",
        scope=Scope.TASK,
        role=Role.OPERATOR,
    ),
    Command(
        name="map",
        summary="Submit a task for each of many items and gather the results in their order.",
        help="An item is JSON where it is JSON, else text. On the command line, without items, each line of --input or "
        "of standard input is one, and results are printed as lines in the order of the input while they come. An item "
        "that fails leaves its line empty and hides no other; exit code 3 when some failed, 1 when all did.",
        example="ohmesh map text 'What a lovely day' 'What a mess'",
        arguments=_ARGUMENTS + "MapTasks",
        result="ohmesh.operations.mapping:MappedTasks",
        run="ohmesh.operations.mapping:map_tasks",
        risk=Risk.WRITE,
        idempotent=False,
        undo="tasks cancel",
        scope=Scope.TASK,
        role=Role.OPERATOR,
    ),
    Command(
        name="result",
        summary="Print how a task ended, waiting for its end.",
        help="Of a task that ended so long ago that the mesh holds it no longer, history is asked.",
        example="ohmesh result 01JD3Y9Q8K2M4N6P8R0S2T4V6W --wait 60",
        arguments=_ARGUMENTS + "Result",
        result=_RESULTS + "TaskOutcome",
        run="ohmesh.operations.tasks:result",
        scope=Scope.TASK,
    ),
    Command(
        name="tasks list",
        summary="List tasks, newest first.",
        help="A page at a time: `after` of one page asks for the next. A filter is made of tests such as state=dead, "
        "kind=vm-*, age>1h, priority in (high, critical), joined by and, or, not and parentheses; docs/selectors.md "
        "has all of it.",
        example="ohmesh tasks list --filter 'state in (dead, failed) and age<1d' --limit 20",
        arguments=_ARGUMENTS + "ListTasks",
        result=_RESULTS + "TaskList",
        run="ohmesh.operations.tasks:list_tasks",
        scope=Scope.TASK,
    ),
    Command(
        name="tasks get",
        summary="Show tasks with their attempts and failures.",
        help="Those that the mesh holds no longer are shown as history has them.",
        example="ohmesh tasks get 01JD3Y9Q8K2M4N6P8R0S2T4V6W",
        arguments=_ARGUMENTS + "GetTasks",
        result=_RESULTS + "TaskList",
        run="ohmesh.operations.tasks:get_tasks",
        scope=Scope.TASK,
    ),
    Command(
        name="tasks wait",
        summary="Wait until tasks have ended.",
        help="Those that have not ended in time are named under `unfinished`.",
        example="ohmesh tasks wait 01JD3Y9Q8K2M4N6P8R0S2T4V6W --wait 60",
        arguments=_ARGUMENTS + "WaitTasks",
        result=_RESULTS + "TaskOutcomes",
        run="ohmesh.operations.tasks:wait_tasks",
        scope=Scope.TASK,
    ),
    Command(
        name="tasks stream",
        summary="Print what a task yields, item by item, as it does.",
        help="From its first item on, however late it is asked, until its end. Where another attempt begins anew it is "
        "said on stderr, and --json tells the attempt of each item. A task that does not stream has one item, or "
        "those of the list that it returns. docs/streaming.md has more.",
        example="ohmesh tasks stream 01JD3Y9Q8K2M4N6P8R0S2T4V6W",
        arguments=_ARGUMENTS + "StreamTask",
        result="ohmesh.operations.streams:TaskStream",
        run="ohmesh.operations.streams:read_stream",
        scope=Scope.TASK,
    ),
    Command(
        name="tasks cancel",
        summary="Cancel tasks, queued or running.",
        help="A running attempt is stopped. A task that had ended stays as it is and is named under `too_late`.",
        example="ohmesh tasks cancel 01JD3Y9Q8K2M4N6P8R0S2T4V6W",
        arguments=_ARGUMENTS + "CancelTasks",
        result=_RESULTS + "Cancellation",
        run="ohmesh.operations.tasks:cancel_tasks",
        risk=Risk.DESTRUCTIVE,
        scope=Scope.TASK,
        role=Role.OPERATOR,
    ),
    Command(
        name="tasks retry",
        summary="Run ended tasks again.",
        help="Those that failed, died, ran out of time or were cancelled wait again, behind the others, with fresh "
        "attempts; how they failed is kept. Others are named under `too_late`.",
        example="ohmesh tasks retry 01JD3Y9Q8K2M4N6P8R0S2T4V6W",
        arguments=_ARGUMENTS + "RetryTasks",
        result=_RESULTS + "ChangedTasks",
        run="ohmesh.operations.tasks:retry_tasks",
        risk=Risk.WRITE,
        idempotent=False,
        undo="tasks cancel",
        scope=Scope.TASK,
        role=Role.OPERATOR,
    ),
    Command(
        name="explain",
        summary="Say why a task is where it is, agent by agent.",
        help="The dispatcher that decides answers: what stands before it, which agents could run it and why each does "
        "or does not, or where it ran and how it ended.",
        example="ohmesh explain 01JD3Y9Q8K2M4N6P8R0S2T4V6W",
        arguments=_ARGUMENTS + "ExplainTask",
        result="ohmesh.operations.explanation:ExplainedTask",
        run="ohmesh.operations.explanation:explain",
        scope=Scope.TASK,
    ),
    Command(
        name="queues list",
        summary="List queues: what waits and runs of each kind, what is paused or limited.",
        example="ohmesh queues list",
        arguments=_ARGUMENTS + "ListQueues",
        result=_RESULTS + "QueueList",
        run="ohmesh.operations.queues:list_queues",
        scope=Scope.QUEUE,
    ),
    Command(
        name="queues pause",
        summary="Start no more tasks of a kind.",
        help="What runs goes on, new tasks are taken and wait. It lasts until `queues resume`, whatever restarts.",
        example="ohmesh queues pause text",
        arguments=_ARGUMENTS + "PauseQueue",
        result=_RESULTS + "QueueState",
        run="ohmesh.operations.queues:pause_queue",
        risk=Risk.WRITE,
        undo="queues resume",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="queues resume",
        summary="Start tasks of a kind again.",
        example="ohmesh queues resume text",
        arguments=_ARGUMENTS + "ResumeQueue",
        result=_RESULTS + "QueueState",
        run="ohmesh.operations.queues:resume_queue",
        risk=Risk.WRITE,
        undo="queues pause",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="queues limit",
        summary="Limit how many tasks of a kind start in a time or run at a time.",
        help="One dispatcher decides for a kind, so the limit is exact. What exceeds it waits in its place; other "
        "kinds are not delayed. It takes the place of the limit before, allows nothing at first, and lasts until "
        "--none, whatever restarts. docs/limits.md has the rest.",
        example="ohmesh queues limit text --rate 100/s --burst 200 --concurrency 5",
        arguments=_ARGUMENTS + "LimitQueue",
        result=_RESULTS + "QueueState",
        run="ohmesh.operations.queues:limit_queue",
        risk=Risk.WRITE,
        undo="queues limit",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="queues purge",
        summary="Cancel every task of a kind that waits.",
        help="What runs goes on, and what is submitted meanwhile stays.",
        example="ohmesh queues purge text --yes",
        arguments=_ARGUMENTS + "PurgeQueue",
        result=_RESULTS + "PurgedQueue",
        run="ohmesh.operations.queues:purge_queue",
        risk=Risk.DESTRUCTIVE,
        idempotent=False,
        confirmation="Cancel every waiting task of kind {kind!r}?",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    *SCHEDULE_COMMANDS,
    Command(
        name="dlq list",
        summary="List dead letters, newest first.",
        help="Tasks that failed for good, used up their attempts or their time, and were not purged. They are kept "
        "as long as any ended task. A page at a time: `after` of one page asks for the next.",
        example="ohmesh dlq list --kind text",
        arguments=_ARGUMENTS + "ListDeadLetters",
        result=_RESULTS + "DeadLetters",
        run="ohmesh.operations.dead_letters:list_dead_letters",
        scope=Scope.QUEUE,
    ),
    Command(
        name="dlq get",
        summary="Show dead letters with reason, attempts, tracebacks and arguments.",
        example="ohmesh dlq get 01JD3Y9Q8K2M4N6P8R0S2T4V6W --json",
        arguments=_ARGUMENTS + "GetDeadLetters",
        result=_RESULTS + "DeadLetterDetails",
        run="ohmesh.operations.dead_letters:get_dead_letters",
        scope=Scope.QUEUE,
    ),
    Command(
        name="dlq replay",
        summary="Run dead letters again, named ones or all.",
        help="They wait again, behind the others, with fresh attempts; how they failed is kept.",
        example="ohmesh dlq replay --all --kind text",
        arguments=_ARGUMENTS + "ReplayDeadLetters",
        result=_RESULTS + "ChangedTasks",
        run="ohmesh.operations.dead_letters:replay_dead_letters",
        risk=Risk.WRITE,
        idempotent=False,
        undo="tasks cancel",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="dlq edit",
        summary="Run a dead letter again with other arguments, priority or timeout.",
        help="It keeps its id and waits again, behind the others, with fresh attempts. What is not said stays as it "
        "was; what it was, and how it failed, is kept and shown by `dlq get`, and `history events` has it for good.",
        example="ohmesh dlq edit 01JD3Y9Q8K2M4N6P8R0S2T4V6W --args '[\"What a lovely day\"]'",
        arguments=_ARGUMENTS + "EditDeadLetter",
        result=_RESULTS + "ChangedTasks",
        run="ohmesh.operations.dead_letters:edit_dead_letter",
        risk=Risk.WRITE,
        idempotent=False,
        undo="tasks cancel",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="dlq purge",
        summary="Take dead letters off the list, named ones or all.",
        help="As tasks they stay what they were, with their failures, until their retention ends.",
        example="ohmesh dlq purge --all --yes",
        arguments=_ARGUMENTS + "PurgeDeadLetters",
        result=_RESULTS + "ChangedTasks",
        run="ohmesh.operations.dead_letters:purge_dead_letters",
        risk=Risk.DESTRUCTIVE,
        confirmation="Purge these dead letters for good?",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="locks list",
        summary="Show which named locks are held, by whom, under which token.",
        help="Locks are taken by programs (mesh.lock in Python) and by `ohmesh lock NAME -- COMMAND`. docs/locks.md "
        "says what they can do and what they cannot.",
        example="ohmesh locks list",
        arguments="ohmesh.operations.locks:ListLocks",
        result="ohmesh.operations.locks:LockList",
        run="ohmesh.operations.locks:list_locks",
    ),
    Command(
        name="locks release",
        summary="Take a named lock away from its holder.",
        help="The next one that waits has it at once, while the holder believes in it until its next renewal: only "
        "what checks tokens is safe from both. Exit code 4 when nobody held it.",
        example="ohmesh locks release nightly-report --yes",
        arguments="ohmesh.operations.locks:ReleaseLock",
        result="ohmesh.operations.locks:ReleasedLock",
        run="ohmesh.operations.locks:release_lock",
        risk=Risk.DESTRUCTIVE,
        confirmation="Take lock {name!r} away from whoever holds it?",
        role=Role.ADMIN,
    ),
    Command(
        name="history list",
        summary="List tasks that have ended, the last first, however long ago.",
        help="What the mesh holds no longer is in here too. A page at a time: `after` of one page asks for the next. "
        "History is written a moment after a task ends; how far it is behind is told with each page.",
        example="ohmesh history list --kind text --state dead --since 2h",
        arguments="ohmesh.operations.history_arguments:ListHistory",
        result="ohmesh.operations.history_results:TaskHistory",
        run="ohmesh.operations.history:list_history",
        scope=Scope.TASK,
    ),
    Command(
        name="history events",
        summary="List what else happened: workers, epochs, dead letters, tails lost.",
        example="ohmesh history events --kind host_joined --limit 20",
        arguments="ohmesh.operations.history_arguments:ListEvents",
        result="ohmesh.operations.history_results:HistoryEvents",
        run="ohmesh.operations.history:list_events",
    ),
    Command(
        name="workers",
        summary="Show workers: alive or not, their load, what they run.",
        help="A filter is made of tests such as state=active, name=box-*, load>80%, seen>1min, joined by and, or, not "
        "and parentheses; docs/selectors.md has all of it.",
        example="ohmesh workers --filter 'kind=text and not state=active'",
        arguments=_ARGUMENTS + "ListWorkers",
        result=_RESULTS + "WorkerList",
        run="ohmesh.operations.mesh:list_workers",
        scope=Scope.WORKER,
    ),
    Command(
        name="agents",
        summary="Show agents: what each runs and can do, its slots, its worker.",
        help="A worker holds one agent or several, each of one kind. A filter is made of tests such as kind=text, "
        "free>0, worker=box-*, capability=gpu, joined by and, or, not and parentheses; docs/selectors.md has all of "
        "it.",
        example="ohmesh agents --filter 'kind=text and free>0'",
        arguments=_ARGUMENTS + "ListAgents",
        result="ohmesh.operations.agents:AgentList",
        run="ohmesh.operations.agents:list_agents",
        scope=Scope.WORKER,
    ),
    Command(
        name="events",
        summary="Show what happens in the mesh: tasks, workers, queues, shards.",
        help="Without --after the newest; with --follow what happens from now on, or behind the cursor, until it is "
        "interrupted. Every event has a cursor behind which reading goes on, so that nothing is read twice or left "
        "out; where the logs do not reach back that far, an event shard.gap says so. docs/events.md has all types.",
        example="ohmesh events --filter 'type=task.dead or type=worker.*'",
        arguments=_ARGUMENTS + "ReadEvents",
        result="ohmesh.operations.events:EventPage",
        run="ohmesh.operations.events:read_events",
    ),
    Command(
        name="status",
        summary="Show the mesh: queues by kind and state, dispatchers, workers.",
        example="ohmesh status",
        arguments=_ARGUMENTS + "Status",
        result=_RESULTS + "MeshStatus",
        run="ohmesh.operations.mesh:status",
    ),
    *FLEET_COMMANDS,
    *CONFLICT_COMMANDS,
    *CARE_COMMANDS,
    *FLEET_STATE_COMMANDS,
    *WEBHOOK_COMMANDS,
)

_BY_NAME = {command.name: command for command in COMMANDS}


def find_command(name: str) -> Command:
    """The command of that name ("tasks list"); InvalidArgument names those that exist."""
    found = _BY_NAME.get(name)
    if found is None:
        raise InvalidArgument(f"There is no verb {name!r}.", hint=f"The verbs are: {', '.join(_BY_NAME)}.")
    return found
