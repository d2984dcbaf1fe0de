"""Paying without consent, against a rule, too early, from another wallet, or beyond a limit."""

from tests.mutants.mutant import Edit, Mutant

APPROVAL = "models/approval.py"
APPROVING = "services/approving.py"
DECIDING = "services/deciding.py"
DISPATCH = "services/dispatch.py"
FALLBACK = "models/fallback.py"
INTAKE = "services/intake.py"
MOVING = "services/moving.py"
MEMORY = "adapters/memory/store.py"

TESTS_OF_APPROVALS = ("tests/unit/models/test_approval.py", "tests/unit/services/test_approving.py")
TESTS_OF_BATCHES = ("tests/unit/models/test_batch.py", "tests/unit/services/test_batches.py")
TESTS_OF_ROUTES = ("tests/unit/services/test_choosing.py",)
TESTS_OF_ROOMS = ("tests/unit/services/test_rooms.py", "tests/unit/models/test_route_health.py")
TESTS_OF_FALLBACK = ("tests/unit/models/test_fallback.py", "tests/unit/services/test_fallback.py")
TESTS_OF_RULES = ("tests/unit/services/test_screening.py",)
TESTS_OF_CLAIMS = ("tests/contract/test_store_claims.py",)
TESTS_OF_LIMITS = ("tests/contract/test_store_limits.py",)
TESTS_OF_TIMES = ("tests/unit/services/test_scheduling.py", "tests/contract/test_store_times.py")

SIMULATED = ""
NO_ROLES = "its oracle does not ask who may be urgent"
NO_HARM = "a client is told no, and nothing is paid wrongly"
SLOW_BUILD = "its groups seldom take that long to build"
SELDOM_EXPIRED = "its verifications seldom expire just before they are asked for"
SELDOM_SO_OFTEN = "its payouts seldom wait for long enough to fall back more often than they may"
NOT_MONGO = "it runs over the store in memory"


def _decided(name: str, brings_back: str, why: str, tests: tuple[str, ...], *edits: Edit) -> Mutant:
    """`why` the simulation does not kill it; SIMULATED where it does."""
    return Mutant(name, brings_back, edits, why, tests)


MUTANTS = (
    _decided(
        "maker-approves",
        "who created a payout gives consent to it",
        SIMULATED,
        TESTS_OF_APPROVALS,
        Edit(APPROVAL, "    if subject == maker:", "    if False:"),
    ),
    _decided(
        "one-person-approves-twice",
        "one person with two tokens counts as two",
        SIMULATED,
        TESTS_OF_APPROVALS,
        Edit(APPROVAL, "    if subject in _people(approval):", "    if False:"),
        Edit(
            APPROVAL,
            "    return len(_people(approval)) >= approval.needed\n",
            "    return len(approval.given) >= approval.needed\n",
        ),
    ),
    _decided(
        "one-consent-short",
        "a payout goes on when one consent is still missing",
        SIMULATED,
        TESTS_OF_APPROVALS,
        Edit(
            APPROVAL,
            "    return len(_people(approval)) >= approval.needed\n",
            "    return len(_people(approval)) >= approval.needed - 1\n",
        ),
    ),
    _decided(
        "consent-after-its-time",
        "consent counts that comes when the time to give it is over",
        SIMULATED,
        TESTS_OF_APPROVALS,
        Edit(APPROVAL, "    if now >= approval.expires_at:", "    if False:"),
    ),
    _decided(
        "any-role-decides",
        "whoever may approve something may approve everything",
        SIMULATED,
        TESTS_OF_APPROVALS,
        Edit(APPROVAL, "    if role not in roles:", "    if False:"),
    ),
    _decided(
        "release-is-consent",
        "who lets a payout pass a rule lets it pass without the consent that it needs",
        SIMULATED,
        TESTS_OF_APPROVALS,
        Edit(
            APPROVING,
            "            approval = payout.approval and restarted(payout.approval, now)\n",
            "            approval = None\n",
        ),
        Edit(
            APPROVING,
            "next_status(replace(payout, hold=None), now)",
            "next_status(replace(payout, hold=None, approval=None), now)",
        ),
    ),
    _decided(
        "hold-forgotten",
        "a payout that a rule holds goes on as if none did",
        SIMULATED,
        ("tests/unit/services/test_approving.py",),
        Edit("models/payout.py", "    if payout.hold is not None:\n", "    if False:\n"),
    ),
    _decided(
        "lists-asked-at-intake-only",
        "who comes onto the deny list while a payout waits is paid",
        SIMULATED,
        TESTS_OF_RULES,
        Edit(
            DISPATCH,
            "        clean = await self._screen(payouts, token, anchor.now)\n",
            "        clean = payouts\n",
        ),
    ),
    _decided(
        "lists-asked-once-for-a-slow-group",
        "who comes onto the deny list while a group takes long to build is paid",
        SLOW_BUILD,
        TESTS_OF_RULES,
        Edit(
            DISPATCH,
            "            if await self._deciding.screened(payouts, now, asks_token=False):",
            "            if False:",
        ),
    ),
    _decided(
        "refusal-at-dispatch-only-notes",
        "a rule that refuses what is about to be sent stops nothing",
        SIMULATED,
        TESTS_OF_RULES,
        Edit(
            DECIDING,
            "            if said.refusal is not None or said.hold is not None:",
            "            if said.hold is not None:",
        ),
    ),
    _decided(
        "hold-at-dispatch-only-notes",
        "a rule that holds what is about to be sent stops nothing",
        SIMULATED,
        TESTS_OF_RULES,
        Edit(
            DECIDING,
            "            if said.refusal is not None or said.hold is not None:",
            "            if said.refusal is not None:",
        ),
    ),
    _decided(
        "verified-for-ever",
        "a verification that has expired still counts",
        SELDOM_EXPIRED,
        ("tests/unit/models/test_compliance.py",),
        Edit(
            "models/compliance.py",
            "record.verified_at <= now < record.expires_at",
            "record.verified_at <= now",
        ),
    ),
    _decided(
        "claimed-whatever-its-wallet",
        "a payout of a wallet that is paused or empty is claimed with the others",
        SIMULATED,
        TESTS_OF_CLAIMS,
        Edit(
            MEMORY,
            "            and (wallets is None or payout.wallet is None "
            "or payout.wallet in wallets)\n",
            "",
        ),
    ),
    _decided(
        "mongo-claimed-whatever-its-wallet",
        "a payout of a wallet that is paused or empty is claimed with the others",
        NOT_MONGO,
        TESTS_OF_CLAIMS,
        Edit(
            "adapters/mongo/dispatch.py",
            '            **({} if wallets is None else {"wallet": '
            '{"$in": [*sorted(wallets), None]}}),\n',
            "",
        ),
    ),
    _decided(
        "default-wallet-pays-all",
        "whatever the route, the default wallet pays",
        SIMULATED,
        TESTS_OF_RULES,
        Edit(
            "services/attempts.py",
            "        return payout.wallet or self._default\n",
            "        return self._default\n",
        ),
    ),
    _decided(
        "default-key-signs-all",
        "what another wallet is to pay is signed with the key of the default one",
        SIMULATED,
        TESTS_OF_RULES,
        Edit(
            "services/attempts.py",
            "await self._signer_of(draft.transfer.owner).sign(digest)",
            "await self._signer_of(self._default).sign(digest)",
        ),
    ),
    _decided(
        "wallet-forgets-what-it-promised",
        "what a wallet has in flight is promised again",
        "it wastes fees; no payout is paid twice, wrongly or never",
        ("tests/integration/test_trouble_funds.py",),
        Edit(
            "services/funds.py",
            "exposures.get(wallet, Exposure()) + exposures.get(None, Exposure())",
            "exposures.get(None, Exposure())",
        ),
    ),
    _decided(
        "mongo-building-by-no-wallet",
        "what other replicas are building is promised again by the wallet that it is for",
        NOT_MONGO,
        ("tests/contract/test_store_dispatch.py",),
        Edit(
            "adapters/mongo/dispatch.py",
            '{"$ifNull": ["$live_attempt.owner", "$wallet"]}',
            '{"$ifNull": ["$live_attempt.owner", "-"]}',
        ),
    ),
    _decided(
        "numbers-not-counted",
        "a limit on how many payouts there may be holds nobody",
        SIMULATED,
        TESTS_OF_LIMITS,
        Edit(
            "models/spending.py",
            "self.max_count is None or used.count < self.max_count",
            "True",
        ),
    ),
    _decided(
        "mongo-numbers-not-counted",
        "a limit on how many payouts there may be holds nobody",
        NOT_MONGO,
        TESTS_OF_LIMITS,
        Edit("adapters/mongo/limits.py", ", (_COUNT, 1, window.max_count))", ",)"),
    ),
    _decided(
        "full-route-is-the-end",
        "a payout is refused by the limit of one route though another takes it",
        NO_HARM,
        TESTS_OF_ROUTES,
        Edit(
            INTAKE,
            "                if error.window.scope is not SpendScope.ROUTE:",
            "                if True:",
        ),
    ),
    _decided(
        "refused-and-still-counted",
        "a payout that one limit refuses takes room in the others",
        "the sweep for orphans gives it back later",
        ("tests/unit/services/test_limits.py", *TESTS_OF_ROUTES),
        Edit(
            "services/limits.py",
            "            await self.release([window.window_id for window in windows], payout_id)\n",
            "",
        ),
    ),
    _decided(
        "old-route-left-before-the-new-has-room",
        "a payout that its new route has no room for counts in no route's limits",
        SIMULATED,
        TESTS_OF_ROUTES,
        Edit(
            MOVING,
            "        await self._limits.reserve_more(",
            "        await self._limits.release([*dropped], payout.payout_id)\n"
            "        await self._limits.reserve_more(",
        ),
    ),
    _decided(
        "moved-without-reserving",
        "a payout that falls back, or is given a route, counts in none of its limits",
        SIMULATED,
        TESTS_OF_FALLBACK,
        Edit(
            MOVING,
            "        await self._limits.reserve_more(new, payout.payout_id, payout.order.amount)\n",
            "",
        ),
    ),
    _decided(
        "named-route-is-left",
        "a payout that asked for a route by name falls back on another one",
        SIMULATED,
        TESTS_OF_FALLBACK,
        Edit(MEMORY, "            and payout.order.route is RouteChoice.SMART\n", ""),
        Edit(FALLBACK, "        and payout.order.route is RouteChoice.SMART\n", ""),
        Edit(
            FALLBACK,
            "    what = wanted(payout.order, kyc_level)\n",
            "    what = replace(wanted(payout.order, kyc_level), route=None)\n",
        ),
    ),
    _decided(
        "falls-back-with-a-live-attempt",
        "a payout leaves its route while an attempt from the old wallet can still pay it",
        SIMULATED,
        TESTS_OF_FALLBACK,
        Edit(
            MEMORY,
            "            for payout in self._with(PayoutStatus.PENDING)\n"
            "            if payout.route is route\n",
            "            for payout in self._with(PayoutStatus.PENDING, PayoutStatus.PROCESSING)\n"
            "            if payout.route is route\n",
        ),
        Edit(FALLBACK, "        payout.status is PayoutStatus.PENDING\n", "        True\n"),
        Edit(FALLBACK, "        and all_attempts_unpaid(payout)\n", ""),
        Edit(
            "models/payout.py",
            "        guard=Guard(status=payout.status, version=payout.version),\n",
            "        guard=Guard(\n"
            "            payout.status,\n"
            "            payout.live_attempt.txid if payout.live_attempt else None,\n"
            "            payout.version,\n"
            "        ),\n",
        ),
    ),
    _decided(
        "falls-back-for-ever",
        "a payout goes to and fro between two routes as often as they fail it",
        SELDOM_SO_OFTEN,
        TESTS_OF_FALLBACK,
        Edit(FALLBACK, "        and rules.count(FELL_BACK) < policy.times\n", ""),
    ),
    _decided(
        "falls-back-on-the-urgent-route",
        "what is no emergency falls back on the route of emergencies, whoever asked for it",
        SIMULATED,
        TESTS_OF_FALLBACK,
        Edit(FALLBACK, "(urgent or route.name is not RouteName.DIRECT)", "True"),
    ),
    _decided(
        "mongo-named-route-waits-for-another",
        "what asked for a route by name is looked at as if it could leave it",
        NOT_MONGO,
        ("tests/contract/test_store_waiting.py",),
        Edit(
            "adapters/mongo/dispatch.py",
            '            "order.route": RouteChoice.SMART.value,\n',
            "",
        ),
    ),
    _decided(
        "urgent-for-everybody",
        "any client makes its payouts emergencies, and goes before all others",
        NO_ROLES,
        TESTS_OF_ROUTES,
        Edit(
            "services/admission.py",
            '            caller.require("payout:urgent")\n',
            "            pass\n",
        ),
    ),
    _decided(
        "smart-brings-all-onto-the-urgent-route",
        "a high priority is enough to take the route of emergencies",
        NO_ROLES,
        TESTS_OF_ROUTES,
        Edit(DECIDING, '        if "payout:urgent" not in caller.grants:', "        if False:"),
    ),
    _decided(
        "released-before-its-time",
        "a scheduled payout is paid as soon as somebody looks",
        SIMULATED,
        TESTS_OF_TIMES,
        Edit(
            MEMORY,
            "self._passed(waiting, lambda payout: payout.release_at, limit)",
            "self._passed(waiting, lambda payout: payout.created_at, limit)",
        ),
    ),
    _decided(
        "mongo-released-before-its-time",
        "a scheduled payout is paid as soon as somebody looks",
        NOT_MONGO,
        ("tests/contract/test_store_times.py",),
        Edit(
            "adapters/mongo/times.py",
            '_passed("release_at", waiting',
            '_passed("created_at", waiting',
        ),
    ),
    _decided(
        "batch-one-short",
        "a batch is let go before it is full",
        SIMULATED,
        TESTS_OF_TIMES,
        Edit(MEMORY, "if len(batch) >= size)", "if len(batch) >= size - 1)"),
    ),
    _decided(
        "mongo-batch-one-short",
        "a batch is let go before it is full",
        NOT_MONGO,
        ("tests/contract/test_store_times.py",),
        Edit(
            "adapters/mongo/times.py", 'if each["count"] == size]', 'if each["count"] >= size - 1]'
        ),
    ),
    _decided(
        "rank-ignores-age",
        "what has a low priority waits for ever behind what comes later",
        SIMULATED,
        ("tests/unit/models/test_schedule.py",),
        Edit(
            "models/schedule.py",
            "    return since - timedelta(seconds=step * policy.ageing_seconds)\n",
            "    return EPOCH - timedelta(seconds=step * policy.ageing_seconds)\n",
        ),
    ),
    _decided(
        "batch-counted-as-one",
        "however many payouts come in one request, nobody is asked for consent",
        SIMULATED,
        TESTS_OF_BATCHES,
        Edit("models/decision.py", "batch_items=batch_items,", "batch_items=1,"),
    ),
    _decided(
        "one-key-for-a-whole-batch",
        "of a batch the first payout alone is made, and told to be each of them",
        SIMULATED,
        TESTS_OF_BATCHES,
        Edit("models/batch.py", '    return f"{key} {number}"\n', '    return f"{key} 0"\n'),
    ),
    _decided(
        "batch-with-another-body",
        "a batch is answered with the payouts of another one that had its key",
        SIMULATED,
        TESTS_OF_BATCHES,
        Edit(
            "services/batches.py",
            "if any(each.fingerprint != request.fingerprint for each in before.values()):",
            "if False:",
        ),
    ),
    _decided(
        "whoever-comes-first-is-claimed",
        "payouts are claimed in the order in which they came, whatever their rank",
        SIMULATED,
        TESTS_OF_CLAIMS,
        Edit(MEMORY, "        candidates.sort(key=_rank)\n", ""),
    ),
    _decided(
        "week-of-a-day",
        "a batch that gathers for a week is paid when the day ends",
        SIMULATED,
        ("tests/unit/models/test_schedule.py",),
        Edit(
            "models/schedule.py",
            "    return _day_end(now, policy) + timedelta(days=6 - now.weekday())\n",
            "    return _day_end(now, policy)\n",
        ),
    ),
    _decided(
        "batch-of-any-window",
        "payouts that gather in windows of different kinds fill one batch together",
        SIMULATED,
        TESTS_OF_TIMES,
        Edit(
            MEMORY,
            "gathered.setdefault(payout.order.batch_window, [])",
            "gathered.setdefault(BatchWindow.INTERVAL, [])",
        ),
    ),
    _decided(
        "room-of-a-moment-ago",
        "what was let through since the last look takes no room on its route",
        SIMULATED,
        TESTS_OF_ROOMS,
        Edit(DECIDING, "        self._let_through.update(each.route for each in payouts)\n", ""),
    ),
    _decided(
        "capacity-is-nothing",
        "a route has as many payouts in flight as there are",
        SIMULATED,
        TESTS_OF_ROOMS,
        Edit(
            "models/route_health.py",
            "    return max(0, most - route.state.figures.in_flight)\n",
            "    return most\n",
        ),
    ),
    _decided(
        "demanded-consent-forgotten",
        "the approval that a rule demands is asked of nobody",
        SIMULATED,
        ("tests/unit/models/test_compliance.py",),
        Edit(
            "models/compliance.py",
            "        workflows=tuple(rule.workflow for rule, _ in said "
            "if rule.workflow is not None),\n",
            "",
        ),
    ),
    _decided(
        "known-recipients-only-by-name",
        "whoever was never paid before counts as known",
        SIMULATED,
        ("tests/contract/test_store_compliance.py",),
        Edit("adapters/memory/compliance.py", "bool(to_it)", "True"),
    ),
    _decided(
        "lists-through-the-wall",
        "a token of a tenant lists and counts what is another's",
        SIMULATED,
        ("tests/unit/services/test_tenants.py",),
        Edit(
            "services/payout_router.py",
            "        any_tenant=reach is Reach.ALL and caller.tenant is None,\n",
            "        any_tenant=reach is Reach.ALL,\n",
        ),
    ),
    _decided(
        "limits-through-the-wall",
        "clients of one name share their limits, whatever their tenants",
        SIMULATED,
        ("tests/unit/models/test_spending.py",),
        Edit(
            "models/spending.py",
            "(spending.tenant, spending.subject)",
            "(None, spending.subject)",
        ),
    ),
)
