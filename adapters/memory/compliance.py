"""Lists, the KYC registry and velocity in memory: the same semantics as in MongoDB."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from models.payout import Payout
from models.registry import AddressList, KycRecord, ListEntry, Velocity


class MemoryCompliance:
    """ports.compliance.ComplianceStore in dictionaries."""

    def __init__(self, payouts: Mapping[str, Payout], now: Callable[[], datetime]) -> None:
        """`payouts` are the store's, by id, and `now` its clock, UTC."""
        self._payouts = payouts
        self._now = now
        self._listed: dict[tuple[AddressList, str], ListEntry] = {}
        self._kyc: dict[str, KycRecord] = {}

    # lists

    async def put_listed(
        self, list_name: AddressList, reasons: Mapping[str, str | None], by: str
    ) -> int:
        before = len(self._listed)
        now = self._now()
        for address, reason in reasons.items():
            known = self._listed.get((list_name, address))
            if known is None or known.reason != reason:
                entry = ListEntry(list_name, address, reason, by, now)
                self._listed[list_name, address] = entry
        return len(self._listed) - before

    async def remove_listed(self, list_name: AddressList, addresses: Collection[str]) -> int:
        before = len(self._listed)
        for address in addresses:
            self._listed.pop((list_name, address), None)
        return before - len(self._listed)

    async def listed(self, addresses: Collection[str]) -> Sequence[ListEntry]:
        return [self._listed[key] for key in sorted(self._listed) if key[1] in addresses]

    async def list_page(
        self, list_name: AddressList, after: str | None, limit: int
    ) -> Sequence[ListEntry]:
        of_list = (address for name, address in self._listed if name is list_name)
        return [self._listed[list_name, each] for each in _page(of_list, after, limit)]

    # KYC registry

    async def put_kyc(self, record: KycRecord) -> None:
        self._kyc[record.address] = record

    async def remove_kyc(self, address: str) -> bool:
        return self._kyc.pop(address, None) is not None

    async def kyc_of(self, addresses: Collection[str]) -> Mapping[str, KycRecord]:
        return {each: self._kyc[each] for each in addresses if each in self._kyc}

    async def kyc_page(self, after: str | None, limit: int) -> Sequence[KycRecord]:
        return [self._kyc[each] for each in _page(self._kyc, after, limit)]

    # velocity

    async def velocity(
        self,
        recipient: str,
        client: str,
        tenant: str | None,
        windows: Collection[int],
        up_to: int,
    ) -> Velocity:
        payouts = self._payouts.values()
        to_it = [each.created_at for each in payouts if each.order.recipient_address == recipient]
        owner = (client, tenant)
        by_it = [each.created_at for each in payouts if (each.client, each.tenant) == owner]
        now = self._now()
        return Velocity(
            to_recipient={each: min(up_to, _within(each, to_it, now)) for each in windows},
            by_client={each: min(up_to, _within(each, by_it, now)) for each in windows},
            recipient_known=bool(to_it),
        )


def _page(addresses: Iterable[str], after: str | None, limit: int) -> Sequence[str]:
    return [each for each in sorted(addresses) if after is None or each > after][:limit]


def _within(seconds: int, moments: Iterable[datetime], now: datetime) -> int:
    since = now - timedelta(seconds=seconds)
    return sum(moment >= since for moment in moments)
