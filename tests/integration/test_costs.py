"""What a settled payout costs, counted: deterministic, whatever the machine is busy with."""

import uuid
from collections import Counter
from typing import Any

from bench.counts import Costs, count_costs

PAYOUTS = 500
EVENTS = 3
"""Of a payout that is paid at once: created, recorded, settled."""


async def costs_of(mongodb_url: str, payouts: int, **rules: Any) -> Costs:
    """What so many payouts cost, in a database of their own."""
    return await count_costs(mongodb_url, f"costs_{uuid.uuid4().hex[:12]}", payouts, **rules)


async def test_costs_stay_within_the_goals(mongodb_url: str) -> None:
    """Without the rule on the token's blacklist, which the next test counts."""
    costs = await costs_of(mongodb_url, PAYOUTS)
    assert costs.node_calls["/wallet/broadcasthex"] == PAYOUTS
    assert costs.node_calls_each <= 1.1, costs.node_calls
    assert sum(costs.commands.values()) / PAYOUTS <= 0.2, costs.commands
    # Of its own loop, which no payout waits for.
    assert costs.audit_commands["insert audit_log"] <= EVENTS * PAYOUTS / 200 + 3
    assert sum(costs.audit_commands.values()) / PAYOUTS <= 0.2, costs.audit_commands


async def test_asking_the_token_about_recipients_costs_one_call_for_each(mongodb_url: str) -> None:
    without = await costs_of(mongodb_url, 100)
    costs = await costs_of(mongodb_url, 100, token_blacklist=True)
    more = Counter(costs.node_calls) - Counter(without.node_calls)
    assert more == {"/walletsolidity/triggerconstantcontract": 100}
    assert costs.commands == without.commands
