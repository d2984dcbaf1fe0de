"""What one settled payout costs in node calls and in database commands: counted, not timed.

The real services run over the real MongoDB adapter and a devnet in this process. Time is virtual:
blocks come every 3 s, and every loop takes its turns at the intervals of
`config/payout-router-config.yaml`, so that the figures are those of the service as it is shipped,
and the same at every run.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from adapters.mongo.client import majority_database, open_client
from adapters.mongo.store import MongoPayoutStore
from config import Settings, load_settings
from devnet.devnet import Devnet
from devnet.settings import DevnetSettings
from models.compliance import RuleKind
from models.money import BASE_UNITS
from models.payout import PayoutStatus
from models.transaction import Attempt
from payout_router_main import HOUSEKEEPING_SECONDS, policies_of
from ports.store import Scope
from services.assembly import Policies
from services.limits import SWEEP_GROUP
from settings.router import RouterConfig
from tests.harness import House, open_house

BLOCK_SECONDS = 3.0
SOLID_LAG = 19
LONGEST_SECONDS = 600.0
"""Virtual seconds after which payouts that are not settled are a fault."""

Turn = Callable[[], Awaitable[object]]


class Commands(CommandListener):
    """Counts the commands that are sent inside `counted()`, by command and collection.

    The driver's heartbeats are no commands of ours; a listener does not see them.
    """

    def __init__(self) -> None:
        self._sent: Counter[str] | None = None

    @contextmanager
    def counted(self, sent: Counter[str]) -> Iterator[None]:
        """Count what is sent in this block, but for blocks within it that count for themselves."""
        before, self._sent = self._sent, sent
        try:
            yield
        finally:
            self._sent = before

    def started(self, event: CommandStartedEvent) -> None:
        """Count a command."""
        if self._sent is not None:
            target = event.command.get(event.command_name)
            words = [event.command_name, *([target] if isinstance(target, str) else [])]
            self._sent[" ".join(words)] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Counted already."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Counted already."""


_in_turn: ContextVar[bool] = ContextVar("in_turn", default=False)


class VirtualTime:
    """Turns at fixed intervals of a time that moves only when it is told to.

    What a turn does takes no time.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._turns: list[tuple[float, Turn]] = []
        self._due: list[float] = []
        self._moving = asyncio.Lock()

    def every(self, seconds: float, turn: Turn) -> None:
        """Take a turn after each interval. Of turns at the same moment the first added is first."""
        self._turns.append((seconds, turn))
        self._due.append(self.now + seconds)

    async def advance(self, seconds: float) -> None:
        """Move on, and take the turns that fall due on the way."""
        if _in_turn.get():
            return
        async with self._moving:
            end = self.now + seconds
            while (due := min(self._due)) <= end:
                self.now = due
                await self._take(self._due.index(due))
            self.now = end

    async def _take(self, place: int) -> None:
        interval, turn = self._turns[place]
        self._due[place] = self.now + interval
        mark = _in_turn.set(True)
        try:
            await turn()
        finally:
            _in_turn.reset(mark)


@dataclass(frozen=True, slots=True)
class Costs:
    """What was counted while `payouts` payouts were dispatched, settled and accounted for.

    `idle_commands` is what the same loops send in the same time with nothing to do. The audit
    log's commands stand apart: no payout waits for them.
    """

    payouts: int
    virtual_seconds: float
    node_calls: Mapping[str, int]
    commands: Mapping[str, int]
    idle_commands: int
    audit_commands: Mapping[str, int]

    @property
    def node_calls_each(self) -> float:
        """Node calls of every kind, as the devnet counted them, per settled payout."""
        return sum(self.node_calls.values()) / self.payouts

    @property
    def commands_each(self) -> float:
        """MongoDB commands of dispatcher, settler, reviewer and housekeeper per settled payout,
        above those that they send in any case."""
        return (sum(self.commands.values()) - self.idle_commands) / self.payouts


async def count_costs(
    mongodb_url: str,
    database: str,
    payouts: int,
    calls_a_second: float | None = None,
    *,
    token_blacklist: bool = False,
) -> Costs:
    """Costs of so many USDT payouts that are due at once, dispatched in groups as configured.

    `calls_a_second` spreads the broadcasts over time as the limiter of one endpoint does; None
    sends them in no time. The rule `token_blacklist`, which asks a node about each recipient, is
    off unless told otherwise. The database is dropped.
    """
    settings = shipped_settings()
    commands = Commands()
    client = open_client(mongodb_url, timeout_seconds=20, listeners=[commands])
    try:
        store = MongoPayoutStore(majority_database(client, database))
        await store.prepare()
        net = Devnet(DevnetSettings(solid_lag=SOLID_LAG))
        net.mine(SOLID_LAG + 1)
        policies = roomy(policies_of(settings))
        if not token_blacklist:
            policies = without_rule(RuleKind.TOKEN_BLACKLIST, policies)
        house = await open_house(net=net, store=store, policies=policies)
        await open_for_dispatch(house)
        for _ in range(payouts):
            await house.create(amount=BASE_UNITS)
        return await measure(Loops(house, settings.router, calls_a_second, commands), payouts)
    finally:
        await client.drop_database(database)
        client.close()


def shipped_settings() -> Settings:
    """The settings of `config/`, without anything from this process's environment."""
    return load_settings(
        {
            "MONGODB_URL": "mongodb://unused",
            "REDIS_URL": "redis://unused",
            "JWT_SECRET_KEY": "unused " * 8,
            "WALLET_ENCRYPTION_KEY": "unused " * 8,
            "TRON_NETWORK": "devnet",
            "TRON_RPC_URL": "http://unused",
            "LUCID_ENV": "development",
        }
    )


def roomy(policies: Policies) -> Policies:
    """The policies with a daily ceiling on fees that does not stop a bench of this size."""
    ceiling = 1_000_000 * BASE_UNITS
    return replace(policies, fees=replace(policies.fees, daily_ceiling_sun=ceiling))


def without_rule(kind: RuleKind, policies: Policies) -> Policies:
    """The policies without the rules of one kind."""
    rules = [rule for rule in policies.decisions.rules if rule.kind is not kind]
    return replace(policies, decisions=replace(policies.decisions, rules=rules))


async def open_for_dispatch(house: House) -> None:
    """Start as a service does, and let it read up to what was the head then."""
    await house.start()
    house.mine(SOLID_LAG)
    await house.read()
    await house.dispatch()
    if house.services.dispatcher.closed:
        raise RuntimeError(f"dispatch is closed: {house.services.dispatcher.closed}")


class Loops:
    """The loops of one process in virtual time, at the intervals of the configuration; what the
    sequencer sends is counted in `audited`."""

    def __init__(
        self,
        house: House,
        config: RouterConfig,
        calls_a_second: float | None,
        commands: Commands,
    ) -> None:
        self.house = house
        self.commands = commands
        self.audited: Counter[str] = Counter()
        self.time = VirtualTime()
        # How long a group took to build decides whether the gates are looked at again, and how old
        # figures of routes are whether they are counted anew.
        start = asyncio.get_running_loop().time()
        house.services.dispatcher.seconds = lambda: start + self.time.now
        house.services.deciding.seconds = lambda: start + self.time.now
        self._poll_seconds = config.dispatch.poll_seconds
        self.time.every(BLOCK_SECONDS, self._mine)
        self.time.every(config.settle.poll_seconds, self._settle)
        self.time.every(config.settle.review_seconds, self._review)
        self.time.every(HOUSEKEEPING_SECONDS, self._keep_house)
        self.time.every(config.audit.poll_seconds, self._log)
        if calls_a_second is not None:
            self._pace_broadcasts(1 / calls_a_second)

    async def dispatch(self) -> None:
        """One turn of the dispatcher, and its pause if no full group was there."""
        if not await self.house.services.dispatcher.run_group():
            await self.time.advance(self._poll_seconds)

    async def _mine(self) -> None:
        self.house.net.mine(1)

    async def _settle(self) -> None:
        while await self.house.services.settlement.advance():
            pass

    async def _keep_house(self) -> None:
        while await self.house.services.housekeeping.run() >= SWEEP_GROUP:
            pass

    async def _log(self) -> None:
        with self.commands.counted(self.audited):
            while await self.house.services.sequencer.run():
                pass

    async def _review(self) -> None:
        await self.house.services.settlement.review()

    def _pace_broadcasts(self, seconds: float) -> None:
        send = self.house.chain.broadcast

        async def paced(attempt: Attempt) -> str:
            await self.time.advance(seconds)
            return await send(attempt)

        self.house.chain.broadcast = paced  # type: ignore[method-assign]


async def measure(loops: Loops, payouts: int) -> Costs:
    """Count until every payout is settled and accounted for, then for as long with nothing to do.

    Raises RuntimeError after LONGEST_SECONDS.
    """
    net, time = loops.house.net, loops.time
    sent: Counter[str] = Counter()
    idle: Counter[str] = Counter()
    net.reset_calls()
    while not await all_settled(loops.house):
        if time.now > LONGEST_SECONDS:
            raise RuntimeError(f"not settled after {LONGEST_SECONDS:g} virtual seconds")
        with loops.commands.counted(sent):
            await loops.dispatch()
    seconds, calls = time.now, Counter(net.calls()["nodes"][0])
    audited = Counter(loops.audited)
    while time.now < 2 * seconds:
        with loops.commands.counted(idle):
            await loops.dispatch()
    return Costs(payouts, seconds, calls, sent, idle.total(), audited)


async def all_settled(house: House) -> bool:
    """Whether every payout is completed, and what it reserved of the limits is settled."""
    totals = await house.store.totals(Scope())
    done = all(total.status is PayoutStatus.COMPLETED for total in totals)
    return done and not await house.store.to_release(1)
