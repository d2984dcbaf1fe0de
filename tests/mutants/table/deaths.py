"""Declaring an attempt dead without the proof."""

from tests.mutants.mutant import Edit, mutant
from tests.mutants.table.settling import GOES_ON, NO_WRONG_DEATH

SETTLEMENT = "services/settlement.py"
TRANSACTION = "models/transaction.py"

DEAD = "        dead = [(p, a) for p, a in unseen if is_dead(a, cursor)]\n"
EXPIRED = "        and cursor.block.time_ms >= attempt.expiration_ms\n"
UNHIT = "guard=replace(change.guard, unhit=True),"
JUDGED_FIRST = """\
        await self.settle_hits()
        if self._seen is None:
            return
"""

ASKED = Edit(
    "adapters/tron/client.py",
    "    async def balances(self, owner: str) -> Balances:\n",
    '''\
    async def knows(self, txid: str) -> bool:
        """Whether a node finds the transaction in a block."""
        path, body = "/wallet/gettransactioninfobyid", {"value": txid}
        return bool(await self._first(lambda endpoint: endpoint.post(path, body)))

    async def balances(self, owner: str) -> Balances:
''',
)

MUTANTS = (
    mutant(
        "death-by-host-clock",
        "an expiration is judged by the clock of the host",
        Edit(
            TRANSACTION,
            EXPIRED,
            '        and __import__("time").time() * 1000 >= attempt.expiration_ms\n',
        ),
    ),
    mutant(
        "death-by-database-clock",
        "an expiration is judged by the database's clock",
        Edit(
            SETTLEMENT,
            DEAD,
            """\
        now_ms = (await self._store.now()).timestamp() * 1000
        dead = [(p, a) for p, a in unseen if now_ms >= a.expiration_ms]
""",
        ),
    ),
    mutant(
        "death-by-newest-block",
        "an expiration is judged by a block that is not solid, before what lies below is read",
        Edit(
            SETTLEMENT,
            DEAD,
            """\
        head = await self._chain.head()
        dead = [(p, a) for p, a in unseen if head.time_ms >= a.expiration_ms]
""",
        ),
    ),
    mutant(
        "death-by-not-found",
        "a node that does not find a transaction which was sent frees the payout",
        ASKED,
        Edit(
            SETTLEMENT,
            DEAD,
            """\
        dead = [(p, a) for p, a in unseen if a.answers and not await self._chain.knows(a.txid)]
""",
        ),
    ),
    mutant(
        "death-by-not-found-when-expired",
        "past the expiration, a node that does not find the transaction frees the payout",
        ASKED,
        Edit(
            SETTLEMENT,
            DEAD,
            """\
        head = await self._chain.head()
        old = [(p, a) for p, a in unseen if head.time_ms >= a.expiration_ms]
        dead = [(p, a) for p, a in old if not await self._chain.knows(a.txid)]
""",
        ),
    ),
    mutant(
        "death-one-block-early",
        "the last block that can include an attempt is not waited for",
        Edit(
            TRANSACTION,
            EXPIRED,
            "        and cursor.block.time_ms >= attempt.expiration_ms - BLOCK_INTERVAL_MS\n",
        ),
    ),
    mutant(
        "death-on-a-broken-link",
        "deaths are declared while it is in doubt whose chain was read",
        Edit(TRANSACTION, "        not cursor.broken\n        and cursor", "        cursor"),
        spared=NO_WRONG_DEATH,
    ),
    mutant(
        "death-before-the-run",
        "a rescan goes on where it stood, and what was not read again proves a death all the same",
        Edit(TRANSACTION, "        and cursor.run_start <= attempt.ref_block.number\n", ""),
        *GOES_ON,
    ),
    mutant(
        "death-by-one-node",
        "no second endpoint is asked for the block that a death rests on",
        Edit(
            SETTLEMENT,
            "        if not await self._chain.confirms(cursor.block):",
            "        if False:",
        ),
    ),
    mutant(
        "death-by-a-cursor-in-memory",
        "a death rests on how far this replica read, not on what the store holds",
        Edit(
            SETTLEMENT,
            "        cursor = await self._store.cursor() if payouts else None\n",
            "        cursor = self._seen if payouts else None\n",
        ),
        spared=NO_WRONG_DEATH,
    ),
    mutant(
        "death-over-a-hit",
        "whether a hit is on the attempt is asked neither before a death nor by its write",
        Edit(SETTLEMENT, JUDGED_FIRST, "        if self._seen is None:\n            return\n"),
        Edit(SETTLEMENT, "if p.live_attempt and live_hit(p) is None]", "if p.live_attempt]"),
        Edit("models/settlement.py", UNHIT, "guard=replace(change.guard, version=None),"),
    ),
    mutant(
        "hit-on-a-dead-attempt-ignored",
        "a payment by an attempt that was declared dead alarms nobody",
        Edit(
            SETTLEMENT,
            "        wrong = hit_on_dead(payout)\n",
            "        wrong = None\n",
        ),
        spared=NO_WRONG_DEATH,
    ),
)
