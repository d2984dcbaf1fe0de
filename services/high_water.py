"""The deployment's high-water mark: outside the database, it tells a restored copy from the real.

A database whose cursor is behind the mark has forgotten something, and what it forgot may include
bytes that were sent. So the gate RESTORED closes dispatch for every replica, and opens again only
when a replica that started behind it has waited out its quarantine (services/gate.py). Beside it
stands the head of the audit log, which a database whose log was cut off or rewritten contradicts.
"""

import structlog

from models.chain import BlockRef
from ports.audit import AuditLog, UnreadableEntryError
from ports.folders import HighWaterFile, HighWaterMark
from ports.store import PayoutStore, UnfitStoreError
from services.gate import RESTORED

log = structlog.get_logger(__name__)


async def recognise(
    store: PayoutStore, file: HighWaterFile, wallet: str, known_genesis: str | None
) -> None:
    """Hold the database against the mark, before anything of this start reads or pays.

    `known_genesis` is None on a devnet: then the mark's chain is ours. Closes RESTORED where the
    database is behind. Raises UnfitStoreError when the mark is of another chain, or of a wallet
    that this database never used; StoreError, FolderError.
    """
    mark = await file.read()
    if mark is None:
        return
    genesis = await store.remember_genesis(known_genesis or mark.genesis_id)
    if mark.genesis_id != genesis:
        raise UnfitStoreError(_foreign(f"the chain with genesis {mark.genesis_id}", genesis))
    if mark.wallet not in await store.remember_wallet(wallet):
        raise UnfitStoreError(_foreign(f"wallet {mark.wallet}", wallet))
    cursor = await store.cursor()
    if cursor is not None and cursor.block.number >= mark.block.number:
        return
    stands = "is empty" if cursor is None else f"has read blocks up to {cursor.block.number}"
    reason = (
        f"the database {stands}, but this deployment had read up to {mark.block.number}: it is a "
        "restored copy, and waits until nothing that it forgot can be included any more"
    )
    log.error("quarantine", reason=reason)
    await store.close_gate(RESTORED, reason)


async def recognise_log(audit: AuditLog, file: HighWaterFile) -> None:
    """Say loudly where the audit log contradicts the head that was noted outside of it.

    Raises StoreError, FolderError.
    """
    mark = await file.read()
    if mark is None or mark.audit is None or mark.audit.number == 0:
        return
    try:
        entry = await audit.audit_entry(mark.audit.number)
    except UnreadableEntryError:
        entry = None
    if entry is None or entry.hash != mark.audit.hash:
        log.error(
            "audit log contradicts its noted head: it was cut off, rewritten, or restored",
            number=mark.audit.number,
            noted=mark.audit.hash,
            found=entry and entry.hash,
        )


def _foreign(theirs: str, ours: str) -> str:
    return (
        f"the high-water mark in PAYMENT_SYSTEMS_DIR is that of {theirs}, not of {ours}: give each "
        "deployment a folder of its own, and check MONGODB_URL, TRON_NETWORK and the wallet's key"
    )


class HighWater:
    """Raises the mark as the cursor moves, and notes the audit log's head with it."""

    def __init__(
        self, store: PayoutStore, audit: AuditLog, file: HighWaterFile, wallet: str
    ) -> None:
        self._store = store
        self._audit = audit
        self._file = file
        self._wallet = wallet
        self._kept: BlockRef | None = None

    async def run(self, genesis_id: str) -> None:
        """Keep where the cursor is, if it has moved. Raises StoreError, FolderError."""
        cursor = await self._store.cursor()
        if cursor is None or cursor.block == self._kept:
            return
        head = await self._audit.audit_head()
        if await self._file.raise_to(HighWaterMark(genesis_id, self._wallet, cursor.block, head)):
            self._kept = cursor.block
