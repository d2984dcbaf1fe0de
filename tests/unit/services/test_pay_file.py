"""A CSV file is paid row by row, and never a row twice."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.order_form import OrderForm
from models.limits import AmountLimits
from models.money import BASE_UNITS, Currency
from ports.batches import Answer, DeskUnavailableError, Line, Outcome
from services import pay_file as module
from services.pay_file import MAX_BYTES, SAVE_EVERY, BadFileError, pay_file, read_rows
from tests.factories import RECIPIENT

FORM = OrderForm({Currency.USDT: AmountLimits(10_000, 500 * BASE_UNITS)})
HEADER = "recipient_address,amount,currency,reason,reference"
NAME = "march.csv"


def csv(*amounts: str) -> bytes:
    rows = [f"{RECIPIENT},{amount},USDT,custom,r-{n}" for n, amount in enumerate(amounts)]
    return "\n".join([HEADER, *rows]).encode()


class Folder:
    """Files in memory; `kept` counts how often results were."""

    def __init__(self, **files: bytes) -> None:
        self.files = {f"{name}.csv": data for name, data in files.items()}
        self.lines: dict[str, Sequence[Line]] = {}
        self.kept = 0

    def read(self, name: str, limit: int) -> bytes:
        return self.files[name][:limit]

    def results(self, name: str) -> Sequence[Line]:
        return self.lines.get(name, ())

    def keep_results(self, name: str, lines: Sequence[Line]) -> None:
        self.lines[name] = [*lines]
        self.kept += 1


class Service:
    """A service that pays each key once, refuses amounts over 100, and breaks when told to."""

    def __init__(self) -> None:
        self.paid: dict[str, Line] = {}
        self.breaks_after: int | None = None

    async def create(self, body: Line, key: str) -> Answer:
        if self.breaks_after == len(self.paid):
            raise DeskUnavailableError("no answer")
        if float(body["amount"]) > 100:
            return Answer(Outcome.REFUSED, {"code": "P103", "detail": "limit", "retryable": True})
        there = key in self.paid
        self.paid[key] = body
        outcome = Outcome.THERE_BEFORE if there else Outcome.CREATED
        return Answer(outcome, {"payout_id": f"payout_{key}", "status": "pending"})


async def pay(folder: Folder, service: Service, name: str = NAME, client: str = "me") -> Any:
    return await pay_file(name, folder, FORM, service, client)


async def test_each_row_becomes_a_payout_and_a_line_of_the_results() -> None:
    folder, service = Folder(march=csv("1", "2.50", "101")), Service()
    assert await pay(folder, service) == {Outcome.CREATED: 2, Outcome.REFUSED: 1}
    assert [body["amount"] for body in service.paid.values()] == ["1", "2.50"]
    head, *lines = folder.lines[NAME]
    assert (head["file"], head["rows"], head["client"]) == (NAME, 3, "me")
    assert [(line["row"], line["outcome"]) for line in lines] == [
        (2, "created"),
        (3, "created"),
        (4, "refused"),
    ]
    assert [lines[0]["status"], lines[2]["code"]] == ["pending", "P103"]


async def test_running_again_pays_nothing_twice_and_goes_on_where_it_broke() -> None:
    folder, service = Folder(march=csv("1", "2", "3")), Service()
    service.breaks_after = 2
    with pytest.raises(DeskUnavailableError):
        await pay(folder, service)
    assert [line["row"] for line in folder.lines[NAME][1:]] == [2, 3]
    service.breaks_after = None
    assert await pay(folder, service) == {Outcome.THERE_BEFORE: 2, Outcome.CREATED: 1}
    assert len(service.paid) == 3
    assert [line["row"] for line in folder.lines[NAME][1:]] == [2, 3, 4]


async def test_a_run_that_breaks_at_once_keeps_the_results_of_the_one_before() -> None:
    folder, service = Folder(march=csv("1", "2")), Service()
    await pay(folder, service)
    before = folder.lines[NAME]
    service.breaks_after = 2
    with pytest.raises(DeskUnavailableError):
        await pay(folder, service)
    assert folder.lines[NAME] == before


async def test_equal_rows_are_two_payouts_and_other_files_other_payouts() -> None:
    row = csv("1").decode().splitlines()[1]
    data = "\n".join([HEADER, row, row]).encode()
    folder, service = Folder(march=data, april=data), Service()
    await pay(folder, service)
    await pay(folder, service, "april.csv")
    assert len(service.paid) == 4


async def test_a_file_that_was_changed_meanwhile_is_refused_with_nothing_sent() -> None:
    folder, service = Folder(march=csv("1", "2")), Service()
    await pay(folder, service)
    before = folder.lines[NAME]
    folder.files[NAME] = csv("9", "1", "2")
    with pytest.raises(BadFileError, match="was changed after it was paid from"):
        await pay(folder, service)
    assert (len(service.paid), folder.lines[NAME]) == (2, before)


async def test_keys_are_per_client_so_another_client_is_refused() -> None:
    folder, service = Folder(march=csv("1")), Service()
    await pay(folder, service)
    with pytest.raises(BadFileError, match="paid from with the token of me, not of you"):
        await pay(folder, service, client="you")


async def test_what_the_file_is_held_against_is_kept_before_anything_is_sent() -> None:
    folder = Folder(march=csv("1"))

    class Watching(Service):
        async def create(self, body: Line, key: str) -> Answer:
            assert folder.lines[NAME][0]["sha256"]
            return await super().create(body, key)

    await pay(folder, Watching())


async def test_results_are_kept_every_so_many_rows() -> None:
    folder, service = Folder(march=csv(*["1"] * (2 * SAVE_EVERY + 1))), Service()
    await pay(folder, service)
    assert folder.kept == 4  # at the start, twice on the way, and at the end


@pytest.mark.parametrize(
    "name", ["march", "../march.csv", "a/march.csv", ".csv", ".march.csv", "märz.csv", "a b.csv"]
)
async def test_a_name_leads_nowhere_else_and_fits_a_key(name: str) -> None:
    with pytest.raises(BadFileError, match="named within BATCHES_DIR"):
        await pay(Folder(), Service(), name)


async def test_every_fault_of_every_row_is_told_and_nothing_is_sent() -> None:
    data = "\n".join(
        [
            HEADER + ",priority",
            f"{RECIPIENT},1,USDT,custom,,3",
            "TJRabPrwbZy45sbavfcjinPJC18kjpRTv9,1.1234567,USDT,because,,11",
            f"{RECIPIENT},0.001,USDT,custom,,high",
            f"{RECIPIENT},501,USDT,custom,,",
            f"{RECIPIENT},1,TRX,custom,,",
            f"{RECIPIENT},1,USDT,custom",
            f"{RECIPIENT},,USDT,custom,,",
        ]
    )
    folder, service = Folder(march=data.encode()), Service()
    with pytest.raises(BadFileError) as refusal:
        await pay(folder, service)
    places = [": ".join(fault.split(": ")[:2]) for fault in refusal.value.problems]
    assert places == [
        "row 3: recipient_address",
        "row 3: amount",
        "row 3: reason",
        "row 3: priority",
        "row 4: priority",
        "row 5: amount",
        "row 6: currency",
        "row 7: has 4 cells, not 6",
        "row 8: amount",
    ]
    assert (service.paid, folder.lines) == ({}, {})


def faults(data: bytes) -> str:
    with pytest.raises(BadFileError) as refusal:
        read_rows(NAME, data, FORM)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "the column 'amount' is missing"),
        (HEADER.encode(), "the file has 0 rows"),
        (HEADER.replace(",", ";").encode(), "there is no column 'recipient_address;amount"),
        (HEADER.encode() + b",iban\n", "there is no column 'iban'"),
        (HEADER.encode() + b",metadata\n", "there is no column 'metadata'"),
        (HEADER.encode() + b",amount\n", "the column 'amount' is there 2 times"),
        (b"amount,reason\n", "the column 'currency' is missing"),
        (HEADER.encode() + b"\n\xff", "not CSV in UTF-8"),
        (HEADER.encode() + b'\n"open', "not CSV in UTF-8"),
        (b"x" * (MAX_BYTES + 1), "more than 10,000,000 bytes"),
    ],
)
def test_what_is_no_table_of_payouts(data: bytes, fault: str) -> None:
    assert fault in faults(data)


def test_columns_say_when_and_by_which_route() -> None:
    cells = {
        "payout_type": "scheduled",
        "scheduled_at": "2030-01-31T12:00:00Z",
        "route": "direct",
    }
    data = f"{HEADER},{','.join(cells)}\n{RECIPIENT},1,USDT,custom,r,{','.join(cells.values())}\n"
    (row,) = read_rows(NAME, data.encode(), FORM)
    assert {name: row.body[name] for name in cells} == cells
    (plain,) = read_rows(NAME, csv("1"), FORM)
    assert not cells.keys() & plain.body.keys()
    (batched,) = read_rows(
        NAME,
        f"{HEADER},payout_type,batch_window\n{RECIPIENT},1,USDT,custom,r,batch,daily\n".encode(),
        FORM,
    )
    assert (batched.body["payout_type"], batched.body["batch_window"]) == ("batch", "daily")
    assert len({each.key for each in (row, plain, batched)}) == 3


@pytest.mark.parametrize(
    ("column", "cell"), [("payout_type", "later"), ("route", "v1"), ("batch_window", "yearly")]
)
def test_a_column_takes_only_what_there_is(column: str, cell: str) -> None:
    data = f"{HEADER},{column}\n{RECIPIENT},1,USDT,custom,r,{cell}\n"
    assert f"row 2: {column}: must be one of" in faults(data.encode())


def test_a_file_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    assert len(read_rows(NAME, csv("1", "1"), FORM)) == 2
    assert "3 rows, not 1 to 2" in faults(csv("1", "1", "1"))


def test_what_a_spreadsheet_adds_changes_nothing() -> None:
    plain = csv("1", "2.50")
    lines = plain.decode().splitlines()
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]
    spaced = "\r\n".join([quoted[0], *(line.replace(",", ", ") for line in lines[1:]), ",,,,", ""])
    assert read_rows(NAME, b"\xef\xbb\xbf" + spaced.encode(), FORM) == read_rows(NAME, plain, FORM)


def test_the_same_amount_written_otherwise_has_the_same_key() -> None:
    (one,), (other,) = (read_rows(NAME, csv(amount), FORM) for amount in ("2.5", "2.500"))
    assert one.key == other.key
    assert len(one.key) <= 255


@given(st.lists(st.integers(10_000, 20_000), min_size=1, max_size=30))
def test_every_row_of_a_file_has_a_key_of_its_own(amounts: list[int]) -> None:
    data = csv(*(f"{amount / BASE_UNITS:.6f}" for amount in amounts))
    rows = read_rows(NAME, data, FORM)
    assert len({row.key for row in rows}) == len(amounts)
    assert [row.number for row in rows] == [*range(2, len(amounts) + 2)]
