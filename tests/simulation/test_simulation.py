"""The simulation as part of the test command: a sample of both parts, and that it can be trusted.

The first seeds are always the same ones, as many as it takes until every kind of fault has fired.
`SIMULATION_SECONDS` of processor time go into fresh seeds, `SIMULATION_STRIDE` says how many of the
exhaustive part are left out; a failure prints the command that shows it again.
"""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import faults
from tests.simulation.__main__ import told
from tests.simulation.batch import Batch, BatchOptions, Summary, run_seeds
from tests.simulation.explore import Injection, explore, injections, run_injection
from tests.simulation.ports import methods_of
from tests.simulation.world import run_seed

SECONDS = float(os.environ.get("SIMULATION_SECONDS", "30"))
STRIDE = int(os.environ.get("SIMULATION_STRIDE", "60"))
FEWEST, MOST, STEP = 60, 2_000, 20
"""How many of the first seeds are run at least; how many must be enough for every kind of fault,
of which the rarest fires in one world of 150; and how many go between two looks."""


def test_the_same_seed_gives_the_same_world() -> None:
    once, again = run_seed(7), run_seed(7)
    assert once.trace_hash == again.trace_hash
    assert once.fired == again.fired
    assert run_seed(8).trace_hash != once.trace_hash


def test_neither_the_hash_seed_nor_the_host_s_clock_changes_a_world() -> None:
    code = "from tests.simulation.world import run_seed; print(run_seed(11).trace_hash)"

    def hash_in_a_process(seed: str) -> str:
        done = subprocess.run(  # noqa: S603  our own interpreter
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert hash_in_a_process("1") == hash_in_a_process("2")


def test_a_kind_that_is_turned_off_does_not_fire() -> None:
    fired = run_seed(7).fired
    kind = next(kind for kind in faults.CALL_FAULTS if fired[kind])
    assert run_seed(7, without=[kind]).fired[kind] == 0


def test_the_first_seeds_hold_every_promise_and_every_fault_fires() -> None:
    """Whether a kind is silent does not hang on which seeds are drawn, nor on how many there is
    time for."""
    summary = Summary()
    while summary.seeds < FEWEST or (summary.silent and summary.seeds < MOST):
        summary.add(run_seeds(range(summary.seeds, summary.seeds + STEP)))
        _hold(summary)
    assert summary.silent == []
    assert all(summary.figures[what] for what in ("of batches", "moves", "falls"))


def test_fresh_seeds_hold_every_promise() -> None:
    """As many as there is time for."""
    summary, first = Summary(), secrets.randbelow(1 << 32)
    while summary.cpu_seconds < SECONDS:
        summary.add(run_seeds(range(first + summary.seeds, first + summary.seeds + STEP)))
        _hold(summary)
    print(f"seeds {first}:{first + summary.seeds}")


def _hold(summary: Summary) -> None:
    """What broke when it first ran counts, though it may not show when it runs again."""
    for seed, problem in summary.failures.items():
        pytest.fail(f"seed {seed}: {problem}\n\nrun again:\n{told(run_seed(seed))}")


def test_every_single_fault_at_every_call_ends_well() -> None:
    everything = list(injections())
    offset = secrets.randbelow(min(STRIDE, len(everything)))
    found = explore(everything[offset::STRIDE])
    again = "python -m tests.simulation.explore --only"
    assert not found.failures, [f"{again} {name}: {why}" for name, why in found.failures.items()]


def test_an_injection_happens_where_it_was_put() -> None:
    _, calls = run_injection(Injection(-1, ""))
    at = calls.index((faults.STORE, "claim"))
    result, _ = run_injection(Injection(at, "crash_unanswered"))
    assert result.ok
    assert result.fired["crash_unanswered"] == 1


def test_every_call_of_the_log_and_of_a_pause_is_a_place_to_crash() -> None:
    _, calls = run_injection(Injection(-1, ""))
    made = {method for port, method in calls if port == faults.STORE}
    assert made >= {
        *("unlogged", "logged", "audit_head", "append_entries", "forget_logged"),
        *("archive_entries", "count_unlogged", "note_act"),
        *("close_gate", "open_gate", "gates", "standing", "revoke", "cutoffs"),
    }


def test_every_call_that_decides_is_a_place_to_crash() -> None:
    _, calls = run_injection(Injection(-1, ""))
    made = {method for port, method in calls if port == faults.STORE}
    assert made >= {
        *("listed", "kyc_of", "velocity", "route_figures", "reserve", "used", "release"),
        *("release_due", "full_batches", "exposures", "waiting_on"),
        *("put_listed", "remove_listed", "put_kyc", "remove_kyc"),
    }


def test_a_batch_and_a_fall_back_are_places_to_crash() -> None:
    result, _ = run_injection(Injection(-1, ""))
    assert result.figures["of batches"] == 2
    assert result.figures["falls"] == 1
    assert result.figures["moves"] == 2


def test_a_new_port_method_is_found() -> None:
    class Port:
        async def new(self) -> None: ...

        def not_a_call(self) -> None: ...

        async def _hidden(self) -> None: ...

    assert methods_of(Port) == ("new",)


def test_a_batch_goes_on_where_it_stopped(tmp_path: Path) -> None:
    progress, said = tmp_path / "progress.json", list[str]()
    whole = Batch(BatchOptions(range(4)), said.append).run()
    Batch(BatchOptions(range(4), resume=progress, seconds=0), said.append).run()
    kept = json.loads(progress.read_text())
    assert 0 < kept["summary"]["seeds"] < 4
    resumed = Batch(BatchOptions(range(4), resume=progress), said.append).run()
    assert resumed.seeds == 4
    assert resumed.fired == whole.fired
    assert resumed.figures == whole.figures
    assert any("going on after" in line for line in said)
