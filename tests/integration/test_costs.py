"""What a settled payout costs, counted: deterministic, whatever the machine is busy with."""

import uuid

from bench.counts import count_costs

PAYOUTS = 500
EVENTS = 3
"""Of a payout that is paid at once: created, recorded, settled."""


async def test_costs_stay_within_the_goals(mongodb_url: str) -> None:
    costs = await count_costs(mongodb_url, f"costs_{uuid.uuid4().hex[:12]}", PAYOUTS)
    assert costs.node_calls["/wallet/broadcasthex"] == PAYOUTS
    assert costs.node_calls_each <= 1.1, costs.node_calls
    assert sum(costs.commands.values()) / PAYOUTS <= 0.2, costs.commands
    # Of its own loop, which no payout waits for.
    assert costs.audit_commands["insert audit_log"] <= EVENTS * PAYOUTS / 200 + 3
    assert sum(costs.audit_commands.values()) / PAYOUTS <= 0.2, costs.audit_commands
