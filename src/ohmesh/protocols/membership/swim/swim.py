"""One member of a SWIM group, as a machine without network or clock.

    swim.join(addresses)   swim.receive(packet, now_ms)   swim.tick(now_ms)   swim.leave(now_ms)
    for packet in swim.take(): ...        for change in swim.take_changes(): ...

The driver sends what `take` gives and ticks at `swim.due_ms` at the latest. Views are large: they go over a stream
where packets go over datagrams. Nothing here needs an answer to go on.
"""

from __future__ import annotations

from collections.abc import Iterable

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.membership.swim.awareness import Awareness
from ohmesh.protocols.membership.swim.dissemination import Rumours
from ohmesh.protocols.membership.swim.members import Member, Members
from ohmesh.protocols.membership.swim.messages import (
    Ack,
    Alive,
    Change,
    Dead,
    Known,
    Message,
    Nack,
    News,
    Packet,
    Ping,
    PingFor,
    Standing,
    Suspect,
    View,
)
from ohmesh.protocols.membership.swim.probing import Errand, Probe, Round
from ohmesh.protocols.membership.swim.random_below import RandomBelow
from ohmesh.protocols.membership.swim.settings import SwimSettings
from ohmesh.protocols.membership.swim.suspicion import Suspicion

MESSAGE_BYTES = 64
NACK_SHARE = 0.8
"""A nack is sent after this share of the timeout, so that it arrives before the probe ends."""


class Swim:
    """`own`: how it names itself, and where it is reached. `incarnation` above every earlier life's, where that is
    known; where it is not, others tell us what they heard, and we go above it."""

    def __init__(
        self, own: Alive, settings: SwimSettings, random_below: RandomBelow, *, now_ms: float = 0.0
    ) -> None:
        if len(own.meta) > settings.meta_bytes:
            raise InvalidArgument(
                f"{len(own.meta)} bytes are said of {own.member}, at most {settings.meta_bytes} fit beside other news.",
                hint="Say a key or a hash, and let others fetch the rest.",
            )
        self.settings = settings
        self.members = Members(random_below)
        self.awareness = Awareness(settings.patience)
        self._random_below = random_below
        self._own = own
        self._is_leaving = False
        self._seeds: tuple[str, ...] = ()
        self._rumours = Rumours()
        self._round = Round(random_below)
        self._suspicions: dict[str, Suspicion] = {}
        self._probe: Probe | None = None
        self._errands: dict[int, Errand] = {}
        self._number = 0
        self._packets: list[Packet] = []
        self._changes: list[Change] = []
        # Members that started together do not ask together.
        self._probe_ms = now_ms + random_below(settings.period_ms)
        self._gossip_ms = now_ms + random_below(settings.gossip_ms)
        self._exchange_ms = now_ms + random_below(settings.period_ms)
        self._alive(own, now_ms)

    @property
    def id(self) -> str:
        return self._own.member

    @property
    def incarnation(self) -> int:
        return self._own.incarnation

    @property
    def due_ms(self) -> float:
        times = [self._gossip_ms, self._exchange_ms, self._probe.due_ms if self._probe else self._probe_ms]
        times += [each.due_ms for each in self._suspicions.values()]
        times += [each.due_ms for each in self._errands.values()]
        return min(times)

    def join(self, addresses: Iterable[str]) -> None:
        """Exchange views with whoever lives there; while we know nobody they are asked again each period."""
        self._seeds = tuple(addresses)
        for address in self._seeds:
            self._packets.append(Packet(address, View(self.id, self.members.view(), True)))

    def recall(self, rows: Iterable[Known], now_ms: float) -> None:
        """What an earlier life knew, to begin with: those are asked, and nobody is told."""
        for row in rows:
            if (
                row.member != self.id
                and self.members.get(row.member) is None
                and row.standing is Standing.ALIVE
            ):
                self.members.add(
                    Member(row.member, row.address, row.meta, row.incarnation, Standing.ALIVE, now_ms, now_ms)
                )
                self._round.add(row.member)

    def leave(self, now_ms: float) -> None:
        """Tell everybody; the driver goes on for as long as telling takes, then stops."""
        self._is_leaving = True
        self._dead(Dead(self.id, self.incarnation, self.id), now_ms)

    def say(self, meta: bytes, now_ms: float) -> None:
        """Something else is to be known of us from now on."""
        self._own = Alive(self.id, self.incarnation + 1, self._own.address, meta)
        self._alive(self._own, now_ms)

    def standing(self, member: str) -> Standing | None:
        known = self.members.get(member)
        return known.standing if known is not None else None

    @property
    def has_told(self) -> bool:
        """Everything there was to tell has been told often enough."""
        return not self._rumours

    def take(self) -> list[Packet]:
        packets, self._packets = self._packets, []
        return packets

    def take_changes(self) -> list[Change]:
        changes, self._changes = self._changes, []
        return changes

    # -- time

    def tick(self, now_ms: float) -> None:
        for member, suspicion in [each for each in self._suspicions.items() if each[1].due_ms <= now_ms]:
            self._dead(Dead(member, suspicion.incarnation, self.id), now_ms)
        for number, errand in [each for each in self._errands.items() if each[1].due_ms <= now_ms]:
            if now_ms >= errand.ends_ms:
                del self._errands[number]
            else:
                errand.has_nacked = True
                self._send(errand.address, Nack(errand.number, self.id))
        if self._probe is not None and now_ms >= self._probe.due_ms:
            self._go_on_asking(self._probe, now_ms)
        if self._probe is None and now_ms >= self._probe_ms:
            self._ask_next(now_ms)
        if now_ms >= self._gossip_ms:
            self._gossip_ms = now_ms + self.settings.gossip_ms
            self._gossip(now_ms)
        if now_ms >= self._exchange_ms:
            is_alone = self.members.here <= 1 and self._seeds
            every_ms = self.settings.exchange_every_ms(self.members.here)
            self._exchange_ms = now_ms + (self.settings.period_ms if is_alone else every_ms)
            self._exchange()
            if is_alone:
                self.join(self._seeds)

    def _ask_next(self, now_ms: float) -> None:
        self._probe_ms = now_ms + self.awareness.stretched(self.settings.period_ms)
        for gone in self.members.forget_dead(now_ms - self.settings.remember_ms):
            self._rumours.drop(gone)
        self.members.forget_lost(self.settings.members)
        target = self._round.next(self.members, self.id)
        if target is None:
            return
        self._number += 1
        asks_others_ms = now_ms + self.awareness.stretched(self.settings.timeout_ms)
        self._probe = Probe(self._number, target.id, asks_others_ms, self._probe_ms)
        ping = Ping(self._number, target.id, self._own.address)
        if target.standing is Standing.SUSPECT:
            # Whom we suspect hears it first, so that it can speak up (Lifeguard, section 5).
            self._send(target.address, ping, Suspect(target.id, target.incarnation, self.id))
        else:
            self._send(target.address, ping)

    def _go_on_asking(self, probe: Probe, now_ms: float) -> None:
        target = self.members.get(probe.target)
        if probe.is_acked or target is None or not target.is_here or now_ms >= probe.ends_ms:
            self._probe = None
            if target is not None and target.is_here:
                self.awareness.change(probe.awareness_change)
                is_new = now_ms - target.joined_ms < self.settings.grace_ms
                if not probe.is_acked and not is_new:
                    self._suspect(Suspect(target.id, target.incarnation, self.id), now_ms)
            return
        helpers = self.members.some(
            self.settings.indirect, lambda each: each.is_here and each.id not in (self.id, target.id)
        )
        probe.has_asked_others, probe.nacks_wanted = True, len(helpers)
        for helper in helpers:
            self._send(helper.address, PingFor(probe.number, target.id, target.address, self._own.address))

    def _gossip(self, now_ms: float) -> None:
        if not self._rumours:
            return
        oldest_ms = now_ms - self.settings.remember_ms
        listeners = self.members.some(
            self.settings.fanout,
            lambda each: each.id != self.id and (each.is_here or each.changed_ms >= oldest_ms),
        )
        for listener in listeners:
            news = self._news(self.settings.packet_bytes)
            if not news:
                return
            self._packets.append(Packet(listener.address, None, news))

    def _exchange(self) -> None:
        """With one who is here, and with one who was: after a partition both sides have forgotten each other."""
        view = View(self.id, self.members.view(), True)
        for other in self.members.some(1, lambda each: each.is_here and each.id != self.id):
            self._packets.append(Packet(other.address, view))
        lost = self.members.somebody_lost()
        if lost is not None:
            self._packets.append(Packet(lost, view))

    # -- what comes in

    def receive(self, packet: Packet, now_ms: float) -> None:
        self._receive_message(packet.message, now_ms)
        for news in packet.news:
            self.learn(news, now_ms)

    def learn(self, news: News, now_ms: float) -> None:
        match news:
            case Alive():
                self._alive(news, now_ms)
            case Suspect():
                self._suspect(news, now_ms)
            case Dead():
                self._dead(news, now_ms)

    def _receive_message(self, message: Message | None, now_ms: float) -> None:
        match message:
            case Ping():
                if message.target == self.id:
                    self._send(message.reply_to, Ack(message.number, self.id))
                    if self.members.here <= 1:
                        self.join([message.reply_to])  # whoever asks knows somebody
            case PingFor():
                self._number += 1
                settings = self.settings
                nack_ms = now_ms + NACK_SHARE * settings.timeout_ms
                self._errands[self._number] = Errand(
                    message.reply_to, message.number, nack_ms, now_ms + settings.period_ms
                )
                self._send(message.address, Ping(self._number, message.target, self._own.address))
            case Ack():
                errand = self._errands.pop(message.number, None)
                if errand is not None:
                    self._send(errand.address, Ack(errand.number, message.source))
                elif self._probe is not None and self._probe.number == message.number:
                    self._probe.is_acked = True
            case Nack():
                if self._probe is not None and self._probe.number == message.number:
                    self._probe.nacks += 1
            case View():
                self._merge(message, now_ms)
            case None:
                pass

    def _merge(self, view: View, now_ms: float) -> None:
        """What another holds for dead is only suspected here, so that it can still speak up."""
        for row in view.rows:
            self._merge_row(row, view.source, now_ms)
        if view.is_question:
            self._reply_whole(view)

    def _merge_row(self, row: Known, source: str, now_ms: float) -> None:
        match row.standing:
            case Standing.ALIVE:
                self._alive(Alive(row.member, row.incarnation, row.address, row.meta), now_ms)
            case Standing.LEFT:
                self._dead(Dead(row.member, row.incarnation, row.member), now_ms)
            case Standing.SUSPECT | Standing.DEAD:
                if self.members.get(row.member) is None and row.standing is Standing.SUSPECT:
                    self._alive(Alive(row.member, row.incarnation, row.address, row.meta), now_ms)
                self._suspect(Suspect(row.member, row.incarnation, source), now_ms)

    def _reply_whole(self, view: View) -> None:
        asker = self.members.get(view.source)
        if asker is not None:
            self._packets.append(Packet(asker.address, View(self.id, self.members.view(), False)))

    # -- news

    def _alive(self, news: Alive, now_ms: float) -> None:
        known = self.members.get(news.member)
        if known is None:
            if len(self.members) >= self.settings.members:
                return
            member = Member(
                news.member, news.address, news.meta, news.incarnation, Standing.ALIVE, now_ms, now_ms
            )
            self.members.add(member)
            if news.member != self.id:
                self._round.add(news.member)
            self._tell(member, news)
            return
        if news.member == self.id and news.incarnation > known.incarnation and news != self._own:
            self._refute(news.incarnation, now_ms)  # an earlier life of ours is still told of
            return
        if news.incarnation <= known.incarnation:
            if not known.is_here and news.incarnation < known.incarnation:
                # It does not know what is held against it, or it would have gone above it: tell it along once more.
                self._rumours.add(Dead(known.id, known.incarnation, self.id))
            return
        if not known.is_here:
            known.joined_ms = now_ms
            self._round.add(known.id)
        known.address, known.meta, known.incarnation = news.address, news.meta, news.incarnation
        self._suspicions.pop(known.id, None)
        self.members.change(known, Standing.ALIVE, now_ms)
        self._tell(known, news)

    def _suspect(self, news: Suspect, now_ms: float) -> None:
        known = self.members.get(news.member)
        if known is None or news.incarnation < known.incarnation:
            return
        if news.member == self.id:
            self._refute(news.incarnation, now_ms)
            return
        suspicion = self._suspicions.get(known.id)
        if suspicion is not None and news.incarnation == suspicion.incarnation:
            if suspicion.confirm(news.accuser):
                self._rumours.add(news)
            return
        if not known.is_here:
            return
        known.incarnation = news.incarnation
        self._begin_suspicion(known, news, now_ms)

    def _begin_suspicion(self, known: Member, news: Suspect, now_ms: float) -> None:
        others = self.members.here - 2  # without us and the accused
        wanted = min(self.settings.confirmations, (others + 1) // 2)
        least_ms = self.settings.suspicion_ms(self.members.here)
        self._suspicions[known.id] = Suspicion(
            now_ms, news.incarnation, wanted, least_ms, least_ms * self.settings.slowest, {news.accuser}
        )
        self.members.change(known, Standing.SUSPECT, now_ms)
        self._tell(known, news)
        # Twice as many as are wanted ask for themselves at once: they confirm it, or it hears what is said of it.
        if news.accuser != self.id and self._random_below(max(1, self.members.here)) < 2 * wanted:
            self._round.hasten(known.id)

    def _dead(self, news: Dead, now_ms: float) -> None:
        known = self.members.get(news.member)
        if known is None or news.incarnation < known.incarnation:
            return
        has_left = news.accuser == news.member
        is_correction = (
            has_left and known.standing is Standing.DEAD
        )  # it was thought dead, and had said that it goes
        if not known.is_here and not is_correction:
            return
        if news.member == self.id and not self._is_leaving:
            self._refute(news.incarnation, now_ms)
            return
        self._suspicions.pop(known.id, None)
        known.incarnation = news.incarnation
        self.members.change(known, Standing.LEFT if has_left else Standing.DEAD, now_ms)
        self._tell(known, news)

    def _refute(self, incarnation: int, now_ms: float) -> None:
        """We are here; whoever is suspected was slow, so our own health is in doubt (Lifeguard, section 3)."""
        if self._is_leaving:
            return
        self.awareness.change(1)
        known = self.members.get(self.id)
        assert known is not None
        self._own = Alive(self.id, max(incarnation, self.incarnation) + 1, self._own.address, self._own.meta)
        known.incarnation = self.incarnation
        self.members.change(known, Standing.ALIVE, now_ms)
        self._rumours.add(self._own)

    def _tell(self, member: Member, news: News) -> None:
        self._rumours.add(news)
        self._changes.append(
            Change(member.id, member.standing, member.address, member.meta, member.incarnation)
        )

    # -- packets

    def _news(self, room_bytes: int) -> tuple[News, ...]:
        return self._rumours.take(room_bytes, self.settings.transmissions(self.members.here))

    def _send(self, address: str, message: Message, *first: News) -> None:
        news = self._news(self.settings.packet_bytes - MESSAGE_BYTES)
        self._packets.append(Packet(address, message, (*first, *news)))
