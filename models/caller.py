"""Who calls, and what that lets them do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from models.errors import PayoutError
from models.payout import Payout
from models.permission import OWNED, Reach


class Signature(TypedDict):
    """Who makes a change, by which request: two arguments of it."""

    by: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: `grants` holds how far each action of the role reaches.

    `tenant` is a wall: whoever has one reaches nothing of another tenant's, whatever the role.
    `token_id` is the token's jti, `issued_at` its iat (seconds since 1970), `request_id` that of
    the request that is served.
    """

    subject: str
    role: str
    grants: Mapping[str, Reach]
    tenant: str | None = None
    node_id: str | None = None
    token_id: str | None = None
    issued_at: float = 0
    request_id: str | None = None

    @property
    def name(self) -> str:
        """How history and audit name the caller."""
        owner = self.subject if self.tenant is None else f"{self.tenant}/{self.subject}"
        return f"{self.role}:{owner}"

    @property
    def signature(self) -> Signature:
        """How a change tells who made it, by which request."""
        return Signature(by=self.name, request_id=self.request_id)

    def require(self, action: str) -> None:
        """Raise PayoutError P002 unless the role may do this, and where a token of a tenant asks
        for what belongs to no tenant."""
        if action not in self.grants:
            raise PayoutError("P002", f"the role {self.role} has no permission: {action}")
        if self.tenant is not None and action.partition(":")[0] not in OWNED:
            raise PayoutError("P002", f"{action} is for tokens without a tenant")

    def reaches(self, payout: Payout, action: str) -> bool:
        """Whether the role may do this to that payout."""
        reach = self.grants.get(action)
        at_home = payout.tenant == self.tenant
        if reach is None or reach is Reach.ALL:
            return reach is Reach.ALL and (self.tenant is None or at_home)
        of_node = self.node_id is not None and self.node_id == payout.order.node_id
        return at_home and (payout.client == self.subject or (reach is Reach.NODE and of_node))

    def require_node(self, node_id: str | None, action: str) -> None:
        """Raise PayoutError P002 where the object names a node that is not the token's."""
        if node_id not in (None, self.node_id) and self.grants.get(action) is not Reach.ALL:
            raise PayoutError("P002", "the token speaks for another node", field="node_id")
