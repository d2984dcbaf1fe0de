"""One world from its first second to its last: the real router, several times, over a store and a
chain of its own, through a storm of faults and a calm after it.

`run_seed` is the whole of it: the same seed gives the same world, call for call.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any

import structlog

from adapters.memory.signals import LocalLocks, LocalWakeups
from adapters.redis.tokens import NOT_FOUND_SECONDS, CachedRevocations
from adapters.tron.codec import ProtobufCodec
from adapters.tron.protocol import transaction_bytes
from devnet.network import Network
from devnet.transaction import Transaction
from models.money import BASE_UNITS
from models.payout import OPEN, PayoutStatus
from models.transaction import Attempt, AttemptState
from services.assembly import Ports, Services, assemble
from services.ids import payout_id
from tests.simulation import faults
from tests.simulation.cache import Cache, CacheClient
from tests.simulation.checkers import Checkers
from tests.simulation.clients import BatchClient, Client
from tests.simulation.events import HAPPEN
from tests.simulation.intruder import REVOKED_SECONDS, TOKENS, Intruder
from tests.simulation.liar import BROADCAST, Lies, OtherChain
from tests.simulation.limits import LimitOracle
from tests.simulation.loop import SpinningError, VirtualLoop
from tests.simulation.nodes import chain_of
from tests.simulation.oracle import Oracle, stops
from tests.simulation.person import Person
from tests.simulation.policies import RECIPIENTS, ROLES, SIGNERS
from tests.simulation.ports import Act, Host, port
from tests.simulation.rules import EPOCH, SCHEDULER, Rules, moves_of
from tests.simulation.scenario import Scenario, draw_scenario, seeded
from tests.simulation.store import WatchedStore
from tests.simulation.violation import Violation
from workers.dispatcher import dispatch_loop
from workers.housekeeper import housekeeping_loop
from workers.scheduler import scheduler_loop
from workers.sequencer import archive_loop, head_loop, sequence_loop
from workers.settler import review_loop, settle_loop

CALM_LATENCY = 0.02
CALM_SECONDS = 900.0
"""So long after the storm everything must have come to its end."""

ORPHANS_SECONDS = 700.0
"""The store's clock goes on by so much at the end, so that reservations of payouts that never
arrived are old enough to be undone."""

LAST_BLOCKS = 6
"""At least so many blocks pass after that: every replica's housekeeper has had its turn."""

SHORTLY_SECONDS = 10.0
"""So long before a batch's window ends nothing moves the clock on but time itself."""

DOWN_SECONDS = 2.0
"""So long nothing runs while a backup is put in place of the store."""

DURATIONS = {"pause": (1.0, 25.0), "late": (0.5, 30.0), "slow": (1.0, 12.0)}

_host_skew: ContextVar[float] = ContextVar("host_skew", default=0.0)


@dataclass(slots=True)
class Result:
    """What became of one world."""

    seed: int
    ok: bool
    problem: str
    trace_hash: str
    fired: Counter[str]
    figures: Counter[str]
    story: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trace; `about` is what a reader of a failure wants to see besides."""

    at: float
    host: str
    what: str
    about: Any = None

    def __str__(self) -> str:
        return f"{self.at:10.3f}  {self.host:6} {self.what}"


class World:
    """Everything there is, and what can be asked of it by the ports, the events and the clients."""

    def __init__(
        self, scenario: Scenario, plan: faults.Plan, rates: faults.Rates, random_of: Any
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._random_of = random_of
        self._network_draw: Random = random_of("latency")
        self._choices: Random = random_of("choices")
        self._ids: Random = random_of("ids")
        self._rates = rates
        self.scenario = scenario
        self.plan = plan
        self.over = False
        self.calm = False
        self.trace: list[Entry] = []
        self.fired = rates.fired
        self.net = Network(scenario.devnet)
        self.policies = replace(scenario.policies, known_genesis=self.net.genesis_id)
        self.signers = SIGNERS
        if scenario.rich is not None:
            self.net.fund(SIGNERS[scenario.rich].address, token_units=10**6 * BASE_UNITS)
        self.store_ahead = 0.0
        policies = self.policies
        wallets = [signer.address for signer in self.signers]
        rules = Rules(policies.decisions, wallets[0], scenario.batch_items)
        self.store = WatchedStore(self._store_now, rules)
        self.oracle = Oracle(
            self.net,
            self.store,
            wallets,
            policies.usdt_contract,
            LimitOracle(policies.spending, ROLES),
            rules,
        )
        self.locks: dict[str, tuple[str, float]] = {}
        self.cache = Cache(self._loop.time)
        self.store_down_until = 0.0
        self.nodes_down_until = [0.0] * scenario.devnet.nodes
        self.lies: dict[int, Lies] = {}
        if "other_chain" in rates.situations and scenario.devnet.nodes > 1:
            self.lies[scenario.devnet.nodes - 1] = OtherChain(scenario.devnet, self.oracle.breach)
        self.chain_stops_until = 0.0
        self.bells: dict[int, LocalWakeups] = {}
        self.serving: dict[int, tuple[Host, Services]] = {}
        self.hosts: list[Host] = []
        self.person = Person(self._some_host, self.oracle, wallets)
        self.checkers = Checkers(self._some_host, self.oracle)
        self.intruder = Intruder(self._some_host, self.oracle)
        self.under_way = 0
        self._backup_returns = False
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._own: list[asyncio.Task[Any]] = []

    # what the ports ask

    def latency(self) -> tuple[float, float]:
        draw = self._network_draw
        if draw.random() < self.scenario.immediate:
            return 0.0, 0.0
        usual = CALM_LATENCY if self.calm else self.scenario.latency
        seconds = draw.random() ** 3 * usual * 4
        return (seconds, 0.0) if draw.random() < 0.5 else (0.0, seconds)

    def arrives(self) -> bool:
        return self._choices.random() < 0.5

    def duration(self, kind: str) -> float:
        return self._choices.uniform(*DURATIONS[kind])

    def choose(self, options: Sequence[Any]) -> Any:
        return self._choices.choice(options)

    def note(self, host: str, port_name: str, method: str, kind: str | None, args: Any) -> None:
        what = f"{port_name}.{method}"
        if kind is not None:
            self.fired[kind] += 1
            what = f"{what}  *** {kind} ***"
        self.trace.append(Entry(self._loop.time(), host, what, args))

    def later(self, seconds: float, act: Act) -> None:
        async def arrive() -> None:
            try:
                await asyncio.sleep(seconds)
                if not self.over:
                    await act()
            finally:
                self.under_way -= 1

        self.under_way += 1
        self._keep(self._loop.create_task(arrive()))

    # what the events ask

    def let(self, work: Coroutine[Any, Any, Any]) -> None:
        self._keep(self._loop.create_task(work)).add_done_callback(self._check_actor)

    def back_up(self, returns_after: float) -> bool:
        if self._backup_returns or self.store.began_at is None:
            return False
        self._backup_returns = True
        self.later(returns_after, partial(self._restore, self.store.copy()))
        return True

    async def _restore(self, backup: WatchedStore) -> None:
        """Everything is stopped, and starts anew on the backup, in quarantine."""
        self._may_start.clear()
        for host in self.hosts:
            host.crash()
        await asyncio.sleep(DOWN_SECONDS)
        self.oracle.restored(backup)
        self.store = backup
        self.policies = replace(self.policies, quarantine=True)
        self._note("world", "*** the backup is the store ***")
        for _, attempt in self.oracle.forgotten.values():
            self.later(self._choices.uniform(0, 30), partial(self._arrive_late, attempt))
        self._backup_returns = False
        self._may_start.set()

    def store_is_down(self) -> bool:
        return self._loop.time() < self.store_down_until

    def node_is_down(self, number: int) -> bool:
        return self._loop.time() < self.nodes_down_until[number]

    async def _arrive_late(self, attempt: Attempt) -> None:
        """Some node had a forgotten transaction all along, and relays it now."""
        wire = transaction_bytes(attempt.raw, [attempt.signature])
        self.net.nodes[0].broadcast(Transaction.parse(wire), BROADCAST)

    # its life

    async def live(self) -> None:
        """A storm, a calm, and the end. Raises Violation."""
        to = self._some_host, self.oracle
        clients: list[Client | BatchClient] = [
            *(Client(wish, *to) for wish in self.scenario.wishes),
            *(BatchClient(wish, *to) for wish in self.scenario.batches),
        ]
        for number in range(self.scenario.replicas):
            self._keep(self._loop.create_task(self._keep_running(number)))
        asking = [self._keep(self._loop.create_task(client.run())) for client in clients]
        for task in asking:
            task.add_done_callback(self._check_actor)
        self._keep(self._loop.create_task(self._let_happen()))
        while self._loop.time() < self.scenario.storm:
            await self._block()
        self._calm_down()
        self.let(self.person.look_after())
        self.let(self.checkers.look_after())
        if "ends_paused" in self._rates.situations:
            await self._rest_under_a_pause()
        await self._blocks_until(lambda: all(task.done() for task in asking))
        await self._end_of_a_token()
        self.store_ahead += ORPHANS_SECONDS
        for _ in range(LAST_BLOCKS):
            await self._block()
        await self._blocks_until(lambda: self.oracle.owed() is None)
        self.oracle.check_end()

    async def _rest_under_a_pause(self) -> None:
        """Part of dispatch stands still, until everything else has come to its end. Raises
        Violation."""
        draw, person = self._random_of("the pause at the end"), self.person
        kept = person.keeps = draw.choice(person.dispatch_pauses)
        while not await person.pause(kept):
            await self._block()
        by = self._loop.time() + CALM_SECONDS
        while left := self.oracle.stirring(kept):
            if self._loop.time() > by:
                raise left
            self._go_on_to_a_window_s_end()
            await self._block()
        person.keeps = None

    async def _end_of_a_token(self) -> None:
        """Everything works, and then tokens that everybody knows count no more.

        A revocation that Redis did not hear of holds when what Redis remembered has run out.
        """
        await asyncio.sleep(NOT_FOUND_SECONDS)
        await self.intruder.knock_everywhere(self._serving())
        await self.person.revoke(TOKENS[0], self._random_of("the last token"))
        await asyncio.sleep(REVOKED_SECONDS)
        await self.intruder.knock_everywhere(self._serving())

    async def _blocks_until(self, rests: Callable[[], bool]) -> None:
        """Go on until nothing is under way and that holds, but not for ever."""
        by = self._loop.time() + CALM_SECONDS
        while (self._unfinished() or not rests()) and self._loop.time() < by:
            self._go_on_to_a_window_s_end()
            await self._block()

    async def _block(self) -> None:
        """One block interval: a block, unless the chain stands still, and a look at everything."""
        await asyncio.sleep(self.scenario.devnet.block_interval_ms / 1000)
        now = self._loop.time()
        if now >= self.chain_stops_until:
            moment = self.scenario.devnet.genesis_ms + round(now * 1000)
            block = self.net.mine(1, moment)
            self._note("chain", f"block {block.number} {block.id.hex()[-12:]}")
        self.oracle.check()

    def _go_on_to_a_window_s_end(self) -> None:
        """Where nothing but the ends of batches' windows is waited for, the store's clock goes on
        to shortly before the next one."""
        pause = self.person.keeps
        waiting = [
            payout
            for payout in self.oracle.payouts()
            if payout.status in OPEN
            and not (pause and stops(pause, payout) and payout.status is PayoutStatus.PENDING)
        ]
        if all(payout.status is PayoutStatus.SCHEDULED for payout in waiting):
            ends = [each.release_at for each in waiting if each.release_at is not None]
            left = min(ends, default=EPOCH) - self.oracle.now()
            self.store_ahead += max(0.0, left.total_seconds() - SHORTLY_SECONDS)

    def _unfinished(self) -> bool:
        """Whether a payout is open, or something that was begun can still have an effect."""
        return (
            self.under_way > 0
            or any(host.busy for host in self.hosts)
            or any(payout.status in OPEN for payout in self.oracle.payouts())
        )

    def _calm_down(self) -> None:
        """All faults end, and what only money or people can repair is repaired."""
        self.calm = True
        self.plan = faults.NoPlan()
        self.store_down_until = self.chain_stops_until = 0.0
        self.nodes_down_until = [0.0] * len(self.nodes_down_until)
        for fault in self.net.faults:
            if fault["fired"]:
                self.fired[fault["kind"]] += fault["fired"]
        self.net.faults.clear()
        self.lies.clear()
        self.net.pause(False)
        for recipient in RECIPIENTS:
            self.net.blacklist(recipient, False)
        for signer in self.signers:
            self.net.fund(signer.address, 10**6 * BASE_UNITS, 10**6 * BASE_UNITS)
        self._note("world", "the storm is over")

    async def _let_happen(self) -> None:
        """The storm's events, each at its moment."""
        moments = [*self.scenario.planned]
        for kind, rate in self._rates.events.items():
            draw, at = self._random_of(f"moments of {kind}"), 0.0
            while rate and (at := at + draw.expovariate(rate)) < self.scenario.storm:
                moments.append((at, kind))
        for at, kind in sorted(moments):
            await asyncio.sleep(max(0.0, at - self._loop.time()))
            if HAPPEN[kind](self, self._random_of(f"{kind} at {at}"), self._loop.time()):
                self.fired[kind] += 1
            self._note("world", f"*** {kind} ***")

    # the replicas

    async def _keep_running(self, number: int) -> None:
        """Start a replica, and start it again after each end."""
        for life in count(1):
            _host_skew.set(self.scenario.host_skews[number])
            host = Host(self, f"r{number}.{life}")
            self.hosts.append(host)
            host.spawn(self._replica(host, number))
            await host.ended
            self.serving.pop(number, None)
            self._note(host.name, "has ended")
            await asyncio.sleep(self._choices.uniform(0.5, 10))
            await self._may_start.wait()

    async def _replica(self, host: Host, number: int) -> None:
        """What a process does: assemble, then run its loops."""
        bell = self.bells[number] = LocalWakeups()
        policies = self.policies
        cache: Any = CacheClient(port(host, faults.CACHE, self.cache))
        store = port(host, faults.STORE, self.store)
        wakeups = port(host, faults.WAKEUPS, Bell(bell, self.bells))
        locks = port(host, faults.LOCKS, LocalLocks(self.locks, host.name, self._loop.time))
        chain = chain_of(
            host,
            self.net,
            policies.usdt_contract,
            self.oracle.sent,
            self.node_is_down,
            self.lies,
            policies.head_stale_seconds,
        )
        ports = Ports(
            store=store,
            chain=chain,
            codec=ProtobufCodec(),
            signers=[port(host, faults.SIGNER, signer) for signer in self.signers],
            wakeups=wakeups,
            observer=NoFigures(),
            revocations=CachedRevocations(
                port(host, faults.STORE, self.store.revocations), cache, "revoked:"
            ),
            replica=host.name,
            new_id=lambda now: payout_id(now, self._ids.getrandbits),
            new_token=lambda: f"{self._ids.getrandbits(128):032x}",
        )
        services = None
        while services is None:
            try:
                services = await assemble(ports, policies)
            except Exception:
                await asyncio.sleep(1)
        self.serving[number] = (host, services)
        polls, identity = self.scenario.polls, services.identity
        stop = asyncio.Event()
        for loop in (
            dispatch_loop(services.dispatcher, identity, wakeups, polls[0]),
            settle_loop(services.settlement, identity, locks, polls[1]),
            review_loop(services.settlement, identity, locks, polls[2]),
            housekeeping_loop(services.housekeeping, polls[3]),
            scheduler_loop(services.scheduling, services.fallback, locks, polls[5]),
            sequence_loop(services.sequencer, locks, polls[4]),
            archive_loop(services.sequencer, locks),
            head_loop(services.audit_head),
        ):
            host.spawn(loop.run(stop))

    async def _some_host(self) -> tuple[Host, Services]:
        """A replica that accepts connections, as a client's balancer finds it."""
        while not (serving := self._serving()):  # noqa: ASYNC110  as a client does
            await asyncio.sleep(0.5)
        found: tuple[Host, Services] = self._choices.choice(serving)
        return found

    def _serving(self) -> list[tuple[Host, Services]]:
        return [self.serving[number] for number in sorted(self.serving)]

    # the rest

    def _store_now(self) -> datetime:
        return self.scenario.store_begins + timedelta(seconds=self._loop.time() + self.store_ahead)

    def _note(self, host: str, what: str) -> None:
        self.trace.append(Entry(self._loop.time(), host, what))

    def _check_actor(self, task: asyncio.Task[Any]) -> None:
        """Whoever asks must not fall silent: then nothing of what it sees is judged any more."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.oracle.breach(f"somebody who asks failed: {error!r}")

    def _keep(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        self._own.append(task)
        return task


class Bell:
    """Redis' wake-ups: a signal reaches every replica."""

    def __init__(self, own: LocalWakeups, bells: dict[int, LocalWakeups]) -> None:
        self._own = own
        self._bells = bells

    async def signal(self) -> None:
        for number in sorted(self._bells):
            self._bells[number].wake()

    async def wait(self, timeout_seconds: float) -> None:
        await self._own.wait(timeout_seconds)


class NoFigures:
    """An observer whom nothing interests."""

    def count(self, name: str, /, amount: float = 1, **labels: str) -> None: ...

    def gauge(self, name: str, /, value: float, **labels: str) -> None: ...

    def observe(self, name: str, /, value: float, **labels: str) -> None: ...


def run_seed(seed: int, without: Collection[str] = ()) -> Result:
    """The world of a seed; `without` turns kinds of faults off."""

    random_of = seeded(seed)
    rates = faults.draw_rates(random_of, without)
    scenario = draw_scenario(random_of, rates)
    plan = faults.RandomPlan(rates, random_of("faults of calls"))
    rates.fired.update(rates.situations)
    return run_world(seed, scenario, plan, rates, random_of)


def run_world(
    seed: int,
    scenario: Scenario,
    plan: faults.Plan,
    rates: faults.Rates,
    random_of: Callable[[str], Random],
) -> Result:
    """One world, from beginning to end."""
    loop = VirtualLoop(random_of("order"))
    loop.set_exception_handler(lambda *_: None)
    worlds: list[World] = []

    async def main() -> None:
        worlds.append(World(scenario, plan, rates, random_of))
        await worlds[0].live()

    problem, concerned = "", None
    with _surroundings(loop, scenario, worlds):
        try:
            loop.run_until_complete(main())
        except Violation as broken:
            problem, concerned = str(broken), broken.payout_id
        except SpinningError as error:
            problem = str(error)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        finally:
            _end(loop, worlds[0])
    world = worlds[0]
    lines = [str(entry) for entry in world.trace]
    finals = [repr(payout) for payout in world.oracle.payouts()]
    finals.append(world.oracle.log.head.hash)
    digest = hashlib.sha256("\n".join([*lines, *finals]).encode()).hexdigest()
    return Result(
        seed=seed,
        ok=not problem,
        problem=problem,
        trace_hash=digest,
        fired=world.fired,
        figures=_figures(world),
        story=story(world, concerned) if problem else [],
    )


def _end(loop: VirtualLoop, world: World) -> None:
    """Let every coroutine end, without letting it do anything any more."""
    world.over = True
    for _ in range(3):
        left = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
        if not left:
            break
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left))
    loop.close()


@contextmanager
def _surroundings(loop: VirtualLoop, scenario: Scenario, worlds: list[World]) -> Iterator[None]:
    """The log goes into the trace, and the hosts' clocks are off: nothing may depend on them."""

    def tell(logger: Any, level: str, event: Any) -> Any:
        details = {name: value for name, value in event.items() if name != "exc_info"}
        if worlds:
            worlds[0].trace.append(
                Entry(loop.time(), "log", f"{level}: {details['event']}", details)
            )
        raise structlog.DropEvent

    configured = structlog.get_config()
    structlog.configure(processors=[tell])
    real = time.time
    time.time = lambda: scenario.store_begins.timestamp() + loop.time() + _host_skew.get()
    try:
        yield
    finally:
        time.time = real
        structlog.configure(**configured)


def _figures(world: World) -> Counter[str]:
    payouts = world.oracle.payouts()
    attempts = [attempt for payout in payouts for attempt in payout.attempts]
    return Counter(
        {
            "payouts": len(payouts),
            "paid": len(world.oracle.paid),
            "attempts": len(attempts),
            "deaths": sum(a.state is AttemptState.DEAD for a in attempts),
            "failed on chain": sum(a.state is AttemptState.FAILED_ON_CHAIN for a in attempts),
            "port calls": sum(entry.about is not None for entry in world.trace),
            "blocks": world.net.head.number,
            "replica lives": len(world.hosts),
            "log entries": world.oracle.log.head.number,
            "acts": len(world.store.acts),
            "of batches": sum(payout.batch_id is not None for payout in payouts),
            "moves": sum(len(moves_of(payout)) for payout in payouts),
            "falls": sum(e.by == SCHEDULER for p in payouts for e, _, _ in moves_of(p)),
            **Counter(str(payout.status) for payout in payouts),
        }
    )


def story(world: World, payout_id: str | None) -> list[str]:
    """What a reader wants to know of a failure: the payout as it stands, what its history says, and
    every call and event that had to do with it."""
    payout = next((p for p in world.oracle.payouts() if p.payout_id == payout_id), None)
    names = [] if payout is None else [payout.payout_id, *payout.txids]
    lines = []
    for entry in world.trace:
        told = repr(entry.about)
        about = any(name in told for name in names)
        if about or entry.host == "world" or "***" in entry.what or "ended" in entry.what:
            lines.append(f"{entry}{'  (this payout)' if about else ''}")
    if payout is None:
        return lines
    begins = world.scenario.store_begins
    lines.append(f"history of {payout.payout_id} ({payout.order.amount} {payout.order.currency}):")
    for event in payout.history:
        at = (event.at - begins).total_seconds()
        why = "" if event.why is None else f": {event.why.message}"
        lines.append(f"{at:10.3f}  {event.by}: {event.to_status}{why} {event.txid or ''}")
    for attempt in (*payout.attempts, payout.live_attempt):
        if attempt is not None:
            place = world.net.chain.find(attempt.txid)
            shown = "in no block" if place is None else f"in block {place[0].number}"
            lines.append(f"attempt {attempt.number} {attempt.txid}: {attempt.state}, {shown}")
            lines.append(f"  expiration {attempt.expiration_ms}, answers {dict(attempt.answers)}")
    return lines
