"""mutmut's survivors that change nothing that anybody is promised, and why."""

import re

TEXT = re.compile(r"""(?P<quote>["'])(?P<text>.*?)(?P=quote)""")

EQUIVALENT: tuple[tuple[str, str, str], ...] = (
    ("address_bytes", "number.to_bytes(25, )", "big is the default order"),
    ("address_text", "_checksum(payload), )", "big is the default order"),
    ("attempt_timestamp_ms", "from_bytes(digest[:8], )", "big is the default order"),
    ("attempt_timestamp_ms", ">> 13 | 1 << 51", "51 bits of the hash count either way"),
    ("format_amount", 'rstrip("XX0XX")', "digits hold no X"),
    ("_waiting", 'why.code or "XXXX"', "neither is a code"),
    ("_record", "written = -1 → written = -2", "neither is a number of writes"),
    ("_record", "written = -1 → written = None", "neither is a number of writes"),
    ("_unconfirmed", "False for _, hit in failed} →", "each block is asked about right after"),
    ("_facts", "continue → break", "a payout with a failed hit has a live attempt"),
)
"""Part of the mutant's name, part of "what was → what is there now", and why that is no fault."""


def why_equivalent(name: str, difference: str) -> str:
    """Why a survivor is no hole in the tests; empty if it is one.

    `difference` are the lines that it takes away, each after a "-", and puts in, after a "+".
    """
    if only_words(difference):
        return "the wording of a message for people"
    change = _change(difference)
    return next((why for part, text, why in EQUIVALENT if part in name and text in change), "")


def _change(difference: str) -> str:
    lines = difference.splitlines()
    before, after = ([line[1:].strip() for line in lines if line[0] == sign] for sign in "-+")
    return f"{' '.join(before)} → {' '.join(after)}"


def only_words(difference: str) -> bool:
    """Whether one line changes, and in it only the letter case of texts of several words, or XX
    around them."""
    lines = difference.splitlines()
    if len(lines) != 2:
        return False
    before, after = (TEXT.sub(_plain, line[1:]) for line in lines)
    return before == after


def _plain(found: re.Match[str]) -> str:
    text = found["text"]
    return text.removeprefix("XX").removesuffix("XX").lower() if " " in text.strip() else found[0]
