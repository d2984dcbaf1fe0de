"""`make demo` and `make run` as a person starts them."""

# ruff: noqa: S603, S607 - programs of our own, without a shell

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from devnet.demo import SHARED, URGENT
from devnet.process import free_port, port_is_free
from devnet.stack import ROOT
from tests.processes import all_end, children_of, watch

DEMO_SECONDS = 180
COMMAND = [sys.executable, "-m", "devnet.stack"]
TOKEN = re.compile(r"SERVICE +(\S+)")


def test_the_demo_pays_and_agrees_with_the_chain() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "devnet.demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("completed") == 13
    assert "The chain shows each payout exactly once" in run.stdout
    assert len(set(re.findall(r"payout_[0-9a-f]{32}", run.stdout))) == 13
    for said in (
        "needs a recipient with KYC level 1; this one is not verified",
        "needs 1 more approval (APPROVER or ADMIN or SUPER_ADMIN)",
        f"40.00 USDT by direct from {URGENT.address}",
        f"1500.00 USDT by kyc from {SHARED.address}",
        f"25.00 USDT by v0 from {SHARED.address}",
        "approved by bea (APPROVER): checked against the contract",
    ):
        assert said in run.stdout


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "STACK_DIR": str(tmp_path / "stack"),
        "SERVICE_PORT": str(free_port()),
        "DEVNET_PORT": str(free_port()),
        "DEVNET_TICK_MS": "100",
    }


@contextmanager
def foreground(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A stack in the foreground that is up, and what it said; ended by SIGINT, as by Ctrl-C."""
    with subprocess.Popen(
        COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as stack:
        assert stack.stdout is not None
        said = ""
        for line in stack.stdout:
            said += line
            if line.startswith("curl"):
                break
        else:
            pytest.fail("the stack did not start; what it said is on its standard error")
        try:
            yield stack, said
        finally:
            stack.send_signal(signal.SIGINT)
            stack.wait(60)


def test_a_second_run_goes_on_where_the_first_stopped(environment: dict[str, str]) -> None:
    port = environment["SERVICE_PORT"]
    with foreground(environment) as (stack, said):
        curl = next(line for line in said.splitlines() if line.startswith("curl"))
        answer = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, check=True)
        payout = json.loads(answer.stdout)
        servers = watch(children_of(stack.pid))
        assert len(servers) == 4
        assert refusal({**environment, "STACK_DIR": environment["STACK_DIR"] + "-other"}) == (
            f"the service can't listen on port {port}: it is in use"
        )
        assert "another stack is running" in refusal(environment)
    assert stack.returncode == 0
    assert all_end(servers)
    assert port_is_free(int(port))
    with foreground(environment):
        kept = httpx.get(
            f"http://127.0.0.1:{port}/payouts/{payout['payout_id']}",
            headers={"Authorization": f"Bearer {TOKEN.findall(said)[0]}"},
        )
        assert kept.status_code == 200
        assert kept.json()["amount"] == payout["amount"]


def refusal(environment: dict[str, str]) -> str:
    """What a stack says that can't start."""
    own_devnet = {**environment, "DEVNET_PORT": str(free_port())}
    run = subprocess.run(
        COMMAND, cwd=ROOT, env=own_devnet, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    return run.stderr.strip()


def test_kill_9_of_the_stack_leaves_nothing_behind(environment: dict[str, str]) -> None:
    with foreground(environment) as (stack, _):
        servers = watch(children_of(stack.pid))
        stack.kill()
        assert all_end(servers)


def test_a_server_that_ends_by_itself_ends_the_stack(environment: dict[str, str]) -> None:
    with foreground(environment) as (stack, _):
        servers = children_of(stack.pid)
        watched = watch(servers)
        os.kill(servers[1], signal.SIGKILL)
        assert stack.wait(60) == 1
        assert all_end(watched)
