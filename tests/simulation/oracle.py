"""What must hold, held against the simulated chain itself and not against our records of it."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from adapters.tron.codec import ProtobufCodec
from adapters.tron.protocol import address_to_hex, hex_to_address
from devnet.block import Block, Included
from devnet.network import Network
from devnet.token import encode_transfer_log
from devnet.transaction import Transaction
from models.caller import Caller
from models.money import Currency
from models.order import NewPayout
from models.pause import Pause
from models.payout import (
    LEGAL_MOVES,
    OPEN,
    TERMINAL,
    Payout,
    PayoutStatus,
    Reservation,
    has_success,
)
from models.permission import grants_of, parse_permission
from models.token import Target
from models.transaction import Attempt, AttemptState
from ports.store import Gate, PayoutQuery, Unexplained
from services.limits import keeps_reservation
from services.settlement import FROZEN_GATE
from tests.simulation.limits import LimitOracle
from tests.simulation.log import LogOracle
from tests.simulation.rules import Rules, batch_item
from tests.simulation.store import PAUSE_SECONDS, WatchedStore
from tests.simulation.violation import Violation, instantly

OPERATOR = Caller(subject="operator", role="ADMIN", grants=grants_of([parse_permission("*:*:all")]))
"""Who resolves and explains."""

SEALED = (
    "client",
    "order",
    "status",
    "status_reason",
    "created_at",
    "completed_at",
    "attempts",
    "txids",
    "history",
    "live_attempt",
    "linked_hit",
    "fingerprint",
    "idempotency_key",
)
"""What of a payout that has ended never changes."""

UNASKED = frozenset(PayoutStatus) - {PayoutStatus.CANCELLED}
"""Where nobody may bring a payout that does not wait for a decision."""

LATEST = timedelta(seconds=60)
"""So long after it was decided, at the latest, a change is written."""

UNPAID = frozenset({AttemptState.DEAD, AttemptState.FAILED_ON_CHAIN})


class Oracle:
    """Looks at the chain and at the store, directly; holds the one against the other."""

    def __init__(
        self,
        net: Network,
        store: WatchedStore,
        owners: Collection[str],
        usdt: str,
        limits: LimitOracle,
        rules: Rules,
    ) -> None:
        """`owners` are the wallets that pay."""
        self._net = net
        self._store = store
        self._owners = owners
        self._usdt = usdt
        self._limits = limits
        self._rules = rules
        self._before: dict[str, Payout] = {}
        self._judged = 0
        self.accepted: dict[str, Any] = {}
        self.cancelled: set[str] = set()
        self.thefts: set[str] = set()
        self.lied_to = False
        """Whether a node served a chain of its own: then a transfer may have been overlooked."""
        self.paid: dict[str, str] = {}
        """The txid of the solid transfer of each payout, as the ledger has it."""
        self.forgotten: dict[str, tuple[Payout, Attempt]] = {}
        """What was sent and a restored backup does not remember, by txid."""
        self.revoked: dict[str, float] = {}
        """When somebody was told that this token, or this subject's, count no more."""
        self.log = LogOracle(store)
        self.broken: Violation | None = None

    # told by the world

    def sent(self, tx: Transaction) -> None:
        """A transaction reached a node: the store must hold these very bytes, and the signature be
        the wallet's."""
        holders = instantly(self._store.list(PayoutQuery(txid=tx.txid), 2))
        known = [a for payout in holders for a in attempts_of(payout)]
        if tx.txid in self.forgotten:
            known.append(self.forgotten[tx.txid][1])  # on its way since before the restart
        attempt = next((a for a in known if a.txid == tx.txid and a.raw == tx.raw), None)
        if attempt is None:
            self.breach(f"{tx.txid} was sent and is not in the store")
        elif attempt.owner not in self._owners or not _signed_by(attempt.owner, tx):
            self.breach(f"{tx.txid} was sent with a signature that is not the wallet's")

    def breach(self, rule: str) -> None:
        """A rule is broken; the first one counts, at the next look."""
        self.broken = self.broken or Violation(rule)

    def was_accepted(
        self,
        client: Caller,
        payout: Payout,
        order: Any,
        asked_at: float | None,
        together: Sequence[Payout] = (),
    ) -> None:
        """A client was told that its payout is kept, which it asked for then; None if that was
        kept before. `together` are those of the same request that were taken before it."""
        self.accepted[payout.payout_id] = order
        if (payout.tenant, payout.client) != (client.tenant, client.subject):
            self.breach(f"{payout.payout_id} is not {client.name}'s, who was told of it")
        if asked_at is None:
            return
        self._check_taken(payout, asked_at, together)
        since = self._store.paused_since("intake", f"intake:{payout.order.currency}")
        if asked_at > since + PAUSE_SECONDS:
            self.breach(f"{payout.payout_id} was taken though that was paused at {since:.3f}")

    def _check_taken(self, payout: Payout, asked_at: float, together: Sequence[Payout]) -> None:
        """What held when somebody asked, is minded by the answer."""
        name, order = payout.payout_id, payout.order
        if self._store.must_stop(payout, asked_at) and payout.hold is None:
            self.breach(f"{name} was taken though its recipient is denied")
        address, at = order.recipient_address, payout.created_at
        level = self._store.best_level(address, asked_at, at)
        if level < self._rules.kyc_level(payout):
            self.breach(f"{name} was taken over {payout.route}, with KYC level {level}")
        known = [*self._store.known_before(asked_at), *together]
        if self._rules.bursts(payout, known) and payout.hold is None:
            self.breach(f"{name} was taken, and is one of too many to its recipient")

    def was_paused(self, client: Caller, request: NewPayout, asked_at: float) -> None:
        """A client was told to wait: not about a payout that was there when it asked."""
        if request.idempotency_key is None:
            return
        key = request.idempotency_key
        payout = instantly(self._store.find_by_key(client.subject, key, client.tenant))
        if payout is not None and self._store.arrived[payout.payout_id] < asked_at:
            self.breach(f"{payout.payout_id} was there, and its client told that intake is paused")

    def was_stopped(self, gate: str, asked_at: float) -> None:
        """A person was told that something stands still, and asked for that then."""
        if gate not in self._store.closed and self._store.opened.get(gate, -1.0) < asked_at:
            self.breach(f"{gate} is not stored, though a person was told so")

    def was_revoked(self, target: Target) -> None:
        """A person was told that a token, or a subject's, count no more."""
        self.revoked.setdefault(_name(target), asyncio.get_running_loop().time())

    def restored(self, backup: WatchedStore) -> None:
        """From now on the backup is the store; what came after it was taken is not known to it."""
        for payout in self.payouts():
            for attempt in attempts_of(payout):
                self.forgotten[attempt.txid] = payout, attempt
        self._store = backup
        self.log.restored(backup)
        remembered = instantly(backup.revocations.revocations(None, 1000))
        kept = {_name(revocation.target) for revocation in remembered}
        self.revoked = {name: at for name, at in self.revoked.items() if name in kept}
        self._before.clear()
        known = {payout.payout_id: payout for payout in self.payouts()}
        for payout in known.values():
            for txid in payout.txids:
                self.forgotten.pop(txid, None)
        self.accepted = {name: order for name, order in self.accepted.items() if name in known}
        self.cancelled = {
            name
            for name in self.cancelled & known.keys()
            if known[name].status is PayoutStatus.CANCELLED
        }

    def open_unexplained(self) -> Sequence[Unexplained]:
        """The transfers that wait for a person."""
        return instantly(self._store.unexplained(only_open=True, limit=100))

    def now(self) -> datetime:
        """The store's clock."""
        return instantly(self._store.now())

    def gates(self) -> Sequence[Gate]:
        """What is closed."""
        return instantly(self._store.gates())

    def paused(self, pauses: Iterable[Pause]) -> Sequence[Pause]:
        """Which of these hold."""
        return [pause for pause in pauses if pause.gate in self._store.closed]

    def is_built(self, payout: Payout) -> bool:
        """Whether a replica may be making an attempt of it."""
        return payout.lease is not None and payout.status is PayoutStatus.PENDING

    def builds(self, pause: Pause) -> bool:
        """Whether a payout is leased which a pause would stop."""
        return any(self.is_built(payout) for payout in self.payouts() if stops(pause, payout))

    def stirring(self, pause: Pause) -> Violation | None:
        """What a lasting pause lets go on, and has not come to its end."""
        for payout in self.payouts():
            name = payout.payout_id
            going_on = payout.status in OPEN and not stops(pause, payout)
            if payout.live_attempt is not None or going_on:
                return Violation(f"{name} still is {payout.status} while {pause}", name)
        return None

    def remembered_payout_of(self, txid: str) -> Payout | None:
        """The payout of a forgotten transfer, where the store still has it."""
        if txid not in self.forgotten:
            return None
        return instantly(self._store.get(self.forgotten[txid][0].payout_id))

    def payouts(self) -> list[Payout]:
        """Every payout there is, oldest first."""
        return [*reversed(instantly(self._store.list(PayoutQuery(), 1_000_000)))]

    # looks for itself

    def check(self) -> None:
        """Hold everything that must be true at every moment. Raises Violation."""
        if self._store.breach:
            self.breach(self._store.breach)
        if self.broken is not None:
            raise self.broken
        self._read_ledger()
        payouts = self.payouts()
        for payout in payouts:
            before = self._before.get(payout.payout_id)
            if before is not payout:
                self._check_record(payout, before)
                self._before[payout.payout_id] = payout
            self._check_chain(payout)
        self._check_accepted()
        self.log.check(self._before)
        self._check_keys(payouts)
        self._check_requests(payouts)
        self._limits.check(self._store, payouts)
        self._check_batches(payouts)
        for gate in instantly(self._store.gates()):
            if gate.name == FROZEN_GATE:
                raise Violation(f"an attempt was declared dead and was not: {gate.reason}")
        for transfer in instantly(self._store.unexplained(only_open=False, limit=1000)):
            if transfer.txid not in self.thefts and transfer.txid not in self.forgotten:
                raise Violation(f"{transfer.txid} was sent by us, and nobody remembers it")
        self._check_alarm()

    def check_end(self) -> None:
        """Hold what must be true when everything has come to rest. Raises Violation."""
        self.check()
        owed = self.owed()
        if owed is not None:
            raise owed
        payouts = self.payouts()
        for payout in payouts:
            name = payout.payout_id
            on_a_word = payout.history[-1].by == OPERATOR.name and not has_success(payout)
            completed, paid = payout.status is PayoutStatus.COMPLETED, self._is_paid(payout)
            if completed and not paid and not on_a_word:
                raise Violation(f"{name} is completed and was never paid", name)
            if paid and not keeps_reservation(payout):
                raise Violation(f"{name} is {payout.status} and was paid by us", name)
        self._check_sums(payouts)
        self.log.check_end(payouts)

    def owed(self) -> Violation | None:
        """What has not come to rest: the first of it, as the violation that it is in the end."""
        payouts = self.payouts()
        for payout in payouts:
            name = payout.payout_id
            if payout.status not in TERMINAL:
                why = payout.status_reason
                return Violation(f"{name} still is {payout.status} ({why})", name)
            if payout.reservation is Reservation.HELD:
                return Violation(f"the reservation of {name} is held for ever", name)
        return self._limits.owed(self._store, payouts) or self.log.owed(payouts)

    def _is_paid(self, payout: Payout) -> bool:
        """Whether a transfer that the store knows to be this payout's has paid it."""
        txid = self.paid.get(payout.payout_id)
        if txid is None or txid not in self.forgotten:
            return txid is not None
        return payout.linked_hit is not None and payout.linked_hit.txid == txid

    def _check_alarm(self) -> None:
        """What left the wallet without a payout is unexplained, once its block has been read."""
        read = instantly(self._store.cursor())
        began_at = self._store.began_at
        if read is None or began_at is None or self.lied_to:
            return
        for txid in (*self.thefts, *self.forgotten):
            found = self._net.chain.find(txid)
            if found is None or not began_at < found[0].number <= read.block.number:
                continue
            if instantly(self._store.find_unexplained(txid)) is None:
                raise Violation(f"{txid} left the wallet, and nobody was told")

    def _read_ledger(self) -> None:
        """Look at the blocks that became solid: each transfer is what one payout asks for."""
        while self._judged < self._net.solid.number:
            self._judged += 1
            for item in self._net.chain.blocks[self._judged].items:
                moves = [m for m in item.receipt.moves if _sender(m) in self._owners]
                if moves and item.tx.txid not in self.thefts:
                    self._judge(item, moves)

    def _judge(self, item: Included, moves: Iterable[Any]) -> None:
        txid = item.tx.txid
        found = instantly(self._store.list(PayoutQuery(txid=txid), 2))
        if txid in self.forgotten:
            found = [*found, self.forgotten[txid][0]]
        if len(found) != 1:
            raise Violation(f"{txid} moved money and belongs to {len(found)} payouts")
        payout = found[0]
        order, owner = payout.order, self._owner_of(txid, payout)
        wanted = [(owner, order.recipient_address, order.amount, str(order.currency))]
        moved = [
            (_sender(m), hex_to_address(m.recipient.hex()), m.amount, m.currency) for m in moves
        ]
        if moved != wanted:
            raise Violation(f"{txid} moved {moved}, not {wanted}", payout.payout_id)
        first = self.paid.setdefault(payout.payout_id, txid)
        if first != txid:
            raise Violation(
                f"{payout.payout_id} was paid twice, by {first} and {txid}", payout.payout_id
            )

    def _owner_of(self, txid: str, payout: Payout) -> str:
        """The wallet that an attempt is to pay from."""
        forgotten = [self.forgotten[txid][1]] if txid in self.forgotten else []
        return next(a.owner for a in (*attempts_of(payout), *forgotten) if a.txid == txid)

    def _check_record(self, payout: Payout, before: Payout | None) -> None:
        name = payout.payout_id
        attempts = attempts_of(payout)
        if tuple(attempt.txid for attempt in attempts) != payout.txids:
            raise Violation(f"{name}: txids and attempts differ", name)
        if (payout.live_attempt is not None) is not (payout.status is PayoutStatus.PROCESSING):
            raise Violation(f"{name} is {payout.status} and has live {payout.live_attempt}", name)
        unproven = {attempt.state for attempt in attempts} - UNPAID
        if payout.status is PayoutStatus.PENDING and unproven:
            raise Violation(f"{name} is to be paid, and an attempt of it is {unproven}", name)
        self._check_history(payout, before)
        wrong = self._rules.moved_wrongly(payout)
        if wrong:
            raise Violation(f"{name}: {wrong}", name)
        if before is None or before.status not in TERMINAL:
            return
        changed = [field for field in SEALED if getattr(before, field) != getattr(payout, field)]
        if changed:
            raise Violation(f"{name} had ended, and then {changed} changed", name)
        if before.reservation is not Reservation.HELD and payout.reservation != before.reservation:
            raise Violation(f"{name}: the reservation was ended twice", name)

    def _check_history(self, payout: Payout, before: Payout | None) -> None:
        name, history = payout.payout_id, payout.history
        if before is not None and history[: len(before.history)] != before.history:
            raise Violation(f"{name}: history was rewritten", name)
        if history[0].from_status is not None or history[-1].to_status is not payout.status:
            raise Violation(f"{name}: history does not lead to {payout.status}", name)
        for earlier, later in pairwise(history):
            legal = LEGAL_MOVES[earlier.to_status]
            stays = later.act is not None and later.to_status is earlier.to_status
            moved = later.to_status in legal or stays
            if later.from_status is not earlier.to_status or not moved:
                raise Violation(f"{name}: {earlier} cannot be followed by {later}", name)
            asked = earlier.to_status is PayoutStatus.NEEDS_REVIEW or payout.linked_hit is not None
            if later.by == OPERATOR.name and not asked and later.to_status in UNASKED:
                raise Violation(f"{name}: nobody was asked for {later}", name)
        if payout.status is PayoutStatus.NEEDS_REVIEW and payout.status_reason is None:
            raise Violation(f"{name} waits for a person who is not told why", name)

    def _check_chain(self, payout: Payout) -> None:
        """Each attempt is what its record says, and at most one of them can pay."""
        name = payout.payout_id
        able: list[str] = []
        for attempt in attempts_of(payout):
            found = self._net.chain.find(attempt.txid)
            able += [attempt.txid] * self._can_pay(attempt, found)
            if _is_as_recorded(attempt, found, self._net.solid):
                continue
            raise Violation(
                f"{name}: {attempt.txid} is recorded as {attempt.state}, and on the chain it is "
                f"{_told(found, self._net.solid)} (expiration {attempt.expiration_ms}, "
                f"solid time {self._net.solid.timestamp})",
                name,
            )
        forgotten = [
            txid
            for txid, (its, attempt) in self.forgotten.items()
            if its.payout_id == name and self._can_pay(attempt, self._net.chain.find(txid))
        ]
        if len(able) + len(forgotten) > 1:
            raise Violation(f"{name} can be or was paid by each of {able + forgotten}", name)
        if able and payout.status is PayoutStatus.CANCELLED and not keeps_reservation(payout):
            raise Violation(f"{name} is cancelled and can still be paid", name)
        if payout.status is PayoutStatus.COMPLETED:
            self._check_completed(payout)

    def _check_completed(self, payout: Payout) -> None:
        """The transfer is solid, and showed what was asked for, unless a person looked at it."""
        name = payout.payout_id
        if payout.history[-1].by == OPERATOR.name:
            return
        found = self._net.chain.find(self.paid.get(name, ""))
        if found is None:
            raise Violation(f"{name} is completed and no solid transfer paid it", name)
        order, logs = payout.order, found[1].receipt.logs
        asked = [
            encode_transfer_log(
                _bytes(self._usdt),
                _bytes(self._owner_of(self.paid[name], payout)),
                _bytes(order.recipient_address),
                order.amount,
            )
        ]
        if order.currency is Currency.USDT and list(logs) != asked:
            raise Violation(f"{name} is completed, and its events say something else", name)

    def _can_pay(self, attempt: Attempt, found: tuple[Block, Included] | None) -> bool:
        """Whether an attempt's bytes have paid, or still could."""
        if found is None:
            return self._net.head.timestamp < attempt.expiration_ms
        block, item = found
        return item.receipt.contract_ret == "SUCCESS" or block.number > self._net.solid.number

    def _check_accepted(self) -> None:
        for payout_id, order in self.accepted.items():
            payout = self._before.get(payout_id)
            if payout is None:
                raise Violation(f"{payout_id} was accepted and is gone", payout_id)
            if payout.order != order:
                raise Violation(f"{payout_id} is not what was accepted", payout_id)
        for payout_id in self.cancelled:
            if self._before[payout_id].status is not PayoutStatus.CANCELLED:
                raise Violation(f"{payout_id} was cancelled and then was not", payout_id)

    def _check_batches(self, payouts: Sequence[Payout]) -> None:
        """What was released before its batch's window ended was one of a full batch."""
        size = self._rules.policy.schedule.batch_size
        for payout in payouts:
            at = self._rules.early_release(payout)
            if at is None:
                continue
            window = payout.order.batch_window
            together = self._rules.gathered(payouts, window, at - LATEST, at)
            if together < size:
                name = payout.payout_id
                raise Violation(f"{name} was released at {at}, with {together} of {size}", name)

    def _check_keys(self, payouts: Sequence[Payout]) -> None:
        """A client's key makes one payout, for ever."""
        makers: dict[tuple[str | None, str, str], str] = {}
        for payout in payouts:
            if payout.idempotency_key is None:
                continue
            key = (payout.tenant, payout.client, payout.idempotency_key)
            other = makers.setdefault(key, payout.payout_id)
            if other != payout.payout_id:
                raise Violation(f"{other} and {payout.payout_id} have one key", other)

    def _check_requests(self, payouts: Sequence[Payout]) -> None:
        """What came in one request has one batch id, and nothing else has it."""
        ids: dict[tuple[str | None, str, str], str] = {}
        for payout in payouts:
            item, name = batch_item(payout), payout.payout_id
            if (item is None) is not (payout.batch_id is None):
                raise Violation(f"{name} has the batch {payout.batch_id}, and came as {item}", name)
            if item is not None:
                request = payout.tenant, payout.client, item[0]
                if ids.setdefault(request, payout.batch_id or "") != payout.batch_id:
                    raise Violation(f"{name} has another batch id than {ids[request]}", name)
        if len({*ids.values()}) != len(ids):
            raise Violation(f"requests have one batch id: {ids}")

    def _check_sums(self, payouts: Iterable[Payout]) -> None:
        """What each recipient got from us is what our records say, to the last unit."""
        ours: Counter[tuple[str, str]] = Counter()
        for payout in payouts:
            on_a_word = payout.history[-1].by == OPERATOR.name and not self._is_paid(payout)
            if keeps_reservation(payout) and not on_a_word:
                order = payout.order
                ours[order.recipient_address, str(order.currency)] += order.amount
        theirs: Counter[tuple[str, str]] = Counter()
        linked = {payout.linked_hit.txid for payout in payouts if payout.linked_hit}
        unknown = self.thefts | (self.forgotten.keys() - linked)
        for entry in self._net.ledger():
            if entry.sender in self._owners and entry.txid not in unknown:
                theirs[entry.recipient, entry.currency] += entry.amount
        if ours != theirs:
            raise Violation(f"records and ledger differ: {ours - theirs} and {theirs - ours}")


def _signed_by(owner: str, tx: Transaction) -> bool:
    try:
        return [ProtobufCodec().recover(tx.digest, each) for each in tx.signatures] == [owner]
    except ValueError:
        return False


def _sender(moved: Any) -> str:
    return hex_to_address(moved.sender.hex())


def _bytes(address: str) -> bytes:
    return bytes.fromhex(address_to_hex(address))


def attempts_of(payout: Payout) -> tuple[Attempt, ...]:
    """Every attempt, the live one last."""
    live = payout.live_attempt
    return payout.attempts if live is None else (*payout.attempts, live)


def stops(pause: Pause, payout: Payout) -> bool:
    """Whether a pause is for that payout too."""
    return pause.currency in (None, payout.order.currency) and (
        pause.wallet in (None, payout.wallet)
    )


def _is_as_recorded(attempt: Attempt, found: tuple[Block, Included] | None, solid: Block) -> bool:
    if attempt.state is AttemptState.LIVE:
        return True
    if attempt.state is AttemptState.DEAD:
        return found is None and solid.timestamp >= attempt.expiration_ms
    if found is None or found[0].number > solid.number:
        return False
    succeeded = found[1].receipt.contract_ret == "SUCCESS"
    return succeeded is (attempt.state is AttemptState.SETTLED)


def _told(found: tuple[Block, Included] | None, solid: Block) -> str:
    if found is None:
        return "in no block"
    place = "solid" if found[0].number <= solid.number else "not solid"
    return f"{found[1].receipt.contract_ret} in block {found[0].number} ({place})"


def _name(target: Target) -> str:
    """No token is named as a subject is."""
    return target.token_id or target.subject or ""
