"""Who may ask for what: worked out from the text of the policy file, with nothing of the code, and
objects to ask for that relate to a caller in every way.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count, cycle
from pathlib import Path

import yaml

from models.order import RouteName
from models.payout import Payout, PayoutStatus
from models.registry import AddressList, KycRecord
from tests.factories import RECIPIENT, a_cursor, a_hit, a_payout, an_attempt, an_order
from tests.front import Front, token

POLICY_FILE = Path(__file__).parents[1] / "config/payout-security-policies.yaml"
POLICY = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
ROLES = tuple(POLICY["roles"])
NODE = "node-7"

WIDTH = ("own", "node", "all")


def reach_of(role: str, action: str) -> str | None:
    """The widest reach that a role has for `noun:action`."""
    noun, verb = action.split(":")
    found = [
        reach
        for permission in POLICY["roles"][role]["permissions"]
        for a_noun, a_verb, reach in [permission.split(":")]
        if a_noun in (noun, "*") and a_verb in (verb, "*")
    ]
    return max(found, key=WIDTH.index, default=None)


@dataclass(frozen=True)
class Owner:
    """Whose an object is, as its relation to the caller."""

    name: str
    same_subject: bool = False
    same_node: bool = False
    same_tenant: bool = True


OWNERS = (
    Owner("own", same_subject=True),
    Owner("node's", same_node=True),
    Owner("stranger's"),
    Owner("other tenant's", same_tenant=False),
    Owner("other tenant's namesake's", same_subject=True, same_node=True, same_tenant=False),
)


def reaches(role: str, action: str, tenant: str | None, owner: Owner) -> bool:
    """Whether the policy lets this role do this to that owner's payout."""
    reach = reach_of(role, action)
    if reach == "all":
        return owner.same_tenant or tenant is None
    mine = owner.same_subject or (reach == "node" and owner.same_node)
    return reach is not None and owner.same_tenant and mine


def expected(role: str, action: str, tenant: str | None, owner: Owner | None) -> int | None:
    """The status of the refusal, or None where the policy lets the request in."""
    if reach_of(role, action) is None:
        return 403
    if tenant is not None and action.partition(":")[0] not in ("payout", "batch", "limit"):
        return 403
    if owner is None or reaches(role, action, tenant, owner):
        return None
    return 403 if reaches(role, "payout:view", tenant, owner) else 404


ASKS = {
    "POST /payouts": "payout:create",
    "GET /payouts": "payout:list",
    "GET /payouts/stats": "payout:stats",
    "GET /payouts/{payout_id}": "payout:view",
    "POST /payouts/{payout_id}/cancel": "payout:cancel",
    "POST /payouts/{payout_id}/resolve": "payout:resolve",
    "POST /payouts/quote": "payout:quote",
    "POST /payouts/{payout_id}/approve": "payout:approve",
    "POST /payouts/{payout_id}/reject": "payout:reject",
    "POST /payouts/{payout_id}/release": "payout:release",
    "POST /payouts/{payout_id}/route": "payout:route",
    "POST /batches": "batch:create",
    "GET /batches/{batch_id}": "batch:view",
    "POST /batches/{batch_id}/approve": "payout:approve",
    "POST /batches/{batch_id}/reject": "payout:reject",
    "GET /routes": "route:view",
    "GET /routes/{route}": "route:view",
    "GET /limits": "limit:view",
    "GET /kyc": "compliance:view",
    "GET /kyc/{address}": "compliance:view",
    "PUT /kyc/{address}": "compliance:edit",
    "DELETE /kyc/{address}": "compliance:edit",
    "GET /lists/{list_name}": "compliance:view",
    "PUT /lists/{list_name}/{address}": "compliance:edit",
    "DELETE /lists/{list_name}/{address}": "compliance:edit",
    "POST /lists/{list_name}/import": "compliance:edit",
    "GET /unexplained": "unexplained:view",
    "POST /unexplained/{txid}/explain": "unexplained:explain",
    "GET /gates": "gate:view",
    "POST /gates/{name}/open": "gate:open",
    "GET /admin/status": "system:view",
    "POST /admin/pause": "system:pause",
    "POST /admin/resume": "system:pause",
    "GET /admin/tokens/revocations": "token:view",
    "POST /admin/tokens/revoke": "token:revoke",
    "GET /audit": "audit:view",
    "GET /audit/verify": "audit:view",
    "GET /audit/export": "audit:view",
}
"""What each route asks for, by hand: a route that names another action is no better than none."""


@dataclass(frozen=True)
class Asking:
    """One caller, and how the objects that they ask for relate to them."""

    role: str
    tenant: str | None
    owner: Owner
    subject: str

    @property
    def bearer(self) -> str:
        return token(self.role, self.subject, tenant=self.tenant, node_id=NODE)


_numbers = count()
_statuses = cycle((PayoutStatus.NEEDS_REVIEW, PayoutStatus.PENDING, PayoutStatus.COMPLETED))


def a_payout_for(asking: Asking, owner: Owner) -> Payout:
    """A payout that relates to the caller as `owner` says; one after the other in each status."""
    other = "globex" if asking.tenant else "acme"
    return a_payout(
        client=asking.subject if owner.same_subject else "somebody",
        tenant=asking.tenant if owner.same_tenant else other,
        order=an_order(node_id=NODE if owner.same_node else None),
        status=next(_statuses),
    )


async def _the_payout(front: Front, asking: Asking) -> str:
    payout = a_payout_for(asking, asking.owner)
    await front.house.store.insert(payout)
    return payout.payout_id


async def _the_batch(front: Front, asking: Asking) -> str:
    """The id of a batch of one payout."""
    batch_id = f"batch_{next(_numbers):032x}"
    payout = a_payout_for(asking, asking.owner)
    await front.house.store.insert(
        replace(payout, batch_id=batch_id, idempotency_key=f"{batch_id} 0")
    )
    return batch_id


async def _a_transfer(front: Front, _: Asking) -> str:
    hit = a_hit(an_attempt())
    cursor = await front.house.store.cursor()
    assert await front.house.store.move_cursor(cursor, cursor or a_cursor(), [hit])
    return hit.txid


async def _a_recipient(front: Front, _: Asking) -> str:
    """An address that is on the deny list, and verified."""
    store, now = front.house.store, await front.house.store.now()
    await store.put_listed(AddressList.DENY, {RECIPIENT: "fraud"}, "ADMIN:ada")
    await store.put_kyc(KycRecord(RECIPIENT, 1, now, now + timedelta(days=1)))
    return RECIPIENT


async def _a_list(front: Front, _: Asking) -> str:
    return AddressList.DENY


async def _a_route(front: Front, _: Asking) -> str:
    return RouteName.V0


async def _a_gate(front: Front, _: Asking) -> str:
    await front.house.store.close_gate("frozen", "a dead attempt was included")
    return "frozen"


OBJECTS: Mapping[str, Callable[[Front, Asking], Awaitable[str]]] = {
    "payout_id": _the_payout,
    "batch_id": _the_batch,
    "txid": _a_transfer,
    "name": _a_gate,
    "address": _a_recipient,
    "list_name": _a_list,
    "route": _a_route,
}
"""Path parameter → what makes such an object and returns its name."""

OWNED = {"payout_id", "batch_id"}
"""The path parameters whose objects belong to somebody."""


async def _a_pause(front: Front) -> None:
    await front.house.store.close_gate("pause:dispatch", "balances do not add up")


BEFORE: Mapping[str, Callable[[Front], Awaitable[None]]] = {"POST /admin/resume": _a_pause}
"""What must be so for a route's example to make sense."""


def canonical(name: str) -> str:
    """The name or path of a route without the other prefix."""
    return name.replace("/api/v1/tron", "", 1)
