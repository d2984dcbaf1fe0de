"""An audit log that loses something, has it twice, or can be rewritten."""

from tests.mutants.mutant import Edit, Mutant, mongo_mutant, mutant

SEQUENCER = "services/sequencer.py"
LOG = "adapters/memory/audit.py"
RECORDS = "models/audit.py"
CHECK = "models/audit_check.py"
TOKENS = "services/tokens.py"
MONGO_LOG = "adapters/mongo/audit.py"

LOG_TESTS = ("tests/contract/test_audit_log.py",)
ONLY_VERIFIED = "its logs are whole, and nobody is shown another one"

MUTANTS = (
    mutant(
        "outbox-emptied-before-the-log-has-it",
        "what happened is in no log when the sequencer stops between the two",
        Edit(
            SEQUENCER,
            """\
        if entries and not await self._audit.append_entries(entries):
            return True
        await self._audit.forget_logged(records)
""",
            """\
        await self._audit.forget_logged(records)
        if entries and not await self._audit.append_entries(entries):
            return True
""",
        ),
    ),
    mutant(
        "logged-without-the-unique-source",
        "what two sequencers read is in the log twice",
        Edit(
            LOG,
            "entry.number in self._entries or entry.record.key in self._keys",
            "entry.number in self._entries",
        ),
    ),
    mutant(
        "logged-without-the-unique-number",
        "an entry takes the place of another one",
        Edit(
            LOG,
            "entry.number in self._entries or entry.record.key in self._keys",
            "entry.record.key in self._keys",
        ),
    ),
    mutant(
        "what-is-logged-already-is-not-asked",
        "after a crash between log and outbox nothing is logged any more",
        Edit(
            SEQUENCER,
            "        return [record for record in records if record.key not in logged]\n",
            "        return records\n",
        ),
    ),
    mutant(
        "old-head-believed-after-a-failure",
        "a sequencer whose append was refused numbers from the same head for ever",
        Edit(
            SEQUENCER,
            "        known, self._head = self._head, None\n",
            "        known = self._head\n",
        ),
    ),
    mutant(
        "what-was-put-off-is-forgotten",
        "of a group that is larger than a turn the rest leaves its outbox unlogged",
        Edit(
            SEQUENCER,
            "(await self._audit.unlogged(self._group_size))[: self._group_size]\n",
            "await self._audit.unlogged(self._group_size)\n",
        ),
        Edit(
            SEQUENCER,
            "        entries = linked(head, fresh)\n",
            "        entries = linked(head, fresh[: self._group_size])\n",
        ),
    ),
    mutant(
        "hash-leaves-out-the-reason",
        "why something was done can be rewritten, and no hash tells",
        Edit(
            RECORDS,
            '    fields = {**asdict(record), "at": moment_text(record.at)}\n',
            '    fields = {**asdict(record), "at": moment_text(record.at)}\n'
            '    fields.pop("why")\n',
        ),
    ),
    mutant(
        "hash-leaves-out-the-one-before",
        "entries can be taken out, and the rest be numbered anew",
        Edit(
            RECORDS,
            '"previous_hash": previous_hash}\n',
            '"previous_hash": previous_hash[:0]}\n',
        ),
    ),
    mutant(
        "transition-not-put-out",
        "what happened to a payout is in its history and in no log",
        Edit(
            "adapters/memory/changes.py",
            '        assignments["outbox"] = (*payout.outbox, len(payout.history))\n',
            "",
        ),
    ),
    mutant(
        "creation-not-put-out",
        "the log does not say who asked for a payout",
        Edit("services/intake.py", "            outbox=(0,),\n", "            outbox=(),\n"),
    ),
    mutant(
        "explained-without-a-note",
        "nobody can be asked why a transfer was declared to be known",
        Edit(
            "services/unexplained.py",
            "        await self._acts.note(\n            caller,\n",
            "        await _nothing(\n            caller,\n",
        ),
        Edit(
            "services/unexplained.py",
            "def _tied_to(",
            "async def _nothing(*told: object, **more: object) -> None: ...\n\n\ndef _tied_to(",
        ),
    ),
    mutant(
        "revoked-without-a-note",
        "nobody can be asked why a token does not count any more",
        Edit(
            TOKENS,
            "        await self._acts.note(\n",
            "        await _nothing(\n",
        ),
        Edit(
            TOKENS,
            "def _shown(",
            "async def _nothing(*told: object, **more: object) -> None: ...\n\n\ndef _shown(",
        ),
    ),
    Mutant(
        "changed-content-is-not-noticed",
        "an entry is verified by its links alone",
        (
            Edit(
                CHECK,
                "    if entry.hash != digest_of(",
                "    if False and entry.hash != digest_of(",
            ),
        ),
        ONLY_VERIFIED,
        ("tests/unit/models/test_audit.py",),
    ),
    Mutant(
        "history-is-not-compared",
        "a log that was rewritten as a whole is verified without the payouts' own histories",
        (
            Edit(
                CHECK,
                "        if record != record_of(story, record.n):\n",
                "        if False:\n",
            ),
        ),
        ONLY_VERIFIED,
        ("tests/unit/models/test_audit.py", "tests/unit/services/test_audit.py"),
    ),
    mongo_mutant(
        "mongo-logged-without-the-unique-source",
        "what two sequencers read is in the log twice",
        Edit(
            "adapters/mongo/indexes.py",
            '        "each event and act is in the log once; logged",\n        unique=True,\n',
            '        "each event and act is in the log once; logged",\n',
        ),
        tests=LOG_TESTS,
    ),
    mongo_mutant(
        "mongo-transition-not-put-out",
        "what happened to a payout is in its history and in no log",
        Edit(
            "adapters/mongo/changes.py",
            '        assignments["outbox"] = pushed("$outbox", {"$size": items("$history")})\n',
            "",
        ),
        tests=LOG_TESTS,
    ),
    mongo_mutant(
        "mongo-archived-by-deletion",
        "old entries leave the log though the archive has others",
        Edit(MONGO_LOG, "        if copies != hashes:\n", "        if False:\n"),
        tests=("tests/integration/test_audit.py",),
    ),
)
