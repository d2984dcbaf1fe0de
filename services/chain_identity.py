"""Which chain this deployment lives on: decided once, and held against every endpoint."""

from ports.chain import Chain
from ports.store import PayoutStore, UnfitStoreError


async def bind_database(store: PayoutStore, genesis_id: str) -> None:
    """Bind the database to a chain by the id of its block 0.

    Raises UnfitStoreError when it belongs to another chain, StoreError.
    """
    stored = await store.remember_genesis(genesis_id)
    if stored != genesis_id:
        raise UnfitStoreError(
            f"this database belongs to the chain with genesis {stored}, not to the one with "
            f"{genesis_id}: check TRON_NETWORK, TRON_RPC_URL and MONGODB_URL"
        )


class ChainIdentity:
    """Tells the endpoints which chain is ours before anything is asked of them.

    On a known network the id is known beforehand; on a devnet the first start takes it from the
    endpoints.
    """

    def __init__(self, store: PayoutStore, chain: Chain, known_genesis: str | None) -> None:
        self._store = store
        self._chain = chain
        self._known = known_genesis
        self._ours: str | None = None

    async def ensure(self) -> str:
        """The block id of our chain's block 0 (hex), after binding to it if that has not been done
        yet. Raises StoreError, ChainUnavailableError, UnfitStoreError."""
        if self._ours is None:
            ours = await self._bind()
            self._chain.expect_genesis(ours)
            self._ours = ours
        return self._ours

    async def _bind(self) -> str:
        if self._known is not None:
            await bind_database(self._store, self._known)
            return self._known
        # Of several devnets the one that the database remembers is ours.
        return await self._store.remember_genesis(await self._chain.genesis_id())
