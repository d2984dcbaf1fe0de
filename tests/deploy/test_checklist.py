"""docs/checklist.md names what is there."""

import re

import pytest

from tests.deploy.environment import ROOT

CHECKLIST = (ROOT / "docs" / "checklist.md").read_text(encoding="utf-8")
ROWS = [line for line in CHECKLIST.splitlines() if line.startswith("|") and "---" not in line]

REQUIRED = (
    *("Dockerfile.payout-router", "payout_router_main.py", "payout_router_entrypoint.py"),
    *("config.py", "requirements.txt", "requirements-prod.txt"),
    *("api/__init__.py", "api/payouts.py", "services/__init__.py", "services/payout_router.py"),
    *("utils/__init__.py", "utils/circuit_breaker.py", "utils/config_loader.py"),
    *("utils/connection_pool.py", "utils/health_check.py", "utils/logging_config.py"),
    *("utils/metrics.py", "utils/rate_limiter.py", "utils/retry.py"),
    *("models/__init__.py", "models/payout.py", "models/transaction.py"),
    *("config/payout-router-config.yaml", "config/payout-error-codes.yaml"),
    *("config/payout-security-policies.yaml", "config/prometheus-metrics.yaml"),
    *("config/retry-config.yaml", "configs/environment/.env.tron-payout-router"),
)


@pytest.mark.parametrize("name", REQUIRED)
def test_the_files_are_there(name):
    assert (ROOT / name).is_file()


def test_every_test_that_is_named_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", CHECKLIST)
    assert len(named) > 30
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not test or re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), test


def test_every_line_has_something_to_show_it():
    shown = [row.split("|")[2] for row in ROWS]
    assert all(cell.strip() for cell in shown)


def test_every_other_file_that_is_named_exists():
    where = CHECKLIST.partition("## What cannot be shown here")[0]
    names = re.findall(r"`((?:docs|image|configs)/[\w./-]+\.\w+|Dockerfile\.[\w-]+)`", where)
    assert names
    assert [name for name in names if not (ROOT / name).is_file()] == []
