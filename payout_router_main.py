"""The composition root: settings become adapters, services, the application and its loops."""

import asyncio
import os
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis

from adapters.files.high_water import JsonHighWaterFile
from adapters.files.statements import NdjsonStatements
from adapters.memory.throttle import LocalThrottle
from adapters.metrics import MetricsObserver
from adapters.mongo.breaker import mongo_breaker
from adapters.mongo.client import Client as MongoClient
from adapters.mongo.client import majority_database, open_client
from adapters.mongo.store import MongoPayoutStore
from adapters.mongo.tokens import RevokedTokens
from adapters.redis.client import open_client as open_redis
from adapters.redis.signals import RedisLocks, RedisWakeups
from adapters.redis.throttle import RedisThrottle
from adapters.redis.tokens import CachedRevocations
from adapters.signer.local import LocalSigner, SignerError, load_signers
from adapters.tron.client import ChainSettings, TronChain
from adapters.tron.codec import ProtobufCodec
from adapters.tron.endpoint import Endpoint, EndpointSettings
from api.app import build_app
from api.status import (
    AuditLogView,
    ClosedView,
    CursorView,
    EndpointView,
    LeaseView,
    LoopView,
    StatusView,
)
from api.views import GateView, PauseView
from config import (
    EXIT_CONFIG,
    EXIT_DEPENDENCY_DOWN,
    SERVICE_NAME,
    VERSION,
    NodeEndpoint,
    Settings,
    StartupError,
    load_settings,
)
from models.decision import DecisionPolicy
from models.pause import Activity, is_pause
from models.policy import AttemptPolicy, AuditPolicy, DispatchPolicy, FeePolicy, SettlePolicy
from models.spending import SpendPolicy
from ports.folders import FolderError
from ports.observer import Observer
from ports.signals import Locks, Wakeups
from ports.store import PayoutStore, StoreError, UnfitStoreError
from ports.throttle import Throttle
from services.assembly import Policies, Ports, Services, Store, assemble
from services.audit import Audit
from services.chain_identity import bind_database
from services.compliance import Compliance
from services.control import Control
from services.high_water import HighWater, recognise, recognise_log
from services.ids import payout_id
from services.pauses import described, pauses_in
from services.payout_router import PayoutRouter
from services.statements import Statements
from services.tokens import Tokens
from settings.spending import client_policy
from utils.circuit_breaker import BreakerState, CircuitBreaker
from utils.connection_pool import ConnectionPool
from utils.health_check import CheckResult, HealthCheck, HealthRegistry, HealthStatus
from utils.logging_config import configure_logging, redact, register_secret
from utils.metrics import Metrics
from utils.rate_limiter import RateLimiter
from workers.dispatcher import dispatch_loop
from workers.folders import high_water_loop, statements_loop
from workers.housekeeper import housekeeping_loop
from workers.loop import Loop
from workers.scheduler import scheduler_loop
from workers.sequencer import archive_loop, head_loop, sequence_loop
from workers.settler import review_loop, settle_loop

log = structlog.get_logger(__name__)

BREAKER_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

HOUSEKEEPING_SECONDS = 30.0
"""How often time alone is looked at; expiry and reservations are not urgent."""

SCHEDULER_SECONDS = 2.0
"""How late a scheduled payout or a batch may be released."""

HIGH_WATER_SECONDS = 10.0
"""How far the high-water mark may be behind: a copy of the database that is older is known."""

CACHE_SECONDS = 600.0
"""Chain parameters change by a vote, and then at a maintenance block, every 6 hours."""

DAY_SECONDS = 86_400.0
PING_SECONDS = 2.0
PREFLIGHT_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Container:
    """Everything that a request, a loop or a health check needs; lives as long as the process."""

    settings: Settings
    metrics: Metrics
    health: HealthRegistry
    router: PayoutRouter
    services: Services
    chain: TronChain
    store: PayoutStore
    wallets: Sequence[str]
    throttle: Throttle
    loops: Sequence[Loop]
    started_at: float

    @property
    def audit(self) -> Audit:
        """The audit log."""
        return self.services.audit

    @property
    def compliance(self) -> Compliance:
        """Lists of addresses, and the KYC registry."""
        return self.services.compliance

    @property
    def tokens(self) -> Tokens:
        """Revoked tokens."""
        return self.services.tokens

    @property
    def control(self) -> Control:
        """Gates and pauses."""
        return self.services.control

    async def status(self) -> StatusView:
        """How the service stands, for people."""
        standing = await self.store.standing()
        backlog = await self.store.backlog()
        oldest, now = backlog.oldest_pending_at, await self.store.now()
        cursor, newest = standing.cursor, self.services.settlement.newest_seen()
        pauses = pauses_in(standing.gates)
        paused = {pause.gate for pause in pauses}
        return StatusView(
            service=SERVICE_NAME,
            version=VERSION,
            network=self.settings.environment.tron_network,
            wallets=list(self.wallets),
            uptime_seconds=round(time.monotonic() - self.started_at, 1),
            cursor=cursor and CursorView.of(cursor, newest),
            newest_block_seen=newest,
            dispatch_closed_by=[
                ClosedView(name=closed.name, reason=closed.reason)
                for closed in self.services.dispatcher.closed
            ],
            pauses=[PauseView.of(pause, gate) for pause, gate in pauses.items()],
            gates=[GateView.of(gate) for gate in standing.gates if gate.name not in paused],
            open_unexplained=standing.open_unexplained,
            leases=[LeaseView.of(leased) for leased in backlog.leases],
            oldest_pending_seconds=oldest and (now - oldest).total_seconds(),
            audit=AuditLogView.of(await self.audit.standing()),
            loops=[_loop_view(loop, asyncio.get_running_loop().time()) for loop in self.loops],
            endpoints=[
                EndpointView(
                    name=s.name, usable=s.usable, detail=redact(s.detail), breaker=s.breaker
                )
                for s in self.chain.states()
            ],
        )


def _loop_view(loop: Loop, now: float) -> LoopView:
    def age(moment: float | None) -> float | None:
        return None if moment is None else round(now - moment, 1)

    return LoopView(
        name=loop.name,
        turns=loop.turns,
        problem=redact(loop.problem),
        succeeded_seconds_ago=age(loop.succeeded_at),
        failed_seconds_ago=age(loop.failed_at),
    )


async def preflight(settings: Settings) -> None:
    """Check, before serving, what can only be wrong for good: the key, and the database's shape.

    Waits up to MONGODB_WAIT_SECONDS for MongoDB. Raises StartupError.
    """
    wallet = signers_of(settings)[0].address
    pool = mongo_pool(settings)
    deadline = time.monotonic() + settings.environment.mongodb_wait_seconds
    async with pool as client:
        store = MongoPayoutStore(majority_database(client))
        while problem := await _unprepared(settings, store, wallet):
            if time.monotonic() >= deadline:
                text = f"MongoDB is not reachable: {problem}"
                raise StartupError(text, EXIT_DEPENDENCY_DOWN)
            await asyncio.sleep(PREFLIGHT_PAUSE_SECONDS)


async def _unprepared(settings: Settings, store: Store, wallet: str) -> str:
    """Why the database can't be used yet; empty once it is prepared. Raises StartupError."""
    try:
        # Given up long before the driver stops looking for a primary.
        async with asyncio.timeout(PING_SECONDS):
            await store.now()
        await store.prepare()
        if settings.genesis_id is not None:
            await bind_database(store, settings.genesis_id)
        if (folder := settings.environment.payment_systems_dir) is not None:
            file = JsonHighWaterFile(folder)
            await recognise(store, file, wallet, settings.genesis_id)
            await recognise_log(store, file)
    except TimeoutError:
        return f"no primary answered within {PING_SECONDS:g} s"
    except (UnfitStoreError, FolderError) as error:
        raise StartupError(str(error), EXIT_CONFIG) from None
    except StoreError as error:
        return str(error)
    return ""


def signers_of(settings: Settings) -> Sequence[LocalSigner]:
    """The signers of all hot wallets, the default one's first. Raises StartupError."""
    env = settings.environment
    key = env.tron_private_key
    routes = settings.router.route_policies
    try:
        return load_signers(
            None if key is None else key.get_secret_value(),
            env.keys_dir,
            env.wallet_encryption_key.get_secret_value(),
            env.tron_address,
            [route.wallet for route in routes if route.wallet is not None],
            settings.refused_addresses,
        )
    except SignerError as error:
        raise StartupError(str(error), EXIT_CONFIG) from None


def mongo_pool(settings: Settings) -> ConnectionPool[MongoClient]:
    """The MongoDB client with its sizes and time-outs."""
    url = settings.environment.mongodb_url.get_secret_value()
    sizes = settings.router.mongodb

    async def opened() -> MongoClient:
        return open_client(
            url, timeout_seconds=sizes.socket_timeout_seconds, options=sizes.client_options()
        )

    async def closed(client: MongoClient) -> None:
        client.close()

    async def pinged(client: MongoClient) -> None:
        await MongoPayoutStore(majority_database(client)).ping()

    return ConnectionPool(
        "mongodb", opener=opened, closer=closed, pinger=pinged, ping_timeout_seconds=PING_SECONDS
    )


def redis_pool(settings: Settings) -> ConnectionPool[Redis]:
    """The Redis client with its sizes and time-outs."""
    url = settings.environment.redis_url.get_secret_value()

    async def opened() -> Redis:
        return open_redis(url, settings.router.redis.client_options())

    async def closed(client: Redis) -> None:
        await client.aclose()

    async def pinged(client: Redis) -> None:
        await client.ping()

    return ConnectionPool(
        "redis", opener=opened, closer=closed, pinger=pinged, ping_timeout_seconds=PING_SECONDS
    )


def http_pool(settings: Settings) -> ConnectionPool[httpx.AsyncClient]:
    """The HTTP client for TRON endpoints; each of them has a health of its own."""

    async def opened() -> httpx.AsyncClient:
        options = settings.router.tron.http.client_options()
        return httpx.AsyncClient(**options, follow_redirects=False, trust_env=False)

    async def closed(client: httpx.AsyncClient) -> None:
        await client.aclose()

    async def pinged(client: httpx.AsyncClient) -> None:
        if client.is_closed:
            raise RuntimeError("the HTTP client is closed")

    return ConnectionPool(
        "http", opener=opened, closer=closed, pinger=pinged, ping_timeout_seconds=PING_SECONDS
    )


def tron_chain(settings: Settings, client: httpx.AsyncClient, observer: Observer) -> TronChain:
    """The network: an endpoint with breaker and limiter for each URL, behind one face."""
    retries = settings.retry.retries
    return TronChain(
        [_endpoint(settings, node, client, observer) for node in settings.endpoints],
        ChainSettings(
            usdt_contract=settings.usdt_contract_address,
            stall_seconds=settings.router.attempt.head_stale_seconds,
            silent_after_seconds=settings.router.tron.silent_after_seconds,
            cache_seconds=CACHE_SECONDS,
            query_retry=retries.node_query,
            broadcast_retry=retries.broadcast,
        ),
        on_retry=lambda name, _: observer.count("payout_retries_total", name=name),
    )


def _endpoint(
    settings: Settings, node: NodeEndpoint, client: httpx.AsyncClient, observer: Observer
) -> Endpoint:
    tron = settings.router.tron
    name = urlsplit(node.url).netloc
    policy = settings.retry.breakers.tron
    return Endpoint(
        EndpointSettings(
            url=node.url,
            solidity_url=node.solidity_url,
            api_key=_revealed(node.api_key),
            solidity_api_key=_revealed(node.solidity_api_key),
            max_answer_bytes=tron.max_answer_bytes,
            timeout_seconds=tron.http.read_timeout_seconds * 2,
        ),
        client=client,
        breaker=CircuitBreaker(name, policy, on_change=breaker_watch(observer)),
        limiter=RateLimiter(tron.requests_per_second, tron.burst),
        observer=observer,
    )


def breaker_watch(observer: Observer) -> Callable[[str, BreakerState], None]:
    """Shows every change of a breaker in the log and in the metrics."""

    def changed(name: str, state: BreakerState) -> None:
        log.warning("breaker changed", name=name, state=state)
        observer.gauge("payout_breaker_state", BREAKER_VALUES[state], name=name)

    return changed


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


@asynccontextmanager
async def opened_parts(settings: Settings) -> AsyncIterator[Container]:
    """Everything open and wired; closed again at the end. Raises StartupError, StoreError."""
    metrics = Metrics(settings.metrics.families)
    observer = MetricsObserver(metrics)
    signers = signers_of(settings)
    mongo, redis = mongo_pool(settings), redis_pool(settings)
    async with AsyncExitStack() as stack:
        breaker = mongo_breaker(settings.retry.breakers.mongodb, breaker_watch(observer))
        database = majority_database(await stack.enter_async_context(mongo))
        store = MongoPayoutStore(database, breaker)
        redis_client = await stack.enter_async_context(redis)
        chain = tron_chain(settings, await stack.enter_async_context(http_pool(settings)), observer)
        wakeups = RedisWakeups(
            redis_client,
            f"{SERVICE_NAME}:wake-up",
            reconnecting=settings.retry.retries.redis,
        )
        stack.push_async_callback(wakeups.close)
        wakeups.start()
        ports = Ports(
            store=store,
            chain=chain,
            codec=ProtobufCodec(),
            signers=signers,
            wakeups=wakeups,
            observer=observer,
            revocations=CachedRevocations(
                RevokedTokens(database, breaker), redis_client, f"{SERVICE_NAME}:revoked:"
            ),
            replica=replica_name(),
            new_id=payout_id,
            new_token=lambda: uuid.uuid4().hex,
        )
        services = await assemble(ports, policies_of(settings))
        locks = RedisLocks(redis_client, f"{SERVICE_NAME}:lock:", replica_name())
        loops = (
            *loops_of(settings, services, wakeups, locks),
            *folder_loops(settings, services, store, signers[0].address),
        )
        yield Container(
            settings=settings,
            metrics=metrics,
            health=HealthRegistry(health_checks((mongo, redis), chain, services, loops, observer)),
            router=services.router,
            services=services,
            chain=chain,
            store=store,
            wallets=[signer.address for signer in signers],
            throttle=RedisThrottle(redis_client, f"{SERVICE_NAME}:rate:", LocalThrottle()),
            loops=loops,
            started_at=time.monotonic(),
        )


def loops_of(
    settings: Settings, services: Services, wakeups: Wakeups, locks: Locks
) -> Sequence[Loop]:
    """The loops that every process runs."""
    config, identity, settlement = settings.router, services.identity, services.settlement
    return (
        dispatch_loop(services.dispatcher, identity, wakeups, config.dispatch.poll_seconds),
        settle_loop(settlement, identity, locks, config.settle.poll_seconds),
        review_loop(settlement, identity, locks, config.settle.review_seconds),
        housekeeping_loop(services.housekeeping, HOUSEKEEPING_SECONDS),
        scheduler_loop(services.scheduling, services.fallback, locks, SCHEDULER_SECONDS),
        sequence_loop(services.sequencer, locks, config.audit.poll_seconds),
        archive_loop(services.sequencer, locks),
        head_loop(services.audit_head),
    )


def folder_loops(
    settings: Settings, services: Services, store: Store, wallet: str
) -> Iterator[Loop]:
    """The loops that keep files, for the folders that there are."""
    env = settings.environment
    if env.payment_systems_dir is not None:
        mark = HighWater(store, store, JsonHighWaterFile(env.payment_systems_dir), wallet)
        yield high_water_loop(mark, services.identity, HIGH_WATER_SECONDS)
    if env.payouts_dir is not None:
        statements = Statements(store, NdjsonStatements(env.payouts_dir))
        yield statements_loop(statements, HOUSEKEEPING_SECONDS)


def policies_of(settings: Settings) -> Policies:
    """The configuration as the services' policies."""
    config, security = settings.router, settings.security
    return Policies(
        usdt_contract=settings.usdt_contract_address,
        amounts=config.amount_limits,
        spending=SpendPolicy(
            all={currency: each.ceilings for currency, each in config.currencies.items()},
            routes={route.name: route.ceilings for route in config.route_policies},
            clients=client_policy(security.client_limits),
            recipients={
                currency: each.recipient.ceilings for currency, each in config.currencies.items()
            },
        ),
        decisions=DecisionPolicy(
            rules=security.compliance.policy,
            routes=config.route_policies,
            routing=config.routing.policy,
            approvals=security.approvals.rules,
            schedule=config.scheduling.policy,
        ),
        kyc_validity=security.compliance.kyc.validity,
        fees=FeePolicy(
            fee_limit_sun=config.fees.fee_limit_sun,
            max_fee_limit_sun=config.fees.max_fee_limit_sun,
            payout_cap_sun=config.fees.payout_fee_cap_sun,
            daily_ceiling_sun=config.fees.daily_ceiling_sun,
            route_caps_sun={route.name: route.fee_cap_sun for route in config.route_policies},
            usual_sun=config.fees.usual_sun,
        ),
        attempts=AttemptPolicy(
            life_ms=config.attempt.life_seconds * 1000,
            max_beyond_cursor_ms=config.attempt.max_beyond_cursor_seconds * 1000,
            permission_id=settings.environment.tron_permission_id,
        ),
        dispatch=DispatchPolicy(
            group_size=config.dispatch.group_size,
            lease_seconds=config.dispatch.lease_seconds,
            skip_seconds=config.dispatch.skip_seconds,
            max_deaths=config.dispatch.max_attempts_before_review,
            max_refusals=config.dispatch.max_refusals_before_review,
            concurrency=config.dispatch.concurrency,
            preflight=config.preflight.enabled,
        ),
        settle=SettlePolicy(
            blocks_per_read=config.settle.blocks_per_read,
            group_size=config.settle.group_size,
            resend_after_seconds=config.settle.resend_after_seconds,
            unsent_after_seconds=config.settle.unsent_after_seconds,
        ),
        audit=AuditPolicy(
            group_size=config.audit.group_size,
            retention_seconds=config.audit.retention_days * DAY_SECONDS,
        ),
        head_stale_seconds=config.attempt.head_stale_seconds,
        saving=settings.retry.retries.mongodb,
        quarantine=settings.environment.quarantine,
        known_genesis=settings.genesis_id,
    )


def health_checks(
    pools: Sequence[ConnectionPool[Any]],
    chain: TronChain,
    services: Services,
    loops: Sequence[Loop],
    observer: Observer,
) -> Sequence[HealthCheck]:
    """What /health asks: only without MongoDB no payout can be taken or kept."""

    def reported(
        name: str, problem: str, fine: str, bad: HealthStatus = HealthStatus.UNHEALTHY
    ) -> CheckResult:
        observer.gauge("payout_component_health", 0 if problem else 1, component=name)
        return CheckResult(bad if problem else HealthStatus.HEALTHY, problem or fine)

    def pool_check(pool: ConnectionPool[Any]) -> HealthCheck:
        async def run() -> CheckResult:
            found = await pool.check()
            return reported(pool.name, "" if found.healthy else found.detail, found.detail)

        return HealthCheck(pool.name, run, critical=pool.name == "mongodb")

    async def endpoints() -> CheckResult:
        down = [f"{s.name}: {s.detail}" for s in chain.states() if not s.usable]
        return reported("tron", "; ".join(down), "all endpoints are usable")

    async def turning() -> CheckResult:
        stuck = [f"{loop.name}: {loop.problem}" for loop in loops if loop.problem]
        return reported("loops", "; ".join(stuck), "all turn")

    def open_for(what: Activity, others: Callable[[], Sequence[str]]) -> HealthCheck:
        """A check of what people may pause; that is read anew, as no loop must have seen it."""

        async def run() -> CheckResult:
            pauses = await services.control.pauses()
            paused = [described(one, gate) for one, gate in pauses.items() if one.what is what]
            reasons = "; ".join((*paused, *others()))
            return reported(what, reasons, "open", bad=HealthStatus.DEGRADED)

        return HealthCheck(what, run, critical=False)

    def otherwise_closed() -> Sequence[str]:
        closed = services.dispatcher.closed
        return [one.reason for one in closed if not is_pause(one.name)]

    return (
        *(pool_check(pool) for pool in pools),
        HealthCheck("tron", endpoints, critical=False),
        HealthCheck("loops", turning, critical=False),
        open_for(Activity.DISPATCH, otherwise_closed),
        open_for(Activity.INTAKE, tuple),
    )


def replica_name() -> str:
    """How leases and locks name this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


@asynccontextmanager
async def running(container: Container) -> AsyncIterator[None]:
    """The loops, until the end of the block; then each finishes its turn, or is cancelled after
    TIMEOUT seconds."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(loop.run(stop), name=loop.name) for loop in container.loops]
    try:
        yield
    finally:
        stop.set()
        _, late = await asyncio.wait(tasks, timeout=container.settings.environment.timeout)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        log.info("loops have ended", cancelled=[task.get_name() for task in late])


async def run_worker(settings: Settings) -> None:
    """Run the loops alone until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with opened_parts(settings) as container, running(container):
        log.info("worker started", wallets=container.wallets)
        await stop.wait()


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
    """Open everything for one serving process, run the loops, and close in reverse."""
    if os.environ.get("SERVICE_NAME") != SERVICE_NAME:
        raise RuntimeError(
            f"SERVICE_NAME must be {SERVICE_NAME}: start through payout_router_entrypoint.py"
        )
    settings = load_settings(os.environ)
    env = settings.environment
    register_secret(*settings.secret_values)
    configure_logging(SERVICE_NAME, env.log_level, console=env.debug, folder=env.log_dir)
    async with opened_parts(settings) as container:
        _describe(container)
        application.state.container = container
        async with running(container):
            log.info("serving", wallets=container.wallets, network=env.tron_network)
            # For what has no request yet: api/connection.py.
            yield {"app": application}


def _describe(container: Container) -> None:
    metrics, env = container.metrics, container.settings.environment
    labels = {"service": SERVICE_NAME, "version": VERSION, "network": env.tron_network}
    metrics.gauge("payout_build_info").labels(**labels).set(1)
    metrics.gauge("payout_start_time_seconds").set_to_current_time()


app = build_app(lifespan)
