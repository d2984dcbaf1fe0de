"""Opening dispatch too early, and paying with money that is promised already."""

from tests.mutants.mutant import Edit, mutant
from tests.mutants.table.settling import NO_WRONG_DEATH

GATE = "services/gate.py"
FUNDS = "services/funds.py"
FEES = "models/settlement.py"

RAISED = "    raised = min(attempt.fee_limit_sun * 3 // 2, fees.max_fee_limit_sun)\n"
FEES_ONLY = "it wastes fees; no payout is paid twice, wrongly or never"
MADE_AGAIN = "such attempts die by proof, and others are made"

MUTANTS = (
    mutant(
        "open-before-caught-up",
        "payouts are dispatched at once, whatever a restored copy of the database has forgotten",
        Edit(GATE, "        if cursor.block.number < target.number:", "        if False:"),
        Edit(GATE, "        if target.after_ms is not None and", "        if False and"),
    ),
    mutant(
        "quarantine-skipped",
        "a restored copy of the database pays what it forgot that it paid",
        Edit(GATE, "    wait = quarantine or lag_ms > longest\n", "    wait = False\n"),
        spared="its nodes relay what they were sent at once or never",
    ),
    mutant(
        "lag-judged-after-reading-on",
        "the cursor of the start is forgotten, and with it that quarantine is due",
        Edit(
            GATE, "            start = self._started_at or cursor\n", "            start = cursor\n"
        ),
        spared="its people never forget to say that a copy was restored",
    ),
    mutant(
        "unexplained-closes-nothing",
        "a transfer of our wallet that nobody knows alarms nobody",
        Edit(GATE, "    if standing.open_unexplained:", "    if False:"),
    ),
    mutant(
        "frozen-closes-nothing",
        "gates that only a person opens are passed",
        Edit(
            GATE,
            "        if not gate.name.startswith(WALLET_GATE) and Pause.of(gate.name) is None\n",
            "        if False\n",
        ),
        spared=NO_WRONG_DEATH,
    ),
    mutant(
        "expiration-without-bound",
        "an attempt may live longer than quarantine waits",
        Edit(
            "services/dispatch.py",
            "if expiration_ms > cursor.block.time_ms + self._attempts.max_beyond_cursor_ms:",
            "if False:",
        ),
        spared="its heads are never so far ahead of what was read",
    ),
    mutant(
        "built-on-a-head-that-stands-still",
        "attempts are built on a chain that makes no blocks",
        Edit(
            "services/heads.py",
            "        elif looked_at - self._seen_at > self._stale_seconds:",
            "        elif False:",
        ),
        spared=MADE_AGAIN,
    ),
    mutant(
        "in-flight-not-counted",
        "what live attempts may still take is promised again",
        Edit(
            "adapters/memory/store.py",
            "        for payout, attempt in self._live():\n            add(",
            "        for payout, attempt in ():\n            add(",
        ),
        spared=FEES_ONLY,
    ),
    mutant(
        "claims-not-counted",
        "what another replica is building with is promised again",
        Edit(
            "adapters/memory/store.py",
            "            if lease is not None and lease.token != token "
            "and lease.until > self._now():",
            "            if False:",
        ),
        spared=FEES_ONLY,
    ),
    mutant(
        "fee-limit-not-raised",
        "a fee limit that was too low is tried again and again",
        Edit(FEES, '        fields["min_fee_limit_sun"] = raised\n', ""),
        spared=FEES_ONLY,
    ),
    mutant(
        "fee-limit-raised-without-cap",
        "each attempt may burn more than the one before, without end",
        Edit(FEES, RAISED, "    raised = attempt.fee_limit_sun * 3 // 2\n"),
        Edit(FEES, " and burned + raised <= fees.cap_sun(payout.route):", ":"),
        Edit(
            "models/funds.py",
            "        max(wanted, payout.min_fee_limit_sun), policy.max_fee_limit_sun, "
            "rates.max_fee_limit_sun\n",
            "        max(wanted, payout.min_fee_limit_sun), rates.max_fee_limit_sun\n",
        ),
        Edit(
            "models/funds.py",
            "    if payout.burned_sun + cost.max_cost_sun > cap:",
            "    if False:",
        ),
        spared=FEES_ONLY,
    ),
    mutant(
        "daily-ceiling-ignored",
        "fees burn past the ceiling of the day",
        Edit("models/funds.py", "    if after.fees_sun < 0:", "    if False:"),
        spared=FEES_ONLY,
    ),
    mutant(
        "shortage-closes-no-gate",
        "a wallet that ran short burns fees on one payout after another",
        Edit(
            "services/settlement.py",
            "            await self._funds.close_wallet(change.why.message, payout)\n",
            "            pass\n",
        ),
        spared=FEES_ONLY,
    ),
    mutant(
        "shortage-is-failed",
        "a payout that an empty wallet could not pay is given up",
        Edit(
            FEES,
            "    elif _is_shortage(hit, facts) and not binding:\n",
            "    elif False:\n",
        ),
        spared="a failed payout has ended as well",
    ),
    mutant(
        "deaths-by-silence-count",
        "deaths that dead endpoints or a halted chain caused put a person to work",
        Edit(
            "models/transaction.py",
            "    return bool(spoken - SHORTAGE_ANSWERS) and not halted\n",
            "    return True\n",
        ),
        spared="a person may be asked more often than need be",
    ),
)
