"""The TRON network behind several endpoints, with fail-over.

Reads go to the preferred endpoint and then to the others; an answer that cannot be verified counts
as no answer. The preferred endpoint changes when it fails, or when its solid head stands still.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from adapters.tron import queries
from adapters.tron.blocks import BadAnswerError, verify_block
from adapters.tron.cache import Cache
from adapters.tron.endpoint import Endpoint, EndpointError
from adapters.tron.protocol import address_to_hex, transaction_bytes
from models.chain import (
    Balances,
    BlockRef,
    FeeRates,
    Hit,
    Simulation,
    SolidBlock,
    Transfer,
    follows,
)
from models.transaction import NOT_TAKEN, Attempt
from ports.chain import BrokenLinkError, ChainUnavailableError, EndpointState
from utils.retry import RetryPolicy, retry

log = structlog.get_logger(__name__)

OTHER_CHAIN_SECONDS = 60.0
"""An endpoint of another chain is left alone for so long: one wrong answer is not for ever."""

T = TypeVar("T")
Call = Callable[[Endpoint], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """`stall_seconds` without a newer solid head make another endpoint the preferred one; one that
    has not answered for `silent_after_seconds` has no say in what is believed; parameters and
    simulations are kept for `cache_seconds`."""

    usdt_contract: str | None
    stall_seconds: float
    silent_after_seconds: float
    cache_seconds: float
    query_retry: RetryPolicy
    broadcast_retry: RetryPolicy


class _NotTakenError(Exception):
    """No node took the bytes this time; the same bytes may be sent at once again."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


class TronChain:
    """Implements `ports.chain.Chain`."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        settings: ChainSettings,
        *,
        on_retry: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        if not endpoints:
            raise ValueError("at least one endpoint is needed")
        self._endpoints = tuple(endpoints)
        self._settings = settings
        self._on_retry = on_retry
        self._preferred = 0
        self._expected_genesis: str | None = None
        self._newest = 0
        self._progress = Progress(settings.stall_seconds)
        self._waits: dict[Endpoint, tuple[int | None, float]] = {}
        self._rates: Cache[FeeRates] = Cache(settings.cache_seconds)
        self._simulations: Cache[Simulation] = Cache(settings.cache_seconds)
        self._blacklisted: Cache[bool] = Cache(settings.cache_seconds)
        self._activated: set[str] = set()

    async def genesis_id(self) -> str:
        """The id of block 0, by the first endpoint that answers."""
        return await self._first(queries.genesis)

    def expect_genesis(self, genesis_id: str) -> None:
        """From now on only endpoints with this genesis are usable."""
        self._expected_genesis = genesis_id

    async def head(self) -> BlockRef:
        """The newest block, not solid yet."""
        return self._seen(await self._first(lambda e: queries.header_of(e, "/wallet/getnowblock")))

    async def solid_head(self) -> BlockRef:
        """The newest solid block."""
        return self._seen(
            await self._first(lambda e: queries.header_of(e, "/walletsolidity/getnowblock"))
        )

    async def solid_blocks(
        self, after: BlockRef, limit: int, wallets: frozenset[str]
    ) -> Sequence[SolidBlock]:
        """Up to `limit` solid blocks that follow `after`, each verified and linked.

        A link that does not fit is looked for at the other endpoints; raises BrokenLinkError when
        none continues the run and at least one contradicts it.
        """
        owners = frozenset(address_to_hex(wallet) for wallet in wallets)
        blocks = await self._first(lambda e: self._solid_run(e, after, limit, owners))
        if self._progress.stalled(blocks[-1].ref.number if blocks else after.number):
            self._prefer_another()
        return blocks

    async def hits(self, block: SolidBlock) -> Sequence[Hit]:
        """What the block's own transactions of ours did, by its infos from one endpoint."""
        return await self._first(lambda e: queries.hits(e, block))

    async def solid_block(self, number: int) -> BlockRef:
        """One solid block by number, on which all endpoints that answer agree."""
        answers = await self._everyone(lambda e: queries.solid_header(e, number))
        found = {answer.block_id: answer for answer in answers}
        if len(found) != 1:
            raise ChainUnavailableError(f"{len(found)} different solid blocks {number} were given")
        return next(iter(found.values()))

    async def confirms(self, block: BlockRef) -> bool:
        """Whether two endpoints have this very block as solid; True if only one is set."""
        if len(self._endpoints) == 1:
            return True
        answers = await self._everyone(lambda e: queries.solid_header(e, block.number))
        return sum(answer == block for answer in answers) >= 2

    async def doubt(self, block: BlockRef) -> str:
        """Why a solid block is not believed yet; empty once more endpoints have it than not.

        Nobody checks who signed a block, so a single endpoint could make one up. One that has not
        answered, or not got any further, for `silent_after_seconds` of asking has no say.
        """
        if len(self._endpoints) == 1:
            return ""
        said = await asyncio.gather(*(self._against(e, block) for e in self._endpoints))
        against = [text for text in said if text]
        if said.count("") > len(against):
            return ""
        return f"block {block.number} is not believed: {'; '.join(against) or 'nobody has it'}"

    async def _against(self, endpoint: Endpoint, block: BlockRef) -> str | None:
        """What an endpoint says against a block: nothing ("") if it has it, None if it has no
        say."""
        try:
            await self._check_genesis(endpoint)
            found = await queries.solid_header(endpoint, block.number)
        except (EndpointError, BadAnswerError) as error:
            stands_at = error.head if isinstance(error, queries.BehindError) else None
            return None if self._without_news(endpoint, stands_at) else f"{endpoint.name}: {error}"
        self._waits.pop(endpoint, None)
        return "" if found == block else f"{endpoint.name}: has {found.block_id} there"

    def _without_news(self, endpoint: Endpoint, stands_at: int | None) -> bool:
        """Whether an endpoint has stood at this head, or been silent, for too long."""
        now = asyncio.get_running_loop().time()
        before, since = self._waits.get(endpoint, (stands_at, now))
        if before != stands_at:
            since = now
        self._waits[endpoint] = (stands_at, since)
        return now - since > self._settings.silent_after_seconds

    async def broadcast(self, attempt: Attempt) -> str:
        """Send stored bytes; what the last node that was asked said.

        Starts at another endpoint for each answer that the attempt had before, goes on to the next
        when one did not take the bytes, and tries the same bytes again a few times.
        """
        body = {"transaction": transaction_bytes(attempt.raw, [attempt.signature]).hex()}
        sent_before = sum(attempt.answers.values())

        async def once() -> str:
            return await self._send(body, self._preferred + sent_before)

        try:
            return await retry(
                once,
                self._settings.broadcast_retry,
                retry_on=(_NotTakenError,),
                name="broadcast",
                on_retry=self._on_retry,
            )
        except _NotTakenError as error:
            return error.answer

    async def balances(self, owner: str) -> Balances:
        """Solid balances."""
        return await self._first(lambda e: self._balances(e, owner))

    async def fee_rates(self) -> FeeRates:
        """Voted chain parameters, kept for a while."""
        return await self._rates.get("", lambda: self._first(queries.fee_rates))

    async def is_activated(self, address: str) -> bool:
        """Whether the account exists on the solid chain. Accounts never vanish, so yes is kept."""
        if address not in self._activated:
            account = await self._first(lambda e: queries.account(e, address))
            if account:
                self._activated.add(address)
        return address in self._activated

    async def simulate(self, transfer: Transfer) -> Simulation:
        """Run a TRC20 transfer as a constant call; a success is kept for its recipient."""
        return await self._simulations.get(
            transfer.recipient,
            lambda: self._first(lambda e: queries.simulate(e, transfer)),
            keep=lambda simulation: not simulation.reverted,
        )

    async def is_blacklisted(self, address: str) -> bool:
        """Whether the token's blacklist has an address; either answer is kept for a while."""
        contract = self._settings.usdt_contract
        if contract is None:
            return False
        return await self._blacklisted.get(
            address, lambda: self._first(lambda e: queries.is_blacklisted(e, contract, address))
        )

    def newest_seen(self) -> int:
        """The highest block number that any answer showed so far."""
        return self._newest

    def states(self) -> Sequence[EndpointState]:
        """The endpoints, for people."""
        return [
            EndpointState(
                name=endpoint.name,
                usable=not endpoint.problem and endpoint.breaker.state != "open",
                detail=endpoint.problem or "answers as far as is known",
                breaker=endpoint.breaker.state,
            )
            for endpoint in self._endpoints
        ]

    def _order(self) -> Sequence[Endpoint]:
        return self._endpoints[self._preferred :] + self._endpoints[: self._preferred]

    def _prefer_another(self) -> None:
        self._preferred = (self._preferred + 1) % len(self._endpoints)
        log.info("another endpoint is preferred", endpoint=self._endpoints[self._preferred].name)

    async def _first(self, call: Call[T]) -> T:
        """The first believable answer, asking each endpoint in turn, a few times over."""
        return await retry(
            lambda: self._round(call),
            self._settings.query_retry,
            retry_on=(ChainUnavailableError,),
            name="node_query",
            on_retry=self._on_retry,
        )

    async def _round(self, call: Call[T]) -> T:
        broken: BrokenLinkError | None = None
        problems: list[str] = []
        for endpoint in self._order():
            try:
                await self._check_genesis(endpoint)
                return await call(endpoint)
            except EndpointError as error:
                problems.append(f"{endpoint.name}: {error}")
            except BadAnswerError as error:
                problems.append(f"{endpoint.name}: BAD_ANSWER: {error}")
                log.error("an answer does not verify", endpoint=endpoint.name, error=str(error))
            except BrokenLinkError as error:
                broken = error
        if broken is not None:
            raise broken
        raise ChainUnavailableError("; ".join(problems))

    async def _everyone(self, call: Call[T]) -> Sequence[T]:
        """The answers of all endpoints that give a believable one."""

        async def ask(endpoint: Endpoint) -> T:
            await self._check_genesis(endpoint)
            return await call(endpoint)

        answers = await asyncio.gather(
            *(ask(endpoint) for endpoint in self._endpoints), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(
                answer, EndpointError | BadAnswerError
            ):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _check_genesis(self, endpoint: Endpoint) -> None:
        """Make an endpoint of another chain unusable, before anything else is asked of it; whether
        it still is on another one is asked again after a while."""
        now = asyncio.get_running_loop().time()
        if endpoint.problem and now < endpoint.look_again_at:
            raise EndpointError("UNREACHABLE", endpoint.problem)
        if self._expected_genesis is None or endpoint.genesis_id is not None:
            return
        found = await queries.genesis(endpoint)
        if found != self._expected_genesis:
            endpoint.problem = f"is on another chain: genesis {found}"
            endpoint.look_again_at = now + OTHER_CHAIN_SECONDS
            log.error("endpoint is unusable", endpoint=endpoint.name, problem=endpoint.problem)
            raise EndpointError("UNREACHABLE", endpoint.problem)
        endpoint.problem = ""
        endpoint.genesis_id = found

    def _seen(self, block: BlockRef) -> BlockRef:
        self._newest = max(self._newest, block.number)
        return block

    async def _solid_run(
        self, endpoint: Endpoint, after: BlockRef, limit: int, owners: frozenset[str]
    ) -> Sequence[SolidBlock]:
        newest = await endpoint.post("/walletsolidity/getnowblock", {})
        head = verify_block(newest, owners)
        ahead = self._seen(head.ref).number - after.number
        if ahead < 0:
            return ()
        if ahead == 0:
            if head.ref != after:
                raise BrokenLinkError(f"block {after.number} is {head.ref.block_id}")
            return ()
        if ahead == 1:
            return _linked(after, [head])
        blocks = await queries.solid_blocks(endpoint, after.number + 1, min(limit, ahead))
        return _linked(after, [verify_block(block, owners) for block in blocks])

    async def _send(self, body: Mapping[str, Any], start: int) -> str:
        """Ask the endpoints in turn until one takes the bytes, or says something of its own."""
        said = "UNREACHABLE"
        for step in range(len(self._endpoints)):
            endpoint = self._endpoints[(start + step) % len(self._endpoints)]
            try:
                await self._check_genesis(endpoint)
            except (EndpointError, BadAnswerError):
                continue
            try:
                answer = await endpoint.post("/wallet/broadcasthex", body)
                said = queries.broadcast_code(answer)
            except EndpointError as error:
                said = error.kind
            if said not in NOT_TAKEN:
                return said
        raise _NotTakenError(said)

    async def _balances(self, endpoint: Endpoint, owner: str) -> Balances:
        account = await queries.account(endpoint, owner)
        contract = self._settings.usdt_contract
        usdt = 0 if contract is None else await queries.token_balance(endpoint, contract, owner)
        return Balances(trx_sun=queries.amount(account.get("balance", 0)), usdt=usdt)


class Progress:
    """Whether a number stopped growing for longer than `stall_seconds`."""

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._highest = -1
        self._since = 0.0

    def stalled(self, number: int) -> bool:
        """Note a number; True (and the wait starts anew) when it has not grown for too long."""
        now = asyncio.get_running_loop().time()
        if number > self._highest:
            self._highest, self._since = number, now
            return False
        if now - self._since <= self._stall_seconds:
            return False
        self._since = now
        return True


def _linked(after: BlockRef, run: Sequence[SolidBlock]) -> Sequence[SolidBlock]:
    parent = after
    for block in run:
        if not follows(parent, block):
            raise BrokenLinkError(f"block {block.ref.number} does not follow {parent}")
        parent = block.ref
    return run
