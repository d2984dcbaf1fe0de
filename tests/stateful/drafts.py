"""What is drawn: payouts at and beside every threshold, and the people who ask."""

from hypothesis import strategies as st

from models.money import Currency
from tests.stateful.book import Draft
from tests.stateful.policies import APPROVERS, PEOPLE, RECIPIENTS, THRESHOLDS, UNIT, WALLETS

MINUTE, HOUR, DAY = 60, 3_600, 86_400

people = st.sampled_from(PEOPLE)
makers = st.sampled_from([who for who in PEOPLE if who.role in ("SERVICE", "ADMIN")]) | people
approvers = st.sampled_from([who for who in PEOPLE if who.role in APPROVERS])
admins = st.sampled_from([who for who in PEOPLE if who.role == "ADMIN"]) | people
recipients = st.sampled_from(RECIPIENTS)

_TYPES = ("immediate",) * 3 + ("batch",) * 3 + ("scheduled", "emergency")
_ROUTES = ("smart",) * 4 + ("v0", "kyc", "direct")


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    """A payout to ask for; most can be had."""
    currency = draw(st.sampled_from([Currency.USDT, Currency.USDT, Currency.TRX]))
    amount = draw(st.sampled_from(THRESHOLDS[currency])) + draw(st.sampled_from([-1, 0, 0, 1]))
    odd = draw(st.integers(0, 24))
    payout_type = draw(st.sampled_from(_TYPES))
    if payout_type == "scheduled":
        ahead = draw(st.sampled_from([30 * MINUTE, 3 * HOUR, 2 * DAY, 30 * DAY]))
    else:
        ahead = None
    window = "interval" if payout_type != "batch" else draw(st.sampled_from(_WINDOWS))
    return Draft(
        currency=currency,
        amount=amount,
        recipient=WALLETS[1].address if odd == 22 else draw(recipients),
        payout_type=payout_type,
        route=draw(st.sampled_from(_ROUTES)),
        priority=draw(st.sampled_from([1, 5, 5, 8, 10])),
        batch_window="daily" if odd == 23 else window,
        scheduled_in=draw(st.sampled_from([None, -1, 31 * DAY, HOUR])) if odd == 24 else ahead,
        expires_in=draw(_expiries(payout_type)),
    )


_WINDOWS = ("interval", "interval", "hourly", "daily", "weekly")


def _expiries(payout_type: str) -> st.SearchStrategy[float | None]:
    """Mostly none; a batch that is accepted expires after it is released, on any route."""
    some = [-MINUTE, 40 * DAY] if payout_type == "batch" else [-MINUTE, 20 * MINUTE, 4 * HOUR]
    return st.sampled_from([None] * 12 + some)


@st.composite
def ordinary_drafts(draw: st.DrawFn) -> Draft:
    """A payout that mostly can be had."""
    return Draft(
        currency=draw(st.sampled_from(Currency)),
        amount=draw(st.sampled_from([5 * UNIT, 10 * UNIT, 20 * UNIT, 30 * UNIT, 50 * UNIT])),
        recipient=draw(recipients),
        payout_type=draw(st.sampled_from(("immediate", "immediate", "batch", "emergency"))),
        priority=draw(st.sampled_from([5, 9])),
        expires_in=draw(st.sampled_from([None, None, 20 * MINUTE])),
    )
