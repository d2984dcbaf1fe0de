"""The command pay-file, up to the point where it needs a service, and the log file of a start."""

import os
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

import payout_router_entrypoint as entrypoint
from tests.factories import RECIPIENT
from tests.unit.test_config import ENVIRON

SECRET = "a secret for signing of more than 32 bytes"
TOKEN = jwt.encode({"sub": "me"}, SECRET)


@pytest.fixture(autouse=True)
def batches(tmp_path: Path) -> Iterator[Path]:
    """A folder of files, and an environment that names it and a token."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(BATCHES_DIR=str(tmp_path), PAYOUT_TOKEN=TOKEN, SERVICE_PORT="1")
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def pay(*arguments: str) -> int:
    return entrypoint.main(["pay-file", "march.csv", *arguments])


@pytest.mark.parametrize("missing", ["BATCHES_DIR", "PAYOUT_TOKEN"])
def test_it_says_what_it_needs(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.environ[missing] = ""
    assert pay() == 78
    expected = "pay-file needs BATCHES_DIR, and PAYOUT_TOKEN or --token-file\n"
    assert capsys.readouterr().err == expected


def test_a_token_of_nobody_is_refused_and_not_shown(
    batches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = batches / "token"
    for token in ("no-token-at-all", jwt.encode({"role": "USER"}, SECRET)):
        file.write_text(token, encoding="utf-8")
        assert pay("--token-file", str(file)) == 78
        error = capsys.readouterr().err
        assert error == "PAYOUT_TOKEN is not a token with a subject\n"


def test_a_token_file_that_is_not_there_is_named(
    batches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pay("--token-file", str(batches / "gone")) == 78
    assert "PAYOUT_TOKEN_FILE: expected a readable UTF-8 file" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(
    batches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pay() == 78
    assert capsys.readouterr().err == f"{batches}/march.csv: No such file or directory\n"


def test_the_limits_of_the_configuration_hold_beforehand(
    batches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ["MAX_PAYOUT_AMOUNT"] = "5"
    header = "recipient_address,amount,currency,reason"
    (batches / "march.csv").write_text(f"{header}\n{RECIPIENT},6,USDT,custom\n", encoding="utf-8")
    assert pay() == 65
    assert (
        capsys.readouterr().err == "row 2: amount: the amount is above the maximum of 5.00 USDT\n"
    )
    assert os.listdir(batches) == ["march.csv"]


def test_a_log_file_that_cannot_be_opened_stops_the_start_with_one_line(
    batches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (batches / "tron-payout-router.log").mkdir()
    os.environ.update(ENVIRON, LOG_DIR=str(batches))
    assert entrypoint.main(["worker"]) == 78
    error = capsys.readouterr().err
    assert error.startswith("LOG_DIR: ")
    assert error.endswith("tron-payout-router.log'\n")
