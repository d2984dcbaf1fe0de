"""What the wallet can pay now: balances less everything that is still in flight.

Claims come first, then what is in flight, then the balance: read in this order, money can be
counted twice for a moment but never missed, however many replicas do the same.
"""

import asyncio
from collections.abc import Mapping, Sequence

from models.chain import Balances, Cursor, FeeRates, Simulation
from models.errors import Reason
from models.funds import Allotment, Cost, allot, attempt_cost, purse
from models.money import Currency
from models.payout import Payout
from models.policy import FeePolicy
from models.settlement import utc_day
from ports.chain import Chain
from ports.observer import Observer
from ports.store import Gate, PayoutStore
from services.attempts import AttemptBuilder
from services.gate import WALLET_GATE


class Funds:
    """Prices claimed payouts and tells which of them the wallet can pay."""

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

    async def allot(
        self, payouts: Sequence[Payout], token: str, cursor: Cursor, gates: Mapping[str, Gate]
    ) -> Allotment:
        """Which of the payouts claimed under `token` can be paid, at what cost, and why not.

        `gates` are the closed gates by wallet.

        Raises StoreError, ChainUnavailableError.
        """
        owner = self._builder.owner
        rates = await self._chain.fee_rates()
        exposure = await self._store.exposure(owner, token)
        balances = await self._chain.balances(owner)
        self._show(balances)
        gate = gates.get(owner)
        if gate is not None and not await self._reopened(gate, balances):
            why = Reason("P200", gate.reason)
            return Allotment((), tuple((payout, why) for payout in payouts))
        priced, refused = await self._price(payouts, rates)
        left = purse(
            balances,
            Balances(exposure.trx_sun, exposure.usdt),
            exposure.cost_sun + exposure.building * self._usual_cost(rates),
            self._fees.daily_ceiling_sun - burned_on(cursor, utc_day(cursor.block.time_ms)),
        )
        result = allot(priced, left, self._fees)
        return Allotment(result.paid, (*refused, *result.waiting))

    async def close_wallet(self, reason: str, payout: Payout) -> None:
        """Pay nothing from the wallet until it holds what this payout would take."""
        owner = self._builder.owner
        rates = await self._chain.fee_rates()
        amount = payout.order.amount
        in_trx = payout.order.currency is Currency.TRX
        await self._store.close_gate(
            WALLET_GATE + owner,
            reason,
            needs_trx_sun=self._usual_cost(rates) + (amount if in_trx else 0),
            needs_usdt=0 if in_trx else amount,
        )

    async def _reopened(self, gate: Gate, balances: Balances) -> bool:
        """Open a wallet's gate if the wallet holds what it needs."""
        if balances.trx_sun < (gate.needs_trx_sun or 0) or balances.usdt < (gate.needs_usdt or 0):
            return False
        await self._store.open_gate(gate.name)
        return True

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

    def _show(self, balances: Balances) -> None:
        self._observer.gauge("payout_wallet_balance_units", balances.usdt, currency="USDT")
        self._observer.gauge("payout_wallet_balance_units", balances.trx_sun, currency="TRX")


def burned_on(cursor: Cursor, day: str) -> int:
    """Sun that our wallets burned on that UTC day, in the blocks read so far."""
    return cursor.fees.burned_sun if cursor.fees.day == day else 0
