"""Claiming, recording and sending: what makes two payments out of one."""

from tests.mutants.mutant import Edit, mutant

DISPATCH = "services/dispatch.py"
BROADCAST = "services/broadcast.py"
MEMORY = "adapters/memory/store.py"

TIMED_OUT = '{"TIMEOUT", "HTTP_ERROR", "BAD_ANSWER"}'

RECORD_AND_SEND = """\
        await self._broadcaster.send(await self._record(ready, claim.payouts, token))
"""
RECORD_GUARD = "replace(change.guard, lease_token=token, fresh_txid=attempt.txid)"
ALL_IS_SENT = Edit(DISPATCH, "        if written == len(ready):", "        if written >= 0:")


def concluding(condition: str, status: str, state: str) -> Edit:
    """What a node said of the bytes ends the attempt."""
    return Edit(
        BROADCAST,
        "        await self._store.note_broadcasts(notes)\n",
        f"""\
        await self._store.note_broadcasts(notes)
        from models.payout import PayoutStatus, move
        from models.transaction import AttemptState

        for note in notes:
            payout = await self._store.get(note.payout_id)
            attempt = payout.live_attempt if payout else None
            if attempt is None or attempt.txid != note.txid or not ({condition}):
                continue
            end = {{"close": attempt, "close_as": AttemptState.{state}, "due_in_seconds": 0.0}}
            await self._store.apply([move(payout, PayoutStatus.{status}, by="mutant", **end)])
""",
    )


MUTANTS = (
    mutant(
        "broadcast-before-record",
        "bytes go to a node before they are stored; a crash between forgets them",
        Edit(
            DISPATCH,
            RECORD_AND_SEND,
            """\
        await self._broadcaster.send([(c.payout_id, c.record) for c in ready if c.record])
        await self._record(ready, claim.payouts, token)
""",
        ),
    ),
    mutant(
        "sent-from-memory-after-unclear-record",
        "a record that was not confirmed counts as written",
        Edit(DISPATCH, "            written = -1", "            written = len(ready)"),
    ),
    mutant(
        "sent-though-the-record-missed",
        "bytes are sent though the guarded write found the payout changed",
        ALL_IS_SENT,
    ),
    mutant(
        "lease-token-ignored",
        "who lost the lease still records, over what another has recorded meanwhile",
        Edit(DISPATCH, RECORD_GUARD, "replace(change.guard, fresh_txid=attempt.txid)"),
        Edit(
            MEMORY,
            "            if payout is None or not guard_holds(payout, change.guard):\n",
            """\
            guarded = change.record is None
            if payout is None or guarded and not guard_holds(payout, change.guard):
""",
        ),
    ),
    mutant(
        "record-without-version",
        "an attempt is recorded though the payout changed after it was claimed",
        Edit(
            DISPATCH,
            RECORD_GUARD,
            "replace(change.guard, version=None, lease_token=token, fresh_txid=attempt.txid)",
        ),
        spared="all but a hit on a dead attempt takes lease or status as well",
    ),
    mutant(
        "lease-ignored-everywhere",
        "leased payouts are claimed again, and what was built is sent whoever records first",
        Edit(
            MEMORY,
            "        and (payout.lease is None or payout.lease.until <= now)\n",
            "",
        ),
        Edit(DISPATCH, RECORD_GUARD, "replace(change.guard, version=None)"),
        ALL_IS_SENT,
    ),
    mutant(
        "lease-by-host-clock",
        "leases and due times are judged by the clock of the host",
        Edit(
            MEMORY,
            "        now = self._now()\n        candidates =",
            """\
        from datetime import UTC

        now = datetime.now(UTC)
        candidates =""",
        ),
    ),
    mutant(
        "equal-payouts-share-a-txid",
        "equal payouts share a txid, which nothing keeps unique, and both count as paid by it",
        Edit("models/transaction.py", 'f"{payout_id}/{number}"', 'f"{number}"'),
        Edit(
            MEMORY,
            "        return owner == payout.payout_id\n",
            "        return bool(owner)\n",
        ),
        Edit(
            MEMORY,
            "                self._add_hit(payout_id, hit)\n",
            """\
                for each in list(self._payouts.values()):
                    if hit.txid in each.txids:
                        self._add_hit(each.payout_id, hit)
""",
        ),
    ),
    mutant(
        "accepted-is-paid",
        "SUCCESS of a broadcast completes the payout",
        concluding('note.answer == "SUCCESS"', "COMPLETED", "SETTLED"),
    ),
    mutant(
        "dup-is-paid",
        "DUP_TRANSACTION_ERROR completes the payout",
        concluding('note.answer == "DUP_TRANSACTION_ERROR"', "COMPLETED", "SETTLED"),
    ),
    mutant(
        "refusal-is-dead",
        "a node's refusal frees the payout for another attempt",
        concluding(
            'note.answer.endswith("_ERROR")'
            ' and note.answer not in {"DUP_TRANSACTION_ERROR", "HTTP_ERROR"}',
            "PENDING",
            "DEAD",
        ),
    ),
    mutant(
        "expired-answer-is-dead",
        "TRANSACTION_EXPIRATION_ERROR frees the payout, though an included one says it too",
        concluding('note.answer == "TRANSACTION_EXPIRATION_ERROR"', "PENDING", "DEAD"),
    ),
    mutant(
        "busy-is-dead",
        "SERVER_BUSY and its kin free the payout for another attempt",
        concluding(
            "note.answer in __import__('models.transaction').transaction.NOT_TAKEN",
            "PENDING",
            "DEAD",
        ),
    ),
    mutant(
        "time-out-retried-with-a-new-raw",
        "an answer that was lost frees the payout for another attempt",
        concluding(f"note.answer in {TIMED_OUT}", "PENDING", "DEAD"),
    ),
    mutant(
        "time-out-is-failed",
        "an answer that was lost ends the payout as failed",
        concluding(f"note.answer in {TIMED_OUT}", "FAILED", "DEAD"),
    ),
    mutant(
        "never-sent-again",
        "what was recorded and not sent is looked at by nobody: it is not sent, and never dies",
        Edit(
            "services/settlement.py",
            "for p in payouts if p.live_attempt and live_hit(p) is None]",
            "for p in payouts if p.live_attempt and p.live_attempt.answers and not live_hit(p)]",
        ),
    ),
    mutant(
        "cancelled-while-live",
        "a payout is cancelled while its bytes may still be included",
        Edit(
            "models/payout.py",
            "    _S.PROCESSING: frozenset({_S.PENDING,",
            "    _S.PROCESSING: frozenset({_S.CANCELLED, _S.PENDING,",
        ),
        Edit(
            "services/payout_router.py",
            """\
            return move(
                payout,
                PayoutStatus.CANCELLED,
                by=caller.name,
                request_id=caller.request_id,
                why=why,
            )
""",
            """\
            from models.transaction import AttemptState

            live = payout.live_attempt
            end = {"close": live, "close_as": AttemptState.DEAD} if live else {}
            return move(
                payout,
                PayoutStatus.CANCELLED,
                by=caller.name,
                request_id=caller.request_id,
                why=why,
                **end,
            )
""",
        ),
    ),
    mutant(
        "expired-while-live",
        "a payout expires by its own clock while its bytes may still be included",
        Edit(
            MEMORY,
            "self._with(*(OPEN - {PayoutStatus.PROCESSING}))",
            "self._with(*OPEN)",
        ),
        Edit(
            "models/settlement.py",
            '    return move(payout, PayoutStatus.EXPIRED, by="housekeeper", why=why)\n',
            """\
    live = payout.live_attempt
    state = AttemptState.DEAD if live else None
    return move(
        payout, PayoutStatus.EXPIRED, by="housekeeper", why=why, close=live, close_as=state
    )
""",
        ),
    ),
    mutant(
        "a-click-frees-what-is-unproven",
        "a person's retry builds a new attempt beside one that may have paid",
        Edit(
            "services/payout_router.py",
            "            if action is Resolution.RETRY and not all_attempts_unpaid(payout):",
            "            if False:",
        ),
        Edit(
            "services/attempts.py",
            "        if not all_attempts_unpaid(payout):",
            "        if False:",
        ),
    ),
    mutant(
        "signed-blind",
        "a codec that now and then writes another amount is not found out before it is signed",
        Edit(
            "adapters/tron/codec.py",
            "        transfer = draft.transfer\n        message = (\n",
            """\
        transfer = draft.transfer
        if draft.timestamp_ms % 3 == 0:
            transfer = Transfer(
                transfer.contract, transfer.owner, transfer.recipient, transfer.amount * 10
            )
        message = (
""",
        ),
        Edit("adapters/tron/codec.py", "        if self.build(draft) != raw:", "        if False:"),
        Edit(
            "services/attempts.py",
            "        if said.transfer != draft.transfer:",
            "        if False:",
        ),
        Edit("services/attempts.py", "        if said != draft:", "        if False:"),
    ),
    mutant(
        "signature-not-checked",
        "a signature is sent whoever made it",
        Edit("services/attempts.py", "        if signer != wallet:", "        if False:"),
    ),
)
