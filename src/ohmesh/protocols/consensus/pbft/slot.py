"""One sequence number in one view: what was proposed, who prepared it, who committed to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ohmesh.protocols.consensus.pbft.messages import Prepared, Proposal, Signed


@dataclass(slots=True)
class Slot:
    """prepares, commits: by digest and source, since liars name other digests. Kept over views: `executed`."""

    view: int
    proposal: Proposal | None = None
    digest: bytes = b""
    prepares: dict[bytes, dict[str, Signed]] = field(default_factory=dict)
    commits: dict[bytes, set[str]] = field(default_factory=dict)
    has_committed: bool = False  # we have said so

    def prepared_by(self, quorum: int, primary: str) -> bool:
        """The proposal counts as the primary's prepare."""
        if self.proposal is None:
            return False
        backups = self.prepares.get(self.digest, {}).keys() - {primary}
        return len(backups) + 1 >= quorum

    def is_committed(self, quorum: int, primary: str) -> bool:
        return self.prepared_by(quorum, primary) and len(self.commits.get(self.digest, ())) >= quorum

    def proof(self) -> Prepared:
        assert self.proposal is not None
        return Prepared(self.proposal, tuple(self.prepares.get(self.digest, {}).values()))
