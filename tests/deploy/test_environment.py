"""The files of configs/environment/, and that they and config.py say the same."""

import re
import stat
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import config
from config import load_settings
from settings.environment import DEFAULT_CONFIG_DIR, Environment, Network
from tests.deploy.environment import (
    FOLDER,
    ORDER,
    ROOT,
    WRITE_SECRETS,
    entries,
    loaded_without_folders,
    texts,
)

PLAIN_VALUE = re.compile(r"[\w./:@%+,=?-]*", re.ASCII)
"""What a POSIX shell, Compose and `docker run --env-file` all take as it stands."""

LINE_THAT_LOADS = "set -a; for f in {}; do . configs/environment/.env.$f; done; set +a"


def read_by_the_service() -> set[str]:
    """Every variable that config.py and the YAML files read."""
    in_files = {
        name
        for file in DEFAULT_CONFIG_DIR.glob("*.yaml")
        for name in re.findall(r"^[^#\n]*\$\{(\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    overrides = {override.variable for override in config.ROUTER_OVERRIDES}
    return {field.upper() for field in Environment.model_fields} | overrides | in_files


def interpolated() -> set[str]:
    """Every variable that the Compose files name."""
    files = [*(ROOT / "configs" / "docker").glob("*.yml"), ROOT / "docker-compose.yml"]
    return {
        name
        for file in files
        for name in re.findall(r"\$\{(\w+)", file.read_text(encoding="utf-8"))
    }


def test_each_variable_of_the_service_is_assigned_once():
    assigned = Counter(name for text in texts().values() for name, _ in entries(text))
    assert {name for name, count in assigned.items() if count > 1} == set()
    for_the_service = read_by_the_service() | {"SERVICE_NAME", "PAYOUT_ROUTER_PORT"}
    assert for_the_service - set(assigned) == set()
    assert set(assigned) - for_the_service - interpolated() == set()


def test_secrets_are_in_the_secrets_file_alone():
    for name, text in texts().items():
        names = {variable for variable, _ in entries(text)}
        if name == "secrets":
            assert names >= config.SECRET_VARIABLES
        else:
            assert not {one for one in names if "PASSWORD" in one}
            assert not names & config.SECRET_VARIABLES


def test_the_services_own_file_names_every_variable():
    named = set(re.findall(r"[A-Z][A-Z_]+", texts()["tron-payout-router"]))
    assert read_by_the_service() - named == set()


@pytest.mark.parametrize("name", ORDER)
def test_each_variable_has_a_comment_of_one_line_and_a_plain_value(name):
    lines = texts()[name].splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith("#"):
            assert re.fullmatch(r"# [A-Z0-9a-z].*\.", above), f"{line!r} has no comment"
            variable, _, value = line.partition("=")
            assert re.fullmatch(r"[A-Z][A-Z0-9_]*", variable)
            assert PLAIN_VALUE.fullmatch(value), f"{variable} means something else to a shell"


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_loads_what_compose_reads(shell, tmp_path):
    """With the line of docs/operations.md, which exports everything."""
    line = LINE_THAT_LOADS.format(" ".join(ORDER))
    assert line in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    folder = tmp_path / "configs" / "environment"
    folder.mkdir(parents=True)
    expected: dict[str, str] = {}
    for name, text in texts().items():
        (folder / f".env.{name}").write_text(text, encoding="utf-8")
        expected |= dict(entries(text))
    run = subprocess.run(  # noqa: S603 - a line of our own
        [shell, "-euc", f"{line}; env -0"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = dict(entry.split("=", 1) for entry in run.stdout.split("\0") if entry)
    assert {name: seen.get(name) for name in expected} == expected


def test_the_service_takes_the_files_as_they_stand():
    files = loaded_without_folders()
    settings = load_settings(files)
    assert settings.environment.production
    assert settings.environment.tron_network is Network.MAINNET
    secrets = {name: files[name] for name in config.SECRET_VARIABLES}
    assert load_settings(secrets) == settings, "the files say the defaults, but for the folders"


# ---- make secrets ----


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    example = FOLDER / ".env.secrets.example"
    (tmp_path / example.name).write_bytes(example.read_bytes())
    return tmp_path


def test_secrets_are_written_once_and_for_the_owner_alone(folder, capsys):
    assert WRITE_SECRETS.main(folder) == 0
    path = folder / ".env.secrets"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = path.read_text()
    assert WRITE_SECRETS.main(folder) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert path.read_text() == written


def test_every_secret_is_its_own_and_the_urls_have_the_databases_passwords():
    first, second = dict(entries(texts()["secrets"])), dict(entries(texts()["secrets"]))
    random = {name for name, value in first.items() if re.fullmatch("[0-9a-f]{64}", value)}
    assert {
        *("JWT_SECRET_KEY", "WALLET_ENCRYPTION_KEY", "MONGODB_ROOT_PASSWORD", "MONGODB_PASSWORD"),
        *("MONGODB_REPLICA_KEY", "REDIS_PASSWORD"),
    } == random
    assert len({first[name] for name in random} | {second[name] for name in random}) == 12
    assert urlsplit(first["MONGODB_URL"]).password == first["MONGODB_PASSWORD"]
    assert urlsplit(first["REDIS_URL"]).password == first["REDIS_PASSWORD"]
    assert not [value for value in first.values() if "<" in value]


def test_a_placeholder_that_leads_nowhere_is_an_error():
    with pytest.raises(KeyError, match="ABSENT"):
        WRITE_SECRETS.filled("# about\n\nURL=x:<ABSENT>\n")


def test_the_secrets_cannot_be_committed():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env.secrets" in ignored
