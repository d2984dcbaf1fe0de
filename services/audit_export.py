"""An export of the audit log: one canonical JSON object a line, made here and verified here.

A line is an entry, or, where histories were asked for, a payout's own account of its past; that
follows the last of at most PAGE entries among which it has one. docs/audit.md has the format.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain
from typing import Any, Final

from pydantic import TypeAdapter

from models.audit import GENESIS, Entry, Head, Story, canonical, entry_fields, moment_text
from models.audit_check import Fault, FaultKind, Verdict, contradiction, verify

PAGE: Final = 500
"""Entries that are read, and compared with histories, at a time."""

_ENTRY: Final = TypeAdapter(Entry)
_STORY: Final = TypeAdapter(Story)


class BadExportError(Exception):
    """This is no export of an audit log; the message says which line is not."""


def entry_line(entry: Entry) -> str:
    """An entry as a line, without its end."""
    return canonical(entry_fields(entry))


def story_line(story: Story) -> str:
    """A payout's account as a line, without its end."""
    history = [{**asdict(event), "at": moment_text(event.at)} for event in story.history]
    told = {"payout_id": story.payout_id, "tenant": story.tenant, "details": story.details}
    return canonical({**told, "history": history})


def verify_export(lines: Iterable[str], heads: Sequence[Head] = ()) -> tuple[Head, Verdict]:
    """Hold an export against itself, and against heads that were published.

    Of a published hash the first digits will do. Returns what the export goes on from, and the
    verdict. It may begin after the log's first entry: then what comes before is taken from its
    first line, which a published head can confirm. Raises BadExportError.
    """
    reading = _Reading(heads)
    entries = reading.entries(lines)
    first = next(entries, None)
    if first is None and reading.fault is None:
        raise BadExportError("it holds no entry")
    if first is None:
        return GENESIS, Verdict(GENESIS, reading.fault)
    start = Head(first.number - 1, first.previous_hash) if first.number > 1 else GENESIS
    reading.meet(start)
    verdict = verify(chain([first], entries), start)
    return start, replace(verdict, fault=verdict.fault or reading.fault or reading.unmet())


class _Reading:
    """The entries of an export; `fault` is what ended them early."""

    def __init__(self, heads: Sequence[Head]) -> None:
        self._heads = {head.number: head.hash for head in heads}
        self._recent: deque[Entry] = deque(maxlen=PAGE)
        self.fault: Fault | None = None

    def entries(self, lines: Iterable[str]) -> Iterator[Entry]:
        for place, line in enumerate(lines, 1):
            item = _item(place, line.removesuffix("\n"))
            if isinstance(item, Story):
                self.fault = contradiction(item, self._recent)
            elif entry_line(item) != line.removesuffix("\n"):
                text = "its line is not written as the service writes it"
                self.fault = Fault(item.number, FaultKind.CHANGED, text)
            else:
                self.meet(item.head)
            if self.fault is not None:
                return
            if isinstance(item, Entry):
                self._recent.append(item)
                yield item

    def meet(self, head: Head) -> None:
        """Compare with what was published of this number, if anything was."""
        if not head.hash.startswith(self._heads.pop(head.number, "")):
            text = "its hash is not the one that was published"
            self.fault = Fault(head.number, FaultKind.CHANGED, text)

    def unmet(self) -> Fault | None:
        """A published head that the export does not hold."""
        if not self._heads:
            return None
        text = "it was published, but the export does not hold it"
        return Fault(min(self._heads), FaultKind.MISSING, text)


def _item(place: int, line: str) -> Entry | Story:
    """What a line holds. Raises BadExportError."""
    try:
        fields: dict[str, Any] = json.loads(line)
        if "history" in fields:
            return _STORY.validate_python(fields)
        numbers = {name: fields.pop(name) for name in ("number", "previous_hash", "hash")}
        return _ENTRY.validate_python({**numbers, "record": fields})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadExportError(f"line {place} is no entry and no history") from error
