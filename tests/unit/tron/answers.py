"""Node answers to spoil: real blocks as a node would serve them, and what a devnet says."""

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

REAL_BLOCKS = Path(__file__).parents[2] / "data" / "tron_blocks.jsonl"

anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["", "41" + "00" * 20, "00" * 32, "SUCCESS", "FAILED", "zz", "-1"]),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=6), children, max_size=3)
    ),
    max_leaves=6,
)
"""Any JSON value."""


def real_blocks() -> list[dict[str, Any]]:
    """Real blocks of mainnet and Nile, as `getblock` shows them; all transactions are included."""
    lines = [json.loads(line) for line in REAL_BLOCKS.read_text().splitlines()]
    return [_as_answer(line) for line in lines if "transactions" in line]


def real_headers() -> list[dict[str, Any]]:
    """All real headers, of whose blocks some are shown without their transactions."""
    return [_as_answer(json.loads(line)) for line in REAL_BLOCKS.read_text().splitlines()]


def _as_answer(line: Mapping[str, Any]) -> dict[str, Any]:
    answer = {
        "blockID": line["block_id"],
        "block_header": {
            "raw_data": line["header"],
            "witness_signature": line["witness_signature"],
        },
    }
    if line.get("transactions"):
        answer["transactions"] = line["transactions"]
    return answer


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values within a JSON value, itself (the empty path) first."""
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in items:
        yield from places(child, (*path, key))


def found_at(value: Any, path: tuple[Any, ...]) -> Any:
    """What is at a path."""
    for key in path:
        value = value[key]
    return value


def put_at(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with something else at a path."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    found_at(changed, path[:-1])[path[-1]] = new
    return changed


def without(value: Any, path: tuple[Any, ...]) -> Any:
    """A copy of a JSON value that lacks what is at a path (not the empty one)."""
    changed = copy.deepcopy(value)
    del found_at(changed, path[:-1])[path[-1]]
    return changed


@st.composite
def spoiled(draw: st.DrawFn, answer: Any) -> Any:
    """An answer of which one value was replaced by anything, or left out."""
    path = draw(st.sampled_from(list(places(answer))))
    if path and draw(st.booleans()):
        return without(answer, path)
    return put_at(answer, path, draw(anything))
