"""The MongoDB adapter: what its guards, its order and its indexes stand for."""

from tests.mutants.mutant import Edit, mongo_mutant

SETTLEMENT = "adapters/mongo/settlement.py"
CHANGES = "adapters/mongo/changes.py"
LIMITS = "adapters/mongo/limits.py"
DISPATCH = "adapters/mongo/dispatch.py"

MUTANTS = (
    mongo_mutant(
        "mongo-cursor-before-the-payouts",
        "the cursor moves, and a failure forgets the hits that should have come first",
        Edit(
            SETTLEMENT,
            "        group = [*map(_hit_update, hits), _cursor_update(expected, new)]\n",
            "        group = [_cursor_update(expected, new), *map(_hit_update, hits)]\n",
        ),
        Edit(SETTLEMENT, "        last = len(group) - 1\n", "        last = 0\n"),
    ),
    mongo_mutant(
        "mongo-cursor-without-compare",
        "a settler that was paused sets the cursor back",
        Edit(
            SETTLEMENT,
            '        {"_id": CURSOR_ID, "cursor": encode(expected)}, {"$set"',
            '        {"_id": CURSOR_ID}, {"$set"',
        ),
    ),
    mongo_mutant(
        "mongo-hit-leaves-the-version",
        "a change that was decided without a hit is written over it",
        Edit(SETTLEMENT, '            "$inc": {"version": 1},\n', ""),
    ),
    mongo_mutant(
        "mongo-hit-of-nobody-lost",
        "a transfer that no payout knows is not kept",
        Edit(SETTLEMENT, "        upsert=True,\n    )\n\n\ndef _cursor", "    )\n\n\ndef _cursor"),
    ),
    mongo_mutant(
        "mongo-lease-token-ignored",
        "who lost the lease still records",
        Edit(
            CHANGES,
            '        (guard.lease_token is not None, {"lease.token": guard.lease_token}),\n',
            "",
        ),
    ),
    mongo_mutant(
        "mongo-version-ignored",
        "a change that was decided on what is no longer so is written",
        Edit(CHANGES, '        (guard.version is not None, {"version": guard.version}),\n', ""),
    ),
    mongo_mutant(
        "mongo-death-without-unhit",
        "the write of a death does not demand that no hit is on the attempt",
        Edit(
            CHANGES,
            '        (guard.unhit, {"hits": {"$not": {"$elemMatch": '
            '{"txid": guard.live_txid}}}}),\n',
            "",
        ),
    ),
    mongo_mutant(
        "mongo-txid-used-again",
        "an attempt is recorded under a txid that the payout had before",
        Edit(
            CHANGES,
            '        (guard.fresh_txid is not None, {"txids": {"$ne": guard.fresh_txid}}),\n',
            "",
        ),
    ),
    mongo_mutant(
        "mongo-txids-not-unique",
        "two payouts may share a txid",
        Edit(
            "adapters/mongo/indexes.py",
            '        unique=True,\n        only={"txids": TEXT},\n',
            '        only={"txids": TEXT},\n',
        ),
    ),
    mongo_mutant(
        "mongo-key-not-unique",
        "requests with one key that race make a payout each",
        Edit(
            "adapters/mongo/indexes.py",
            '        unique=True,\n        only={"idempotency_key": TEXT},\n',
            '        only={"idempotency_key": TEXT},\n',
        ),
    ),
    mongo_mutant(
        "mongo-one-member-is-enough",
        "a write counts before a majority has journaled it",
        Edit(
            "adapters/mongo/client.py",
            'write_concern=WriteConcern(w="majority", j=True)',
            "write_concern=WriteConcern(w=1)",
        ),
    ),
    mongo_mutant(
        "mongo-reads-from-a-secondary",
        "what decides is read from a member that lags",
        Edit(
            "adapters/mongo/client.py",
            "read_preference=ReadPreference.PRIMARY,",
            "read_preference=ReadPreference.SECONDARY_PREFERRED,",
        ),
    ),
    mongo_mutant(
        "mongo-host-clock",
        "leases, due times and expiry are judged by the clock of the host",
        Edit(
            "adapters/mongo/expressions.py",
            'NOW = "$$NOW"\n',
            'NOW = __import__("datetime").datetime.now(__import__("datetime").UTC)\n',
        ),
    ),
    mongo_mutant(
        "mongo-claim-of-the-leased",
        "a payout is claimed while another holds its lease",
        Edit(DISPATCH, '            {"$not": [is_ahead("$lease.until")]},\n', ""),
    ),
    mongo_mutant(
        "mongo-claim-of-the-unjudged",
        "a payout is claimed while a hit on it waits to be judged",
        Edit(
            DISPATCH,
            '    "live_attempt": None,\n    "unsettled": NOT_TEXT,\n',
            '    "live_attempt": None,\n',
        ),
    ),
    mongo_mutant(
        "mongo-claims-not-counted",
        "what another replica is building with is promised again",
        Edit(
            DISPATCH,
            '{"$match": {"$or": [{"status": PayoutStatus.PROCESSING}, building]}}',
            '{"$match": {"status": PayoutStatus.PROCESSING}}',
        ),
    ),
    mongo_mutant(
        "mongo-limit-not-guarded",
        "a window takes more than it may hold",
        Edit(
            LIMITS,
            '    taken = {"$and": [{"$not": [held]}, *fits]}',
            '    taken = {"$not": [held]}',
        ),
    ),
    mongo_mutant(
        "mongo-reserved-twice",
        "a reservation whose answer was lost counts again",
        Edit(
            LIMITS, '    taken = {"$and": [{"$not": [held]}, *fits]}', '    taken = {"$and": fits}'
        ),
    ),
    mongo_mutant(
        "mongo-released-twice",
        "a release that is repeated takes the amount out again",
        Edit(
            LIMITS,
            '                    "entries": without("$entries", is_it),\n',
            "",
        ),
    ),
    mongo_mutant(
        "mongo-tombstone-skipped",
        "a payout arrives after its reservation was undone",
        Edit(
            LIMITS,
            '            await self._payouts.insert_one({"_id": payout_id, '
            '"kind": Kind.TOMBSTONE.value})\n',
            "            pass\n",
        ),
    ),
    mongo_mutant(
        "mongo-expiry-of-the-unjudged",
        "a payout expires while a hit on it waits to be judged",
        Edit(
            "adapters/mongo/times.py",
            '    "unsettled": NOT_TEXT,\n',
            "",
        ),
    ),
    mongo_mutant(
        "mongo-history-forgotten",
        "a transition leaves no trace in the history",
        Edit(
            CHANGES,
            '        assignments["history"] = pushed("$history", _event(change))\n',
            "        pass\n",
        ),
    ),
)
