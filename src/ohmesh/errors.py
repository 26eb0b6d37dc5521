"""Every error ohmesh raises, in one tree.

    OhmeshError
    |-- UsageError               the caller asked for something that cannot be
    |   |-- InvalidArgument          a value has the wrong type, range or form
    |   |   `-- InvalidSelector          a filter cannot be read; shows where
    |   |-- PayloadTooLarge          arguments or result above the limit of one task
    |   |-- UnknownTask              no task of that id is known here
    |   |-- UnknownWebhook           no webhook of that id is known here
    |   |-- UnknownKind              no agent of that kind was ever seen
    |   |-- UnknownSchedule          no schedule of that name is known here
    |   |-- UnknownOperation         no operation of that id is known here
    |   |-- UnknownConflict          no conflict of that id is known here
    |   `-- AgentDefinitionError     an @agent function or worker module cannot be used
    |-- EngineError                the servers below us
    |   |-- EngineUnavailable        not reachable now; nothing is known to have happened
    |   |-- AppendUnresolved         the append may or may not have landed
    |   |-- SequenceConflict         the log does not end where the writer expected
    |   |-- RevisionConflict         the key is not at the revision the writer expected
    |   |-- NotAuthorised            the engine refused our credentials
    |   |-- EngineInUse              another process owns this data directory
    |   `-- EngineFailed             the engine did not start, or answered nonsense
    |-- MeshError                  the mesh itself
    |   |-- MeshUnreachable          nobody of the mesh answered in time
    |   |-- NoCapableAgentError      no agent that can do it is active and ready
    |   |-- Backpressure             full; try again after `retry_after_ms` (HTTP 429)
    |   |-- SubmissionTooOld         a retry older than the horizon of deduplication
    |   |-- LockTimeout              another held the lock for as long as was waited for it
    |   |-- LockLost                 the lock was not renewed in time, or was taken away
    |   |-- Fenced                   this process has been replaced by a newer one
    |   |-- LogCorrupt               a frame of the log does not follow its predecessor
    |   `-- NotTrusted               a signature, a seal or a key that proves nothing
    |-- TaskError                  a task ended without a value
    |   |-- TaskFailed               its last attempt raised; dead-lettered
    |   |-- TaskTimedOut             its last attempt ran past its timeout; dead-lettered
    |   |-- TaskCancelled            somebody cancelled it
    |   |-- StreamRestarted          another attempt yields from the beginning again
    |   |-- StreamGap                items were lost on the way, and the task keeps none
    |   `-- ResultTimeout            it has not ended yet; waiting was given up
    |-- RequestRefused             a request over HTTP that its door refuses
    |   |-- NoSuchAddress            nothing is served under that address
    |   |-- MethodRefused            the address takes another method
    |   |-- BodyRefused              the body cannot be read as JSON or as a form
    |   |-- BodyTooLarge             the body is above the limit of the door
    |   |-- TokenRefused             no token was sent, or a wrong one
    |   |-- HostRefused              the request was meant for another host
    |   |-- OriginRefused            a web page from elsewhere asks
    |   |-- NotConfirmed             hard to take back, and not confirmed
    |   |-- TooManyRequests          more than this token may ask in a minute
    |   |-- KeyMissing               this door wants an Idempotency-Key
    |   |-- KeyReused                the Idempotency-Key was used with another request
    |   `-- KeyInFlight              the first request with this Idempotency-Key is being done
    |-- SimulationError            a simulated run cannot go on, or broke a promise
    |   |-- SimulationStuck            nothing is ready and no timer is set: a deadlock
    |   |-- SimulationTooLong          past its bound of virtual time or of steps
    |   |-- SimulationEscape           real I/O, a thread or a process was asked for
    |   `-- PromiseBroken              a checker found a task lost or committed twice
    `-- HandlerError               raised by user code to say how its failure is to be treated
        |-- Permanent                do not retry
        |   |-- ArgumentsRefused         they do not fit the handler's signature or types
        |   `-- ResultRefused            what the handler returned cannot be stored
        `-- RetryLater               retry, not before `delay_ms`

A message says what happened, with the values, and what to do next; `code` is the same in Python, REST and CLI.
"""

from typing import ClassVar


class OhmeshError(Exception):
    """Root of the tree. `hint` says what to do next; it is part of the printed message."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class UsageError(OhmeshError):
    code = "usage"
    http_status = 400


class InvalidArgument(UsageError):
    code = "invalid_argument"


class InvalidSelector(InvalidArgument):
    """`excerpt` is the text and, in a second line, a caret below its character `position`."""

    code = "invalid_selector"

    def __init__(self, message: str, *, excerpt: str = "", position: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.excerpt, self.position = excerpt, position

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.excerpt}" if self.excerpt else super().__str__()


class PayloadTooLarge(UsageError):
    code = "payload_too_large"
    http_status = 413


class _NotFound:
    http_status = 404


class UnknownTask(_NotFound, UsageError):
    code = "unknown_task"


class UnknownWebhook(_NotFound, UsageError):
    code = "unknown_webhook"


class UnknownKind(_NotFound, UsageError):
    code = "unknown_kind"


class UnknownSchedule(_NotFound, UsageError):
    code = "unknown_schedule"


class UnknownOperation(_NotFound, UsageError):
    code = "unknown_operation"


class UnknownConflict(_NotFound, UsageError):
    code = "unknown_conflict"


class AgentDefinitionError(UsageError):
    code = "agent_definition"


class EngineError(OhmeshError):
    code = "engine"
    http_status = 503


class EngineUnavailable(EngineError):
    code = "engine_unavailable"
    retryable = True


class AppendUnresolved(EngineError):
    code = "append_unresolved"
    retryable = True


class SequenceConflict(EngineError):
    """The log ends at `last`, not at `expected`. `last` is -1 where the engine did not say."""

    code = "sequence_conflict"

    def __init__(self, message: str, *, expected: int, last: int = -1, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected, self.last = expected, last


class RevisionConflict(EngineError):
    code = "revision_conflict"


class NotAuthorised(EngineError):
    code = "not_authorised"
    http_status = 401


class EngineInUse(EngineError):
    code = "engine_in_use"


class EngineFailed(EngineError):
    code = "engine_failed"


class MeshError(OhmeshError):
    code = "mesh"
    http_status = 503


class MeshUnreachable(MeshError):
    code = "mesh_unreachable"
    retryable = True


class NoCapableAgentError(_NotFound, MeshError):
    code = "no_capable_agent"
    retryable = True
    missing: tuple[str, ...] = ()  # what nobody has; empty: nobody has all of it at once, or who does is away


class _TooMuch:
    http_status = 429
    retryable = True

    def __init__(self, message: str, *, retry_after_ms: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)  # type: ignore[call-arg]  # the error that this is a part of
        self.retry_after_ms = retry_after_ms


class Backpressure(_TooMuch, MeshError):
    code = "backpressure"


class SubmissionTooOld(MeshError):
    code = "submission_too_old"
    http_status = 409


class LockTimeout(MeshError):
    code = "lock_timeout"
    http_status = 409
    retryable = True


class LockLost(MeshError):
    code = "lock_lost"  # somebody else may hold it by now: what was begun under it is to stop
    http_status = 409


class Fenced(MeshError):
    code = "fenced"


class LogCorrupt(MeshError):
    code = "log_corrupt"


class NotTrusted(MeshError):
    code = "not_trusted"
    http_status = 403


class TaskError(OhmeshError):
    """Carries the id of the task, so that one handler can treat many; `traceback`: of the agent's process."""

    code = "task"
    printed_traceback_lines: ClassVar[int] = 12

    def __init__(self, message: str, *, task_id: str = "", traceback: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.task_id, self.traceback = task_id, traceback

    def __str__(self) -> str:
        if not self.traceback:
            return super().__str__()
        lines = self.traceback.rstrip().splitlines()
        if (left_out := len(lines) - self.printed_traceback_lines) > 0:
            lines[:left_out] = [f"... {left_out} lines above"]
        return "\n    ".join([super().__str__(), *(line[:200] for line in lines)])


class TaskFailed(TaskError):
    code = "task_failed"


class TaskTimedOut(TaskError):
    code = "task_timed_out"
    http_status = 504


class TaskCancelled(TaskError):
    code = "task_cancelled"
    http_status = 409


class StreamRestarted(TaskError):
    code = "stream_restarted"
    http_status = 409
    retryable = True


class StreamGap(TaskError):
    code = "stream_gap"
    http_status = 410


class ResultTimeout(TaskError):
    code = "result_timeout"
    http_status = 504
    retryable = True
    state: str = ""  # how far the task had come by then, as far as the mesh could tell


class RequestRefused(OhmeshError):
    code = "request_refused"
    http_status = 400


class NoSuchAddress(_NotFound, RequestRefused):
    code = "no_such_address"


class MethodRefused(RequestRefused):
    code = "method_refused"
    http_status = 405


class BodyRefused(RequestRefused):
    code = "body_refused"


class BodyTooLarge(RequestRefused):
    code = "body_too_large"
    http_status = 413


class TokenRefused(RequestRefused):
    code = "token_refused"
    http_status = 401


class HostRefused(RequestRefused):
    code = "host_refused"
    http_status = 421


class OriginRefused(RequestRefused):
    code = "origin_refused"
    http_status = 403


class NotConfirmed(RequestRefused):
    code = "not_confirmed"
    http_status = 422


class TooManyRequests(_TooMuch, RequestRefused):
    code = "too_many_requests"


class KeyMissing(RequestRefused):
    code = "key_missing"


class KeyReused(RequestRefused):
    code = "key_reused"
    http_status = 422


class KeyInFlight(RequestRefused):
    code = "key_in_flight"
    http_status = 409
    retryable = True


class SimulationError(OhmeshError):
    code = "simulation"


class SimulationStuck(SimulationError):
    code = "simulation_stuck"


class SimulationTooLong(SimulationError):
    code = "simulation_too_long"


class SimulationEscape(SimulationError):
    code = "simulation_escape"


class PromiseBroken(SimulationError):
    code = "promise_broken"


class HandlerError(OhmeshError):
    code = "handler"


class Permanent(HandlerError):
    code = "permanent"


class ArgumentsRefused(Permanent):
    code = "arguments_refused"


class ResultRefused(Permanent):
    code = "result_refused"


class RetryLater(HandlerError):
    code = "retry_later"
    retryable = True

    def __init__(self, message: str, *, delay_ms: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.delay_ms = delay_ms
