"""What the rules on recipients and clients ask: lists, the KYC registry, how often payouts come.

"Now" is the store's own clock; every write is journaled by a majority before it returns, and
every read is a majority read from the primary. All methods raise StoreError when the store did
not confirm; each may be called again then.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from models.registry import AddressList, KycRecord, ListEntry, Velocity


class ComplianceStore(Protocol):
    """Address lists, verified identities, and counts of recent payouts."""

    # lists
    async def put_listed(
        self, list_name: AddressList, reasons: Mapping[str, str | None], by: str
    ) -> int:
        """Put addresses on a list, each with its reason; how many were not on it before.

        An address that is on the list with the same reason stays as it is; with another reason
        it takes that, `by` and the time of now.
        """

    async def remove_listed(self, list_name: AddressList, addresses: Collection[str]) -> int:
        """Take addresses off a list; how many were on it."""

    async def listed(self, addresses: Collection[str]) -> Sequence[ListEntry]:
        """Where these addresses are listed, on any list, by list and address."""

    async def list_page(
        self, list_name: AddressList, after: str | None, limit: int
    ) -> Sequence[ListEntry]:
        """A page of a list by address, beyond the address `after`."""

    # KYC registry
    async def put_kyc(self, record: KycRecord) -> None:
        """Keep what is known of an address, in place of what was known before."""

    async def remove_kyc(self, address: str) -> bool:
        """Forget an address; False if nothing was known of it."""

    async def kyc_of(self, addresses: Collection[str]) -> Mapping[str, KycRecord]:
        """The records of these addresses, expired ones too; without those that have none."""

    async def kyc_page(self, after: str | None, limit: int) -> Sequence[KycRecord]:
        """A page of the registry by address, beyond the address `after`."""

    # velocity
    async def velocity(
        self,
        recipient: str,
        client: str,
        tenant: str | None,
        windows: Collection[int],
        up_to: int,
    ) -> Velocity:
        """How many payouts were created in each of `windows` (seconds, ending now): to the
        recipient, whoever asked for them, and by that client of that tenant.

        Each count stops at `up_to` (≥ 1), which bounds what is read. Payouts that are being
        inserted at the same moment may be missing: this feeds rules that look, not limits.
        """
