"""Folders that the service is given: what is said of one that it can't use."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import ConfigError, load_settings
from settings.environment import WRITABLE_FOLDERS
from tests.unit.test_config import ENVIRON

NONROOT = 65532


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of whoever asks for it."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def nonroot() -> Iterator[None]:
    """The rights of user 65532 where the tests run as root, who may do anything."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NONROOT)
    yield
    if was_root:
        os.seteuid(0)


def complaints(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as refusal:
        load_settings(ENVIRON | environ)
    return [str(problem) for problem in refusal.value.problems]


def test_without_folders_nothing_is_kept_in_any() -> None:
    env = load_settings(ENVIRON).environment
    assert [getattr(env, name.lower()) for name in WRITABLE_FOLDERS] == [None] * 4


def test_usable_folders_are_taken(tmp_path: Path) -> None:
    env = load_settings(ENVIRON | dict.fromkeys(WRITABLE_FOLDERS, str(tmp_path))).environment
    assert [getattr(env, name.lower()) for name in WRITABLE_FOLDERS] == [tmp_path] * 4


@pytest.mark.usefixtures("nonroot")
def test_every_folder_that_cannot_be_written_is_named_at_once(folder: Path) -> None:
    folder.chmod(0o555)
    user = os.geteuid()
    gone = folder / "gone"
    found = complaints(
        LOG_DIR=str(folder),
        PAYMENT_SYSTEMS_DIR=str(gone),
        PAYOUTS_DIR=__file__,
        BATCHES_DIR="/proc",
        TRON_NETWORK="nowhere",
    )
    wanted = f"expected a folder that user {user} can read and write, found"
    stat = folder.stat()
    assert found[0].startswith("TRON_NETWORK: ")
    assert found[1:4] == [
        f"LOG_DIR: {wanted} {folder}: mode 555 of {stat.st_uid}:{stat.st_gid}",
        f"PAYMENT_SYSTEMS_DIR: {wanted} {gone}: no such file or directory",
        f"PAYOUTS_DIR: {wanted} {__file__}: not a folder",
    ]
    assert found[4].startswith(f"BATCHES_DIR: {wanted} /proc: ")


@pytest.mark.usefixtures("nonroot")
def test_a_folder_of_keys_must_be_readable_where_the_key_comes_from_it(folder: Path) -> None:
    folder.chmod(0o300)
    (complaint,) = complaints(KEYS_DIR=str(folder))
    assert complaint.startswith(f"KEYS_DIR: expected a folder that user {os.geteuid()} can read, ")
    load_settings(ENVIRON | {"KEYS_DIR": str(folder), "TRON_PRIVATE_KEY": "ab" * 32})
    load_settings(ENVIRON | {"KEYS_DIR": str(folder / "gone")})
