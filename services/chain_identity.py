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
        self._bound = False

    async def ensure(self) -> None:
        """Bind if that has not been done yet. Raises StoreError, ChainUnavailableError,
        UnfitStoreError."""
        if self._bound:
            return
        if self._known is not None:
            await bind_database(self._store, self._known)
            ours = self._known
        else:
            # Of several devnets the one that the database remembers is ours.
            ours = await self._store.remember_genesis(await self._chain.genesis_id())
        self._chain.expect_genesis(ours)
        self._bound = True
