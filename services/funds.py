"""What the wallets can pay now: balances less everything that is still in flight.

Claims come first, then what is in flight, then the balance: read in this order, money can be
counted twice for a moment but never missed, however many replicas do the same.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from models.chain import Balances, Cursor, FeeRates, Simulation
from models.errors import Reason
from models.funds import Allotment, Cost, Purse, allot, attempt_cost, purse
from models.money import Currency
from models.payout import Payout
from models.policy import FeePolicy
from models.settlement import utc_day
from ports.chain import Chain
from ports.observer import Observer
from ports.store import Exposure, Gate, PayoutStore
from services.attempts import AttemptBuilder
from services.gate import WALLET_GATE

Exposures = Mapping[str | None, Exposure]


class Funds:
    """Prices claimed payouts and tells which of them their wallets can pay."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        chain: Chain,
        builder: AttemptBuilder,
        observer: Observer,
        fees: FeePolicy,
        preflight: bool,
    ) -> None:
        self._store = store
        self._chain = chain
        self._builder = builder
        self._observer = observer
        self._fees = fees
        self._preflight = preflight
        self._short: Mapping[str, Cursor | None] = {}

    async def reopen(self, gates: Mapping[str, Gate], cursor: Cursor | None) -> Sequence[str]:
        """Open the closed gates, given by wallet, of wallets of ours that are funded again; those
        that stay closed. A gate without needs is for a person to open.

        A wallet that was short at a cursor is looked at again once that has moved: only solid
        blocks fund it. Raises StoreError, ChainUnavailableError.
        """
        closed = []
        for wallet, gate in gates.items():
            if wallet not in self._builder.wallets:
                continue
            seen = (wallet, cursor) in self._short.items()
            if seen or not await self._reopened(wallet, gate):
                closed.append(wallet)
        self._short = dict.fromkeys(closed, cursor)
        return closed

    async def _reopened(self, wallet: str, gate: Gate) -> bool:
        if gate.needs_trx_sun is None and gate.needs_usdt is None:
            return False
        balances = await self._chain.balances(wallet)
        self._show(wallet, balances)
        if balances.trx_sun < (gate.needs_trx_sun or 0) or balances.usdt < (gate.needs_usdt or 0):
            return False
        await self._store.open_gate(gate.name)
        return True

    async def allot(self, payouts: Sequence[Payout], token: str, cursor: Cursor) -> Allotment:
        """Which of the payouts claimed under `token` can be paid, at what cost, and why not.

        Raises StoreError, ChainUnavailableError.
        """
        rates = await self._chain.fee_rates()
        exposures = await self._store.exposures(token)
        priced, refused = await self._price(payouts, rates)
        by_wallet: dict[str, list[tuple[Payout, Cost]]] = defaultdict(list)
        for payout, cost in priced:
            by_wallet[self._builder.owner_of(payout)].append((payout, cost))
        fees_left = self._fees_left(cursor, exposures, rates)
        paid: list[tuple[Payout, Cost]] = []
        waiting = [*refused]
        for wallet, group in by_wallet.items():
            left = await self._purse(wallet, exposures, rates, fees_left)
            result = allot(group, left, self._fees)
            fees_left -= sum(cost.max_cost_sun for _, cost in result.paid)
            paid += result.paid
            waiting += result.waiting
        return Allotment(tuple(paid), tuple(waiting))

    async def _purse(
        self, wallet: str, exposures: Exposures, rates: FeeRates, fees_left_sun: int
    ) -> Purse:
        """What a wallet may still promise."""
        taken = exposures.get(wallet, Exposure()) + exposures.get(None, Exposure())
        balances = await self._chain.balances(wallet)
        self._show(wallet, balances)
        return purse(
            balances,
            Balances(taken.trx_sun, taken.usdt),
            self._promised(taken, rates),
            fees_left_sun,
        )

    def _fees_left(self, cursor: Cursor, exposures: Exposures, rates: FeeRates) -> int:
        """Sun that all wallets together may still promise to burn today (the chain's UTC day)."""
        promised = sum(self._promised(taken, rates) for taken in exposures.values())
        burned = burned_on(cursor, utc_day(cursor.block.time_ms))
        return self._fees.daily_ceiling_sun - burned - promised

    def _promised(self, taken: Exposure, rates: FeeRates) -> int:
        return taken.cost_sun + taken.building * self._usual_cost(rates)

    async def close_wallet(self, reason: str, payout: Payout) -> None:
        """Pay nothing from the payout's wallet until it holds what this payout would take."""
        live = payout.live_attempt
        owner = self._builder.owner_of(payout) if live is None else live.owner
        rates = await self._chain.fee_rates()
        order = payout.order
        needs = Balances.taken_by(order.amount, order.currency, self._usual_cost(rates))
        await self._store.close_gate(
            WALLET_GATE + owner, reason, needs_trx_sun=needs.trx_sun, needs_usdt=needs.usdt
        )

    async def _price(
        self, payouts: Sequence[Payout], rates: FeeRates
    ) -> tuple[list[tuple[Payout, Cost]], list[tuple[Payout, Reason]]]:
        looks = await asyncio.gather(*(self._look(payout) for payout in payouts))
        priced: list[tuple[Payout, Cost]] = []
        refused: list[tuple[Payout, Reason]] = []
        for payout, (new_account, simulation) in zip(payouts, looks, strict=True):
            if simulation is not None and simulation.reverted:
                text = f"the token contract would refuse: {simulation.message or 'reverted'}"
                refused.append((payout, Reason("P207", text)))
                continue
            energy = None if simulation is None else simulation.energy
            cost = attempt_cost(payout, self._fees, rates, new_account=new_account, energy=energy)
            priced.append((payout, cost))
        return priced, refused

    async def _look(self, payout: Payout) -> tuple[bool, Simulation | None]:
        """What pricing needs from the chain: is it a new account, what would the contract do."""
        if payout.order.currency is Currency.TRX:
            return not await self._chain.is_activated(payout.order.recipient_address), None
        if not self._preflight:
            return False, None
        return False, await self._chain.simulate(self._builder.transfer(payout))

    def _usual_cost(self, rates: FeeRates) -> int:
        return self._fees.fee_limit_sun + rates.account_sun

    def _show(self, wallet: str, balances: Balances) -> None:
        for currency, units in (("USDT", balances.usdt), ("TRX", balances.trx_sun)):
            self._observer.gauge(
                "payout_wallet_balance_units", units, wallet=wallet, currency=currency
            )


def burned_on(cursor: Cursor, day: str) -> int:
    """Sun that our wallets burned on that UTC day, in the blocks read so far."""
    return cursor.fees.burned_sun if cursor.fees.day == day else 0
