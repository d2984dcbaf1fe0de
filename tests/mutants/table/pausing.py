"""A pause that does not hold, or holds too much."""

from tests.mutants.mutant import Edit, mongo_mutant, mutant

DISPATCH = "services/dispatch.py"
GATE = "services/gate.py"
INTAKE = "services/intake.py"
CONTROL = "services/control.py"

LEASES_END = "its leases end soon"

NOTED = """\
        await self._acts.note(
            caller,
            "system:pause",
            pause.gate,
            reason=reason,
            before=_state(before),
            after=f"closed: {reason}",
        )
"""
DONE = "        await self._store.close_gate(pause.gate, reason, closed_by=caller.name)\n"

MUTANTS = (
    mutant(
        "pause-closes-no-dispatch",
        "payouts are paid on though a person has stopped it",
        Edit(GATE, "(*_lasting(standing), *paused, *", "(*_lasting(standing), *"),
    ),
    mutant(
        "paused-wallet-pays",
        "a wallet whose key may be stolen goes on paying",
        Edit(GATE, "wallets = self._wallets - {", "wallets = self._wallets or {"),
    ),
    mutant(
        "paused-currency-is-paid",
        "a currency is paid on though a person has stopped it",
        Edit(
            GATE,
            "    currencies = frozenset(Currency) - {",
            "    currencies = frozenset(Currency) or {",
        ),
    ),
    mutant(
        "all-currencies-wait-for-one",
        "a pause of one currency stops the others",
        Edit(GATE, "and (nothing_left or (", "and (True or ("),
    ),
    mutant(
        "recorded-upon-an-old-look",
        "a group that took long to build is recorded long after a pause",
        Edit(
            DISPATCH,
            "        while self.seconds() - looked_at > LOOK_SECONDS:",
            "        while False:",
        ),
    ),
    mutant(
        "paused-currency-is-recorded",
        "a group that took long to build is recorded in a currency that was stopped meanwhile",
        Edit(
            DISPATCH,
            "view.currencies <= seen.currencies and view.wallets <= seen.wallets",
            "view.wallets <= seen.wallets",
        ),
    ),
    mutant(
        "pause-keeps-the-lease",
        "what was claimed when a pause came waits for its lease after the pause has ended",
        Edit(
            DISPATCH,
            """\
                await self._hand_back(claim.payouts, token)
                return not self.closed
""",
            "                return not self.closed\n",
        ),
        spared=LEASES_END,
    ),
    mutant(
        "pause-takes-payouts-in",
        "payouts are accepted though a person has stopped the intake",
        Edit(
            "services/admission.py",
            "        if pause.what is Activity.INTAKE and",
            "        if False and",
        ),
    ),
    mutant(
        "pause-refuses-replays",
        "who asks again while the intake is paused is told that nothing was taken",
        Edit(
            INTAKE,
            "        before = await self._replay(caller, request)\n        if before is not None:\n"
            "            return before\n        try",
            "        from services.admission import check_open\n\n"
            "        check_open(await self._store.gates(), request.order.currency)\n"
            "        before = await self._replay(caller, request)\n        if before is not None:\n"
            "            return before\n        try",
        ),
    ),
    mutant(
        "paused-before-it-is-noted",
        "a pause that nobody can be asked about",
        Edit(CONTROL, NOTED, DONE),
        Edit(CONTROL, DONE + "        log", NOTED + "        log"),
    ),
    mutant(
        "paused-currency-is-claimed",
        "what is stopped is claimed with the rest, and paid",
        Edit(
            "adapters/memory/store.py",
            "            and payout.order.currency in currencies\n",
            "",
        ),
    ),
    mongo_mutant(
        "mongo-paused-currency-is-claimed",
        "what is stopped is claimed with the rest, and paid",
        Edit(
            "adapters/mongo/dispatch.py",
            '            "order.currency": {"$in": [each.value for each in currencies]},\n',
            "",
        ),
        tests=("tests/contract/test_store_dispatch.py",),
    ),
    mutant(
        "resuming-a-part-resumes-all",
        "who lets a currency go on opens what somebody else has stopped",
        Edit(
            CONTROL,
            '        gate = await self._closed(pause.gate, "this is not paused")\n',
            '        gate = await self._closed(Pause(pause.what).gate, "this is not paused")\n',
        ),
    ),
    mutant(
        "pause-stops-what-lives",
        "while something is paused attempts that are on their way are neither sent nor judged",
        Edit(
            "services/settlement.py",
            """\
        await self.settle_hits()
        if self._seen is None:
            return
""",
            """\
        if any(gate.name.startswith("pause:") for gate in await self._store.gates()):
            return
        await self.settle_hits()
        if self._seen is None:
            return
""",
        ),
    ),
)
