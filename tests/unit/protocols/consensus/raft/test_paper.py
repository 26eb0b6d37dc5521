"""One test a sentence of the paper (Ongaro and Ousterhout 2014) and of the thesis (Ongaro 2014)."""

from __future__ import annotations

import pytest

from ohmesh.errors import Backpressure, InvalidArgument
from ohmesh.protocols.consensus.raft.messages import (
    Append,
    AppendReply,
    Entry,
    HardState,
    Heartbeat,
    HeartbeatReply,
    VoteReply,
    VoteRequest,
)
from ohmesh.protocols.consensus.raft.state import Role
from tests.unit.protocols.consensus.raft.group_by_hand import ByHand, member, messages_to, sent, settle


def three() -> ByHand:
    return ByHand(
        member("a"), member("b", random_below=lambda _: 900), member("c", random_below=lambda _: 600)
    )


class TestElections:
    """Paper 5.2."""

    def test_a_follower_that_hears_nobody_for_an_election_timeout_runs(self) -> None:
        raft = member()
        roles = []
        for now_ms in (raft.due_ms - 1, raft.due_ms):
            raft.tick(now_ms)
            roles.append(raft.role)
        assert roles == [Role.FOLLOWER, Role.TRIAL]

    def test_a_candidate_that_a_majority_votes_for_leads_and_tells_everybody(self) -> None:
        group = three()
        leader = group.elect("a")
        assert {each.leader for each in group.members.values()} == {"a"}
        assert {each.term for each in group.members.values()} == {leader.term} == {1}

    def test_a_member_votes_once_in_a_term_for_who_came_first_and_for_that_one_again(self) -> None:
        raft = member(hard=HardState(5))
        for candidate, is_granted in (("b", True), ("c", False), ("b", True)):
            raft.receive(candidate, VoteRequest(6, 0, 0), 0)
            assert messages_to(candidate, sent(raft)) == [VoteReply(6, is_granted)]

    def test_a_vote_is_on_disk_before_it_is_sent(self) -> None:
        raft = member()
        raft.receive("b", VoteRequest(1, 0, 0), 0)
        ready = raft.take()
        assert ready.hard == HardState(1, "b")
        assert not ready.urgent
        assert [each.to for each in ready.messages] == ["b"]

    def test_a_vote_that_was_given_before_a_restart_counts_after_it(self) -> None:
        raft = member(hard=HardState(3, "b"))
        raft.receive("c", VoteRequest(3, 9, 3), 0)
        assert messages_to("c", sent(raft)) == [VoteReply(3, False)]

    def test_a_leader_that_sees_a_higher_term_steps_down(self) -> None:
        group = three()
        leader = group.elect("a")
        leader.receive("b", AppendReply(7, 0), group.now_ms)
        assert (leader.role, leader.term) == (Role.FOLLOWER, 7)

    def test_a_candidate_that_hears_a_leader_of_its_term_follows_it(self) -> None:
        raft = member()
        raft.tick(raft.due_ms)
        raft.receive("b", VoteReply(1, True, True), 1000)
        assert raft.role is Role.CANDIDATE
        raft.receive("c", Heartbeat(1, 0, 1), 1001)
        assert (raft.role, raft.leader) == (Role.FOLLOWER, "c")

    def test_a_split_vote_is_tried_again_after_another_timeout(self) -> None:
        raft = member(voters="abcd")
        raft.tick(raft.due_ms)
        for other in "bcd":
            raft.receive(other, VoteReply(0, False, True), 1000)
        roles = [raft.role]
        raft.tick(raft.due_ms)
        assert [*roles, raft.role] == [Role.FOLLOWER, Role.TRIAL]

    def test_a_group_of_one_leads_itself_and_commits_when_its_disk_has_it(self) -> None:
        raft = member(voters="a")
        raft.tick(raft.due_ms)
        assert raft.role is Role.LEADER
        raft.propose(b"x")
        first = raft.take()
        assert not first.committed
        raft.stored(first, 0)
        assert [entry.data for _, entry in raft.take().committed] == [b"", b"x"]


class TestTheLog:
    """Paper 5.3."""

    def test_an_append_is_taken_where_the_entry_before_it_is_the_same(self) -> None:
        raft = member(terms=(1, 1))
        raft.receive("b", Append(2, 2, 1, (Entry(2, b"new"),), 0), 0)
        assert raft.log.last_term == 2
        assert messages_to("b", sent(raft)) == [AppendReply(2, 3)]

    @pytest.mark.parametrize(("previous_index", "previous_term"), [(3, 1), (2, 2)])
    def test_and_refused_where_it_is_not(self, previous_index: int, previous_term: int) -> None:
        raft = member(terms=(1, 1))
        raft.receive("b", Append(3, previous_index, previous_term, (Entry(3),), 0), 0)
        (reply,) = messages_to("b", sent(raft))
        assert isinstance(reply, AppendReply)
        assert reply.is_refused
        assert raft.log.last_index == 2

    def test_entries_that_conflict_go_with_all_behind_them(self) -> None:
        raft = member(terms=(1, 1, 1, 1))
        raft.receive("b", Append(2, 1, 1, (Entry(2, b"other"),), 0), 0)
        ready = raft.take()
        assert (ready.first_index, list(ready.entries)) == (2, [Entry(2, b"other")])
        assert raft.log.last_index == 2

    def test_entries_that_are_there_already_are_left_alone_though_more_follow_them(self) -> None:
        raft = member(terms=(1, 1, 1))
        raft.receive("b", Append(1, 0, 0, (Entry(1, b"1"),), 0), 0)
        assert raft.log.last_index == 3

    def test_an_entry_is_on_disk_before_it_is_acknowledged(self) -> None:
        raft = member()
        raft.receive("b", Append(1, 0, 0, (Entry(1, b"x"),), 0), 0)
        ready = raft.take()
        assert list(ready.entries) == [Entry(1, b"x")]
        assert not ready.urgent
        assert [each.message for each in ready.messages] == [AppendReply(1, 1)]

    @pytest.mark.parametrize(
        "theirs", [(), (1, 1), (1, 1, 1, 4, 4, 5, 5, 6, 6), (1, 1, 1, 4), (1, 1, 1, 4, 4, 4, 4), (1, 1, 1, 2, 2, 2, 3)]
    )  # fmt: skip
    def test_the_logs_of_figure_7_become_the_leaders(self, theirs: tuple[int, ...]) -> None:
        group = ByHand(
            member("a", terms=(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)),
            member("b", terms=theirs, random_below=lambda _: 900),
            member("c", terms=(1, 1, 1, 4, 4, 5, 5, 6, 6), random_below=lambda _: 900),
        )
        leader = group.elect("a")
        group.pass_ms(300)
        ours = [leader.log.term_at(index) for index in range(1, 12)]
        for other in group.members.values():
            assert [other.log.term_at(index) for index in range(1, 12)] == ours
            assert other.log.committed == 11


class TestSafety:
    """Paper 5.4."""

    @pytest.mark.parametrize(
        ("last_term", "last_index", "is_granted"),
        [(2, 1, True), (1, 9, False), (2, 3, True), (2, 2, False), (3, 1, True)],
    )
    def test_a_vote_goes_only_to_a_log_that_is_as_long(
        self, last_term: int, last_index: int, is_granted: bool
    ) -> None:
        """5.4.1"""
        raft = member(terms=(1, 1, 2) if (last_term, last_index) != (2, 1) else (2,))
        raft.receive("b", VoteRequest(9, last_index, last_term), 0)
        assert messages_to("b", sent(raft)) == [VoteReply(9, is_granted)]

    def test_an_entry_of_an_earlier_term_is_not_committed_by_counting(self) -> None:
        """5.4.2 and figure 8"""
        raft = member("a", "abcde", terms=(1, 2))
        raft.tick(raft.due_ms)
        for other in "bc":
            raft.receive(other, VoteReply(3, True, True), 1000)
        for other in "bc":
            raft.receive(other, VoteReply(3, True), 1000)
        settle(raft, 1000)
        for other in "bc":
            raft.receive(other, AppendReply(3, 2), 1001)
        assert raft.log.committed == 0
        for other in "bc":
            raft.receive(other, AppendReply(3, 3), 1002)
        assert raft.log.committed == 3


class TestMembers:
    """Paper 6."""

    def test_a_change_goes_through_a_joint_configuration_and_settles(self) -> None:
        group = ByHand(*(member(each, random_below=(lambda _: 0) if each == "a" else lambda _: 900) for each in "abc"),
                       *(member(each, random_below=lambda _: 900) for each in "de"))  # fmt: skip
        leader = group.elect("a")
        assert leader.change("ade") is not None
        group.pass_ms(500)
        assert {raft.log.configuration.voters for raft in group.members.values() if raft.id in "ade"} == {
            ("a", "d", "e")
        }
        leader.propose(b"after")
        group.pass_ms(200)
        assert group.applied["d"] == group.applied["e"] == [b"after"]

    def test_a_second_change_waits_for_the_first(self) -> None:
        group = three()
        leader = group.elect("a")
        leader.change("ab")
        with pytest.raises(Backpressure, match="change of members before"):
            leader.change("abc")

    def test_a_leader_that_is_left_out_steps_down_when_that_is_committed(self) -> None:
        group = three()
        leader = group.elect("a")
        leader.change("bc")
        group.pass_ms(300)
        assert leader.role is Role.FOLLOWER
        assert group.members["b"].leader in ("b", "c")  # one of them was told to run at once

    def test_a_candidate_is_not_heeded_while_the_leader_is_heard(self) -> None:
        group = three()
        group.elect("a")
        follower = group.members["b"]
        follower.receive("c", VoteRequest(9, 9, 9), group.now_ms + 10)
        assert follower.term == 1
        assert not sent(follower)

    def test_learners_get_the_log_and_do_not_count(self) -> None:
        group = ByHand(member("a", "a", learners="b"), member("b", "a", learners="b"))
        leader = group.elect("a")
        group.cut = {"b"}
        leader.propose(b"x")
        group.deliver()
        assert group.applied["a"] == [b"x"]
        group.cut = set()
        group.pass_ms(500)
        assert group.applied["b"] == [b"x"]
        assert group.members["b"].role is Role.FOLLOWER


class TestTheThesis:
    def test_a_trial_raises_nobodys_term(self) -> None:
        """9.6"""
        group = three()
        group.elect("a")
        group.cut = {"b"}
        group.pass_ms(10_000)
        assert group.members["b"].role in (Role.TRIAL, Role.FOLLOWER)
        assert group.members["b"].term == 1
        group.cut = set()
        group.pass_ms(3000)
        assert group.members["a"].term == group.members["b"].term == 1

    def test_a_leader_that_no_majority_answers_steps_down(self) -> None:
        """6.2"""
        group = three()
        leader = group.elect("a")
        group.cut = {"b", "c"}
        group.pass_ms(2500)
        assert leader.role is not Role.LEADER
        assert leader.propose(b"x") is None

    def test_a_read_waits_for_a_beat_that_a_majority_answers(self) -> None:
        """6.4"""
        group = three()
        leader = group.elect("a")
        leader.propose(b"x")
        group.pass_ms(100)
        read_id = leader.read()
        assert group.reads["a"] == []
        group.pass_ms(50)
        assert group.reads["a"] == [(read_id, 2)]

    def test_a_read_is_lost_with_its_leader(self) -> None:
        group = three()
        leader = group.elect("a")
        group.pass_ms(100)
        group.cut = {"a"}
        read_id = leader.read()
        group.pass_ms(2500)
        assert (group.reads["a"], group.lost_reads["a"]) == ([], [read_id])

    def test_a_leader_hands_over_to_one_that_is_up_to_date_at_once(self) -> None:
        """3.10"""
        group = three()
        leader = group.elect("a")
        leader.propose(b"x")
        begun_ms = group.now_ms
        assert leader.hand_over("c", group.now_ms)
        assert leader.propose(b"y") is None
        group.deliver()
        assert group.members["c"].role is Role.LEADER
        assert group.now_ms == begun_ms

    def test_it_hands_over_to_no_stranger(self) -> None:
        group = three()
        with pytest.raises(InvalidArgument, match="z is no other voter"):
            group.elect("a").hand_over("z", group.now_ms)

    def test_a_follower_that_is_far_behind_gets_the_snapshot(self) -> None:
        """Paper 7"""
        group = three()
        leader = group.elect("a")
        group.cut = {"c"}
        for number in range(5):
            leader.propose(f"{number}".encode())
        group.deliver()
        leader.compact(leader.log.applied, b"the state")
        group.cut = set()
        group.pass_ms(1000)
        behind = group.members["c"]
        assert behind.log.snapshot.data == b"the state"
        assert behind.log.applied == leader.log.applied

    def test_an_old_leader_hears_which_term_it_is(self) -> None:
        raft = member(hard=HardState(5))
        raft.receive("b", Append(3, 0, 0, (), 0), 0)
        assert messages_to("b", sent(raft)) == [HeartbeatReply(5, 0)]

    def test_what_waits_to_be_committed_has_a_bound(self) -> None:
        group = three()
        leader = group.elect("a")
        group.cut = {"a"}
        for _ in range(16):
            leader.propose(bytes(1 << 20))
        with pytest.raises(Backpressure, match="wait to be committed"):
            leader.propose(bytes(1 << 20))
