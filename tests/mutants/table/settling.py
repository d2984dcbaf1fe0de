"""Reading blocks and judging what they hold."""

from tests.mutants.mutant import Edit, mutant

SETTLEMENT = "services/settlement.py"
CLIENT = "adapters/tron/client.py"
BLOCKS = "adapters/tron/blocks.py"
QUERIES = "adapters/tron/queries.py"
RESCAN = "services/rescan.py"

JUDGED = "return Verdict.PAID if of_asset == [attempt.transfer] else Verdict.MISMATCH"
MISMATCH = (
    "return _close(payout, attempt, hit, PayoutStatus.NEEDS_REVIEW, AttemptState.SETTLED, why)"
)
BACK_TO_PENDING = Edit(
    "models/settlement.py",
    MISMATCH,
    "return _close(payout, attempt, hit, PayoutStatus.PENDING, AttemptState.FAILED_ON_CHAIN, why)",
)
MOVED = "        if not await self._store.move_cursor(cursor, new, hits):\n"
HITS = "            hits = await self._chain.hits(block) if block.owned else ()\n"

NO_WRONG_DEATH = "no liar of several nodes can have a second endpoint confirm its block"

LEFT_BEHIND = Edit(
    "services/settlement.py", "        if oldest < cursor.run_start:\n", "        if False:\n"
)

GOES_ON = (
    Edit(
        RESCAN,
        "    back_to = vouched if oldest is None else min(oldest, vouched)\n",
        "    back_to = cursor.block.number\n",
    ),
    LEFT_BEHIND,
)

DOUBTED = Edit("services/gate.py", "            if doubt:\n", "            if False:\n")

MUTANTS = (
    mutant(
        "settled-by-a-block-that-is-not-solid",
        "a block that a fork can still drop completes a payout",
        Edit(
            CLIENT,
            '        newest = await endpoint.post("/walletsolidity/getnowblock", {})\n',
            '        newest = await endpoint.post("/wallet/getnowblock", {})\n',
        ),
        Edit(QUERIES, '"/walletsolidity/getblockbylimitnext"', '"/wallet/getblockbylimitnext"'),
        Edit(
            QUERIES,
            '"/walletsolidity/gettransactioninfobyblocknum"',
            '"/wallet/gettransactioninfobyblocknum"',
        ),
    ),
    mutant(
        "success-without-the-log",
        "result SUCCESS completes a payout whatever the contract moved",
        Edit("models/transaction.py", JUDGED, "return Verdict.PAID"),
    ),
    mutant(
        "one-log-among-others",
        "the asked transfer completes a payout though the contract moved more",
        Edit(
            "models/transaction.py",
            JUDGED,
            "return Verdict.PAID if attempt.transfer in of_asset else Verdict.MISMATCH",
        ),
    ),
    mutant(
        "amount-of-the-log-ignored",
        "any transfer to the recipient completes a payout",
        Edit(
            "models/transaction.py",
            "if of_asset == [attempt.transfer] else",
            "if [t.recipient for t in of_asset] == [attempt.transfer.recipient] else",
        ),
    ),
    mutant(
        "log-without-success",
        "a log of a failed transaction completes a payout",
        Edit(
            "models/transaction.py",
            '    if hit.contract_ret == "SUCCESS":\n',
            "    if hit.transfers:\n",
        ),
    ),
    mutant(
        "mismatch-goes-back-to-pending",
        "a solid SUCCESS that is not what was asked waits to be paid again, instead of a person",
        BACK_TO_PENDING,
    ),
    mutant(
        "mismatch-is-paid-again",
        "after a solid SUCCESS that is not what was asked another attempt is made",
        BACK_TO_PENDING,
        Edit("models/payout.py", "        and not has_success(payout)\n", ""),
    ),
    mutant(
        "blocks-with-gaps",
        "a block follows another whatever lies between",
        Edit(
            "models/chain.py",
            """\
        block.ref.number == parent.number + 1
        and block.parent_id == parent.block_id
        and block.ref.time_ms""",
            "        block.ref.time_ms",
        ),
        Edit(
            CLIENT,
            "queries.solid_blocks(endpoint, after.number + 1,",
            "queries.solid_blocks(endpoint, after.number + 2,",
        ),
    ),
    mutant(
        "parent-link-not-checked",
        "a block follows another of the next number, whatever chain it is of",
        Edit("models/chain.py", "        and block.parent_id == parent.block_id\n", ""),
    ),
    mutant(
        "merkle-root-not-checked",
        "a block is believed though transactions were left out or altered",
        Edit(BLOCKS, "        if merkle_root(leaves).hex() != root:", "        if False:"),
    ),
    mutant(
        "block-id-believed",
        "a block has the id that the node says",
        Edit(
            BLOCKS,
            "    identity = block_id(number, header_bytes(header)).hex()\n",
            '    identity = answer["blockID"]\n',
        ),
    ),
    mutant(
        "info-believed",
        "the result is the info's, whichever block it names and whatever the block's own says",
        Edit(
            BLOCKS,
            '    if info.get("blockNumber", 0) != block.number or '
            'info.get("blockTimeStamp") != block.time_ms:',
            "    if False:",
        ),
        Edit(
            BLOCKS,
            '    if (info.get("result") == "FAILED") is succeeded:',
            "    if False:",
        ),
        Edit(BLOCKS, "        if result != transaction.contract_ret:", "        if False:"),
        Edit(
            BLOCKS,
            "            contract_ret=transaction.contract_ret,\n            transfers",
            """\
            contract_ret=info.get("receipt", {}).get("result", transaction.contract_ret),
            transfers""",
        ),
    ),
    mutant(
        "missing-info-is-no-hit",
        "the cursor goes past a transaction of ours whose info is missing",
        Edit(QUERIES, "    if missing:\n", "    if False:\n"),
        Edit(
            QUERIES,
            "infos[tx.txid]) for tx in block.owned]",
            "infos[tx.txid]) for tx in block.owned if tx.txid in infos]",
        ),
    ),
    mutant(
        "unreadable-block-skipped",
        "the cursor goes past a block whose transactions could not be read",
        Edit(
            SETTLEMENT,
            HITS,
            """\
            try:
                hits = await self._chain.hits(block) if block.owned else ()
            except Exception:
                hits = ()
""",
        ),
    ),
    mutant(
        "cursor-before-the-payouts",
        "the cursor moves, and a crash forgets the hits that should have come first",
        Edit(
            SETTLEMENT,
            MOVED,
            """\
        moved = await self._store.move_cursor(cursor, new, ())
        if not moved or not await self._store.move_cursor(new, new, hits):
""",
        ),
    ),
    mutant(
        "cursor-moved-without-compare",
        "a settler that was paused sets the cursor back, or away from what another found",
        Edit(
            "adapters/memory/store.py",
            "        if self._cursor == expected:\n            self._cursor = new\n",
            "        self._cursor = new\n",
        ),
    ),
    mutant(
        "hits-found-by-a-read",
        "which txids are ours is read now and then, and what is not among them passed over",
        Edit(
            SETTLEMENT,
            "        cursor = await self._current()\n        try:\n",
            """\
        from ports.store import PayoutQuery

        cursor = await self._current()
        self._turn = getattr(self, "_turn", -1) + 1
        if self._turn % 20 == 0:
            ours = await self._store.list(PayoutQuery(), 10_000)
            self._known = {txid for payout in ours for txid in payout.txids}
        try:
""",
        ),
        Edit(
            SETTLEMENT,
            HITS,
            HITS + "            hits = [h for h in hits if h.txid in self._known]\n",
        ),
    ),
    mutant(
        "hits-of-live-attempts-only",
        "a transaction of an attempt that is not live any more is taken for nobody's",
        Edit(
            SETTLEMENT,
            "        cursor = await self._current()\n        try:\n",
            """\
        from ports.store import PayoutQuery

        cursor = await self._current()
        ours = await self._store.list(PayoutQuery(), 10_000)
        self._known = {payout.live_attempt.txid for payout in ours if payout.live_attempt}
        try:
""",
        ),
        Edit(
            SETTLEMENT,
            HITS,
            HITS + "            hits = [h for h in hits if h.txid in self._known]\n",
        ),
    ),
    mutant(
        "hits-judged-by-who-read-them-only",
        "hits that a crash left unjudged are judged by nobody",
        Edit(
            SETTLEMENT,
            "left hits that were written and not judged.\n        self._unjudged = True\n",
            "left hits that were written and not judged.\n        self._unjudged = False\n",
        ),
        Edit(
            SETTLEMENT,
            "        await self.settle_hits()\n        if self._seen is None:\n",
            "        if self._seen is None:\n",
        ),
    ),
    mutant(
        "restart-at-the-newest-block",
        "after a restart reading goes on at the head, past what lies between",
        Edit(
            SETTLEMENT,
            """\
        if self._cursor is None:
            self._cursor = self._seen = await self._store.cursor()
""",
            """\
        if self._cursor is None:
            stored = await self._store.cursor()
            if stored is not None and self._seen is None:
                head = await self._chain.solid_head()
                await self._store.move_cursor(stored, replace(stored, block=head), ())
                stored = await self._store.cursor()
            self._cursor = self._seen = stored
""",
        ),
    ),
    mutant(
        "rescan-goes-back-to-nothing",
        "after a false chain reading goes on where it stood",
        *GOES_ON,
    ),
    mutant(
        "left-behind-by-a-rescan",
        "an attempt that was claimed before a rescan and recorded after it never dies",
        LEFT_BEHIND,
        spared="it shows in one world of some eighty thousand (seed 80260 of commit a4f706e)",
    ),
    mutant(
        "rescan-forgets-the-dead",
        "a rescan goes back to live attempts only, not to those that a false chain buried",
        Edit(
            "adapters/memory/store.py",
            "attempt.state in (AttemptState.LIVE, AttemptState.DEAD)",
            "attempt.state is AttemptState.LIVE",
        ),
        spared=NO_WRONG_DEATH,
    ),
    mutant(
        "rescan-reopens-at-once",
        "dispatch opens at the first block that links, before the rescan has caught up",
        Edit(
            SETTLEMENT,
            'broken=cursor.broken if block.number < cursor.reopen_at else "",',
            'broken="",',
        ),
        spared=NO_WRONG_DEATH,
    ),
    mutant(
        "broken-link-closes-nothing",
        "payouts are dispatched while it is in doubt whose chain was read",
        Edit(
            "services/gate.py",
            '[Closed("broken_link", cursor.broken)] if cursor and cursor.broken else []\n',
            "[]\n",
        ),
    ),
    mutant(
        "false-chain-believed-by-one",
        "a rescan starts from a block on which endpoints do not agree",
        Edit(CLIENT, "        if len(found) != 1:", "        if not found:"),
        spared="what starts on a false block does not link, and is begun again",
    ),
    mutant(
        "hit-by-one-node",
        "a block with transactions of ours is believed though no second endpoint has it",
        Edit(
            SETTLEMENT,
            "            found = await self._chain.doubt(run[index].ref)\n",
            '            found = ""\n',
        ),
    ),
    mutant(
        "blocks-by-one-node",
        "any number of blocks is believed though no second endpoint has them, as long as none is "
        "seen to hold a transaction of ours",
        Edit(
            SETTLEMENT,
            "        asked = {*owned, far, len(run) - 1} if far < len(run) else {*owned}\n",
            "        asked = {*owned}\n",
        ),
        DOUBTED,
        spared="its liars give up before so many blocks",
    ),
    mutant(
        "failure-by-one-node",
        "a transaction that failed frees its payout though no second endpoint has its block",
        Edit(
            SETTLEMENT,
            "            confirmed[block] = await self._chain.confirms(block)\n",
            "            confirmed[block] = True\n",
        ),
        Edit(
            SETTLEMENT,
            "            found = await self._chain.doubt(run[index].ref)\n",
            '            found = ""\n',
        ),
    ),
    mutant(
        "another-chain-is-ours",
        "an endpoint with another genesis is used",
        Edit(CLIENT, "        if found != self._expected_genesis:", "        if False:"),
    ),
    mutant(
        "history-forgotten",
        "a transition leaves no trace in the history",
        Edit(
            "adapters/memory/changes.py",
            '        assignments["history"] = (*payout.history, _event(change, now))\n',
            "        pass\n",
        ),
    ),
)
