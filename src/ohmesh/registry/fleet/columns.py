"""What is known of each agent: one array for each property, an agent at the row that Topology gives.

    bytes of an agent
      1  liveness       1 + its place in LIVENESS_CODES, 0 is a vacant row
      1  duty           place in DUTY_CODES: what the mesh imposed, or else what its host says
      1  imposed_duty   code: quarantine and the like, ready where nothing is imposed
      1  reported_duty  code
      1  class_code     its place in AgentClasses
      1  profile        its place in HEARTBEAT_PROFILES
      4  host           word: the process that it lives in
      4  rtt_ms         round trip; 0 until measured
      4  processing_ms  one message of weight 0 without a queue; the base of its class until measured
      4  queue_depth    messages that wait before the next one
      4  reliability    0..1, successes of the last hour
      4  drift          coefficient of variation of its delays
      4  lead_ms        from release to ready at weight 0
      4  average_ms     what lead_ms used to be before this one (impedance.py)
      4  task           word: what it works on
      4  waits_on       word: what it waits for
      8  task_since_ms  mesh time, as its host says; 0 is never
      8  waits_since_ms mesh time of the heartbeat that said so first; 0 is never
      8  heartbeat_ms   mesh time of the last heartbeat, or of joining
      8  context_hash   the first 64 bits of the hash of its context, 0 without one
      8  version        of the registry, when this row changed last
      8  capabilities   for each 64 names that the mesh knows
     94  in all, and 8 more for each further 64 capabilities

Words and names of owners are kept beside, once each (words.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.intp]
Codes: TypeAlias = npt.NDArray[np.uint8]
Words: TypeAlias = npt.NDArray[np.uint32]
Singles: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Times: TypeAlias = npt.NDArray[np.int64]
Bits: TypeAlias = npt.NDArray[np.uint64]
Index: TypeAlias = Rows | slice

Scalar = TypeVar("Scalar", bound=np.generic)

CAPABILITIES_A_WORD = 64


@dataclass(slots=True, eq=False)
class FleetColumns:
    """Arrays of one length; `capabilities` is a list of them, each of which holds 64 bits of every agent."""

    liveness: Codes
    duty: Codes
    imposed_duty: Codes
    reported_duty: Codes
    class_code: Codes
    profile: Codes
    host: Words
    rtt_ms: Singles
    processing_ms: Singles
    queue_depth: Words
    reliability: Singles
    drift: Singles
    lead_ms: Singles
    average_ms: Singles
    task: Words
    waits_on: Words
    task_since_ms: Times
    waits_since_ms: Times
    heartbeat_ms: Times
    context_hash: Bits
    version: Times
    capabilities: list[Bits]

    @property
    def nbytes(self) -> int:
        plain = sum(int(getattr(self, name).nbytes) for name in COLUMN_TYPES)
        return plain + sum(int(word.nbytes) for word in self.capabilities)


_OF_ALIAS = {
    "Codes": np.uint8,
    "Words": np.uint32,
    "Singles": np.float32,
    "Times": np.int64,
    "Bits": np.uint64,
}
COLUMN_TYPES: dict[str, np.dtype[np.generic]] = {
    field.name: np.dtype(_OF_ALIAS[str(field.type)])
    for field in fields(FleetColumns)
    if field.name != "capabilities"
}


def vacant_columns(size: int) -> FleetColumns:
    """`size` rows without an agent."""
    arrays: dict[str, Any] = {name: np.zeros(size, dtype) for name, dtype in COLUMN_TYPES.items()}
    return FleetColumns(**arrays, capabilities=[np.zeros(size, np.uint64)])


def read_only(columns: FleetColumns) -> FleetColumns:
    """The same memory, not to be written through."""
    arrays: dict[str, Any] = {name: _locked(getattr(columns, name)) for name in COLUMN_TYPES}
    return FleetColumns(**arrays, capabilities=list(map(_locked, columns.capabilities)))


def _locked(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    view = array.view()
    view.flags.writeable = False
    return view
