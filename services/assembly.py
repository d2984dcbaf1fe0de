"""All services over given ports and policies: the same wiring in the process and in every test."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from models.decision import DecisionPolicy
from models.limits import AmountLimits
from models.money import Currency
from models.policy import AttemptPolicy, AuditPolicy, DispatchPolicy, FeePolicy, SettlePolicy
from models.spending import SpendPolicy
from ports.audit import AuditLog
from ports.chain import Chain, TransactionCodec
from ports.compliance import ComplianceStore
from ports.figures import FiguresStore
from ports.observer import Observer
from ports.signals import Wakeups
from ports.signer import Signer
from ports.store import PayoutStore
from ports.tokens import Revocations
from services.acts import Acts
from services.admission import Admission
from services.approving import Approving
from services.attempts import AttemptBuilder
from services.audit import Audit
from services.audit_head import HeadPublisher
from services.batches import Batches
from services.broadcast import Broadcaster
from services.chain_identity import ChainIdentity
from services.changing import Changing
from services.compliance import Compliance
from services.control import Control
from services.deciding import Deciding
from services.dispatch import Dispatcher
from services.fallback import Fallback
from services.funds import Funds
from services.gate import DispatchGate
from services.heads import HeadWatch
from services.housekeeping import Housekeeping
from services.intake import Intake
from services.limits import LimitKeeper
from services.moving import Moving
from services.payout_router import PayoutRouter
from services.quoting import Quoting
from services.rerouting import Rerouting
from services.scheduling import Scheduling
from services.sequencer import Sequencer
from services.settlement import Settlement
from services.tokens import Tokens
from services.transitions import Transitions
from services.unexplained import Explaining
from utils.retry import RetryPolicy


class Store(PayoutStore, AuditLog, ComplianceStore, FiguresStore, Protocol):
    """Everything that is stored, by one adapter."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the services stand on. The first signer's wallet is the default one. `replica` names
    this process; ids and tokens must be unique."""

    store: Store
    chain: Chain
    codec: TransactionCodec
    signers: Sequence[Signer]
    wakeups: Wakeups
    observer: Observer
    revocations: Revocations
    replica: str
    new_id: Callable[[datetime], str]
    new_token: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Policies:
    """What the services are told. `known_genesis` is None on a devnet: any chain."""

    usdt_contract: str
    amounts: Mapping[Currency, AmountLimits]
    spending: SpendPolicy
    decisions: DecisionPolicy
    kyc_validity: Mapping[int, timedelta]
    fees: FeePolicy
    attempts: AttemptPolicy
    dispatch: DispatchPolicy
    settle: SettlePolicy
    audit: AuditPolicy
    head_stale_seconds: float
    saving: RetryPolicy
    quarantine: bool
    known_genesis: str | None


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, and what the loops call."""

    router: PayoutRouter
    control: Control
    deciding: Deciding
    dispatcher: Dispatcher
    settlement: Settlement
    housekeeping: Housekeeping
    scheduling: Scheduling
    fallback: Fallback
    compliance: Compliance
    identity: ChainIdentity
    acts: Acts
    audit: Audit
    sequencer: Sequencer
    audit_head: HeadPublisher
    tokens: Tokens


async def assemble(ports: Ports, policies: Policies) -> Services:
    """Wire everything. Notes the signer's wallet as one that was used, and where the cursor stands
    at this start; raises StoreError."""
    store, chain, observer = ports.store, ports.chain, ports.observer
    acts = Acts(store, ports.new_token)
    for signer in ports.signers:
        wallets = await store.remember_wallet(signer.address)
    builder = AttemptBuilder(
        ports.codec, ports.signers, policies.usdt_contract, policies.attempts.permission_id
    )
    deciding = Deciding(
        store=store,
        chain=chain,
        builder=builder,
        policy=policies.decisions,
        usual_fee_sun=policies.fees.usual_sun,
        seconds=asyncio.get_running_loop().time,
    )
    admission = Admission(
        store=store,
        deciding=deciding,
        amounts=policies.amounts,
        spending=policies.spending,
        forbidden={
            **dict.fromkeys(builder.wallets, "a wallet that pays"),
            policies.usdt_contract: "the token contract",
        },
    )
    limits = LimitKeeper(store)
    funds = Funds(
        store=store,
        chain=chain,
        builder=builder,
        observer=observer,
        fees=policies.fees,
        preflight=policies.dispatch.preflight,
    )
    transitions = Transitions(store, observer)
    broadcaster = Broadcaster(store, chain, observer, policies.dispatch.concurrency)
    settlement = Settlement(
        store=store,
        chain=chain,
        funds=funds,
        broadcaster=broadcaster,
        transitions=transitions,
        observer=observer,
        wallets=wallets,
        fees=policies.fees,
        policy=policies.settle,
        max_deaths=policies.dispatch.max_deaths,
    )
    dispatcher = Dispatcher(
        store=store,
        broadcaster=broadcaster,
        transitions=transitions,
        builder=builder,
        gate=DispatchGate(
            store,
            chain,
            policies.attempts,
            wallets=builder.wallets,
            quarantine=policies.quarantine,
            started_at=await store.cursor(),
        ),
        funds=funds,
        deciding=deciding,
        heads=HeadWatch(chain, policies.head_stale_seconds),
        observer=observer,
        attempts=policies.attempts,
        policy=policies.dispatch,
        replica=ports.replica,
        new_token=ports.new_token,
        seconds=asyncio.get_running_loop().time,
    )
    changing = Changing(store, limits)
    moving = Moving(store=store, deciding=deciding, spending=policies.spending, limits=limits)
    intake = Intake(
        store=store,
        limits=limits,
        admission=admission,
        wakeups=ports.wakeups,
        observer=observer,
        new_id=ports.new_id,
        saving=policies.saving,
    )
    approving = Approving(store, changing, ports.wakeups)
    router = PayoutRouter(
        store=store,
        intake=intake,
        changing=changing,
        approving=approving,
        batches=Batches(store=store, intake=intake, approving=approving),
        rerouting=Rerouting(
            store=store,
            changing=changing,
            deciding=deciding,
            moving=moving,
            wakeups=ports.wakeups,
        ),
        quoting=Quoting(
            store=store,
            chain=chain,
            builder=builder,
            admission=admission,
            deciding=deciding,
            spending=policies.spending,
            limits=limits,
        ),
        explaining=Explaining(store, builder, acts),
        wakeups=ports.wakeups,
        newest_seen=settlement.newest_seen,
    )
    return Services(
        router=router,
        control=Control(
            store=store,
            acts=acts,
            wakeups=ports.wakeups,
            observer=observer,
            wallet=builder.wallets[0],
        ),
        deciding=deciding,
        dispatcher=dispatcher,
        settlement=settlement,
        housekeeping=Housekeeping(store, limits, transitions, observer),
        scheduling=Scheduling(
            store, transitions, ports.wakeups, policies.decisions.schedule.batch_size
        ),
        fallback=Fallback(
            store=store,
            deciding=deciding,
            moving=moving,
            wakeups=ports.wakeups,
            observer=observer,
            largest={currency: limits.maximum for currency, limits in policies.amounts.items()},
        ),
        compliance=Compliance(store, acts, policies.kyc_validity),
        identity=ChainIdentity(store, chain, policies.known_genesis),
        acts=acts,
        audit=Audit(store, acts),
        sequencer=Sequencer(store, policies.audit.group_size, policies.audit.retention_seconds),
        audit_head=HeadPublisher(store, observer),
        tokens=Tokens(ports.revocations, acts, store.now),
    )
