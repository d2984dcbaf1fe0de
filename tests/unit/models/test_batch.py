"""Which batch a request is, and which keys the payouts have that come in it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.fields import IdempotencyKey
from models.batch import NewBatch, batch_id, item_key, item_number
from models.caller import Caller
from models.order import Batch
from tests.factories import a_payout, an_order

keys = st.from_regex(r"[\x21-\x7e]{1,255}", fullmatch=True)
names = st.text(max_size=20)
owners = st.tuples(st.none() | names, names, keys)


def caller(subject: str = "shop", tenant: str | None = None) -> Caller:
    return Caller(subject=subject, role="SERVICE", grants={}, tenant=tenant)


@given(one=owners, other=owners)
def test_whose_key_it_is_makes_the_id(
    one: tuple[str | None, str, str], other: tuple[str | None, str, str]
) -> None:
    ids = [batch_id(caller(subject, tenant), key) for tenant, subject, key in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)
    assert re.fullmatch(r"batch_[0-9a-f]{32}", ids[0])


def test_the_parts_of_an_id_do_not_run_into_each_other() -> None:
    ids = {
        batch_id(caller(subject, tenant), key)
        for tenant, subject, key in (
            (None, "a", "bc"),
            ("a", "b", "c"),
            (None, "ab", "c"),
            ("", "ab", "c"),
            ("None", "ab", "c"),
        )
    }
    assert len(ids) == 5


@given(key=keys, number=st.integers(0, 1_000))
def test_a_payout_s_key_tells_its_number_and_is_no_key_of_a_client(key: str, number: int) -> None:
    made = item_key(key, number)
    assert item_number(a_payout(idempotency_key=made)) == number
    (rule,) = IdempotencyKey.__metadata__  # type: ignore[attr-defined]
    (pattern,) = (each.pattern for each in rule.metadata)
    assert re.fullmatch(pattern, key)
    assert not re.fullmatch(pattern, made)


@pytest.mark.parametrize("key", [None, "", "7", "march"])
def test_a_payout_that_came_alone_has_no_number(key: str | None) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        item_number(a_payout(idempotency_key=key))


def test_ids_stay_what_they_are() -> None:
    found = batch_id(caller("shop", "north"), "march")
    assert found == "batch_09ae944fcb3464bb9b03ddfa143fd8ad"


def test_its_payouts_keep_their_order_and_share_the_rest() -> None:
    orders = [an_order(amount=amount) for amount in (3, 1, 2)]
    batch = NewBatch(orders, "f" * 64, "march")
    payouts = batch.payouts_of(caller())
    assert [payout.order for payout in payouts] == orders
    assert [payout.idempotency_key for payout in payouts] == ["march 0", "march 1", "march 2"]
    assert {payout.fingerprint for payout in payouts} == {"f" * 64}
    assert {payout.batch for payout in payouts} == {Batch(batch_id(caller(), "march"), 3)}
