"""Pay a CSV file of payouts through the service's API, each row once however often it is run.

Every row has an idempotency key of its own: file name, row number, and fingerprint of its content.
Keys are per client. So that no row can come under two keys, a file that was changed after rows of
it were sent is refused, and so is another client's token; what both are held against stands at the
top of the file's results.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from ports.batches import BatchFolder, Desk, Form, Line, Outcome

MAX_BYTES = 10_000_000
MAX_ROWS = 10_000
SAVE_EVERY = 50
"""Rows after which the results so far are kept."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.csv", re.ASCII)


class BadFileError(Exception):
    """A file that can't be paid as it is; `problems` is everything that is wrong with it."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Row:
    """One payout of a file; the header is row 1, as in a spreadsheet."""

    number: int
    body: Line
    key: str


async def pay_file(
    name: str, folder: BatchFolder, form: Form, desk: Desk, client: str
) -> Mapping[Outcome, int]:
    """Create every row's payout, and keep what became of each; how many had which outcome.

    `client` is the subject of the token that the desk has.
    Raises BadFileError before anything is created; DeskUnavailableError, TokenRefusedError and
    FolderError at any time: running it again goes on, and pays nothing twice.
    """
    if not _NAME.fullmatch(name):
        raise BadFileError(
            "the file is named within BATCHES_DIR, with letters, digits, dots, dashes and "
            "underscores, and ends in .csv"
        )
    data = folder.read(name, MAX_BYTES + 1)
    rows = read_rows(name, data, form)
    digest = hashlib.sha256(data).hexdigest()
    head: Line = {"file": name, "sha256": digest, "rows": len(rows), "client": client}
    results = _results_so_far(name, head, folder.results(name))
    outcomes: Counter[Outcome] = Counter()
    folder.keep_results(name, [head, *results.values()])
    try:
        for position, row in enumerate(rows, start=1):
            answer = await desk.create(row.body, row.key)
            outcomes[answer.outcome] += 1
            results[row.number] = {
                "row": row.number,
                "outcome": answer.outcome,
                **answer.details,
            }
            if position % SAVE_EVERY == 0:
                folder.keep_results(name, [head, *results.values()])
    finally:
        folder.keep_results(name, [head, *results.values()])
    return outcomes


def _results_so_far(name: str, head: Line, lines: Sequence[Line]) -> dict[int, Line]:
    """The results of the runs before, by row. Raises BadFileError if they were of another file, or
    another client's."""
    before = lines[0] if lines else head
    if before.get("client") != head["client"]:
        raise BadFileError(
            f"{name} was paid from with the token of {before.get('client')}, not of "
            f"{head['client']}: only with that client's token is nothing paid twice"
        )
    if before != head:
        raise BadFileError(
            f"{name} was changed after it was paid from: put it back as it was. Rows that its "
            "results do not show as paid go into a file with a new name, and only those"
        )
    return {line["row"]: line for line in lines[1:]}


def read_rows(name: str, data: bytes, form: Form) -> Sequence[Row]:
    """The rows of a file: UTF-8, commas, the names of the columns first; blank rows don't count.

    Raises BadFileError with every fault of every row.
    """
    if len(data) > MAX_BYTES:
        raise BadFileError(f"the file has more than {MAX_BYTES:,} bytes")
    try:
        table = [*csv.reader(StringIO(data.decode("utf-8-sig"), newline=""), strict=True)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFileError(f"the file is not CSV in UTF-8: {error}") from None
    columns = [cell.strip() for cell in table[0]] if table else []
    faults = [*_faults_of_header(columns, form)]
    if faults:
        raise BadFileError(*faults)
    rows: list[Row] = []
    for number, cells in enumerate(table[1:], start=2):
        if any(cell.strip() for cell in cells):
            try:
                rows.append(_row(name, number, columns, cells, form))
            except ValueError as error:
                faults += [f"row {number}: {fault}" for fault in error.args]
    if faults or not 0 < len(rows) <= MAX_ROWS:
        raise BadFileError(*faults or [f"the file has {len(rows):,} rows, not 1 to {MAX_ROWS:,}"])
    return rows


def _faults_of_header(columns: Sequence[str], form: Form) -> Iterator[str]:
    for column, times in Counter(columns).items():
        if column not in form.columns:
            known = ", ".join(sorted(form.columns))
            yield f"row 1: there is no column {column!r}; those that there are: {known}"
        elif times > 1:
            yield f"row 1: the column {column!r} is there {times} times"
    for column in sorted(form.required.difference(columns)):
        yield f"row 1: the column {column!r} is missing"


def _row(name: str, number: int, columns: Sequence[str], cells: Sequence[str], form: Form) -> Row:
    if len(cells) != len(columns):
        raise ValueError(f"has {len(cells)} cells, not {len(columns)}")
    filled = zip(columns, (cell.strip() for cell in cells), strict=True)
    body, fingerprint = form.read({column: cell for column, cell in filled if cell})
    return Row(number, body, f"{name}:{number}:{fingerprint[:32]}")
