"""docs/api.md is true: its commands are run by a shell against a service, and its tables are held
against the files that they tell of.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devnet.stack import ROOT
from models.money import BASE_UNITS
from tests.e2e.kit import PACE, PATIENCE_SECONDS, Service, World, completed, everything, token

TEXT = (ROOT / "docs/api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|json)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
SCRIPTS = [text for kind, text in BLOCKS if kind == "sh" and "…" not in text]
"""What the reader fills in has dots, and is set by the test."""

TALKATIVE_CURL = """#!/bin/sh
# Keeps the body and the status of every answer, in order.
number=$(ls "$ANSWERS" | wc -l)
{curl} "$@" --write-out '%{{stderr}}%{{http_code}}' >"$ANSWERS/$number.body" 2>"$ANSWERS.status"
cat "$ANSWERS.status" >>"$ANSWERS.statuses"; echo >>"$ANSWERS.statuses"
cat "$ANSWERS/$number.body"
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mongodb_url: str) -> Iterator[World]:
    """A world with the policies as they are shipped."""
    with World(tmp_path_factory.mktemp("world"), mongodb_url, PACE) as world:
        world.fund(10_000 * BASE_UNITS)
        yield world


def test_every_curl_line_says_what_it_answers() -> None:
    for script in SCRIPTS:
        assert script.count("curl ") == len(re.findall(r"# \d{3}$", script, re.MULTILINE)), script


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_answers_as_the_page_says(service: Service, tmp_path: Path) -> None:
    answers, tools = tmp_path / "answers", tmp_path / "bin"
    answers.mkdir()
    tools.mkdir()
    curl = tools / "curl"
    curl.write_text(TALKATIVE_CURL.format(curl=shutil.which("curl")), encoding="utf-8")
    curl.chmod(0o755)
    run = subprocess.run(
        ["/bin/sh", "-eu"],
        input="\n".join(SCRIPTS),
        cwd=tmp_path,
        env={
            "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
            "ANSWERS": str(answers),
            "URL": service.url,
            "TOKEN": token("SERVICE", "shop"),
            "ADMIN": token("ADMIN", "operator"),
            "APPROVER": token("APPROVER", "bea"),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    said = re.findall(r"# (\d{3})$", "\n".join(SCRIPTS), re.MULTILINE)
    assert (tmp_path / "answers.statuses").read_text(encoding="utf-8").split() == said
    check_shown_answers(answers)
    with service.api("ADMIN", "operator") as api:
        (approved,) = [one for one in everything(api) if one["approval"]]
        (paid,) = completed(api, [approved])
    assert (paid["amount"], paid["route"]) == ("6000.00", "kyc")


def check_shown_answers(answers: Path) -> None:
    """A JSON block is the answer to the last command before it; "…" stands for any text."""
    commands = 0
    for kind, text in BLOCKS:
        if kind == "sh" and text in SCRIPTS:
            commands += text.count("curl ")
        elif kind == "json":
            body = (answers / f"{commands - 1}.body").read_text(encoding="utf-8")
            assert_same(json.loads(text), json.loads(body))


def assert_same(shown: dict[str, Any], real: dict[str, Any]) -> None:
    assert {name: value for name, value in real.items() if shown.get(name) != "…"} == {
        name: value for name, value in shown.items() if value != "…"
    }


def config(name: str) -> dict[str, Any]:
    """A file of config/ as it is shipped."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return found


def rows_of(head: str) -> list[list[str]]:
    """The cells of the table under a head."""
    table = TEXT.partition(f"{head}\n|---")[2].partition("\n\n")[0]
    return [row.strip("| ").split(" | ") for row in table.splitlines()[1:]]


def test_the_table_of_codes_is_the_one_of_the_file() -> None:
    codes = config("payout-error-codes.yaml")["codes"]
    assert rows_of("| code | HTTP | retryable | what | what to do |") == [
        [
            code,
            str(entry["http_status"] or "–"),
            "yes" if entry["retryable"] else "no",
            entry["title"],
            f"`{entry['recovery_action']}`",
        ]
        for code, entry in codes.items()
    ]


def test_the_table_of_rates_is_the_one_of_the_file() -> None:
    roles = config("payout-security-policies.yaml")["roles"]
    kinds = ("create", "batch", "quote", "read", "act", "admin")
    assert rows_of("| role | create | batch | quote | read | act | admin |") == [
        [role, *(said(policy["rate_limits"].get(kind)) for kind in kinds)]
        for role, policy in roles.items()
    ]


def said(rate: dict[str, int] | None) -> str:
    """A rate in words; a kind without one of its own goes with `read`."""
    if rate is None:
        return "as `read`"
    period = {60: "a minute", 3600: "an hour"}[rate["per_seconds"]]
    return f"{rate['permits']:,} {period}, {rate['burst']:,} at once"


def test_the_bounds_are_those_of_the_file() -> None:
    api = config("payout-router-config.yaml")["api"]
    shown = {what: bound for what, bound, _ in rows_of("| what | bound | beyond it |")}
    assert shown == {
        "body": f"{api['max_body_bytes']:,} bytes",
        "path and headers": f"{api['max_head_bytes']:,} bytes, {api['max_headers']} headers",
        "time for one request": f"{api['request_seconds']} s",
        "payouts in one batch": f"{api['max_batch_items']:,}",
        "time for one batch": f"{api['batch_seconds']} s",
        "requests that one replica works on": f"{api['max_in_flight']:,}",
        "connections to one replica": f"{api['max_connections']:,}",
    }
    assert f"1 to {api['max_batch_items']} payouts, each as in `POST /payouts`" in TEXT
    assert f"not reached within {api['batch_seconds']} s (P302)" in TEXT
    pages = f"({api['default_page_size']} unless you say, {api['max_page_size']} at most)"
    assert pages in TEXT
    anonymous = config("payout-security-policies.yaml")["anonymous"]
    assert f"that counts share {said(anonymous).partition(',')[0]} by address" in TEXT


def test_the_amounts_are_those_of_the_file() -> None:
    usdt, trx = (
        {name: float(value) for name, value in figures.items() if isinstance(value, str)}
        for figures in config("payout-router-config.yaml")["currencies"].values()
    )
    assert (
        f"From {usdt['min_amount']:g} to {usdt['max_amount']:,.0f} USDT "
        f"({trx['max_amount']:,.0f} TRX) a payout, and {usdt['daily_limit']:,.0f} USDT "
        f"({trx['daily_limit']:,.0f} TRX) a calendar day in UTC, as shipped."
    ) in " ".join(TEXT.split())


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
