"""What the YAML files declare is used, and what the code uses is declared."""

import re
from collections.abc import Iterator
from pathlib import Path

from config import Settings, load_settings

ROOT = Path(__file__).parents[2]
SOURCES = ("adapters", "api", "models", "services", "settings", "utils", "workers")


def settings() -> Settings:
    secret = "a secret that is long enough for a test"
    return load_settings(
        {
            "MONGODB_URL": "mongodb://localhost/x",
            "REDIS_URL": "redis://localhost",
            "JWT_SECRET_KEY": secret,
            "WALLET_ENCRYPTION_KEY": secret,
        },
    )


def sources() -> Iterator[str]:
    yield (ROOT / "payout_router_main.py").read_text(encoding="utf-8")
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.read_text(encoding="utf-8")


def test_metric_families() -> None:
    declared = {family.name for family in settings().metrics.families}
    used = {
        name
        for text in sources()
        for name in re.findall(r'"((?:payout|tron)_[a-z_]+)"', text)
        if name.endswith(("_total", "_seconds", "_units", "_info", "_health", "_state"))
        or name in declared
    }
    assert used == declared


def test_error_codes() -> None:
    declared = set(settings().error_codes.codes)
    used = {code for text in sources() for code in re.findall(r'"(P[0-9]{3})"', text)}
    assert used == declared


def test_every_setting_of_the_yaml_files_is_read() -> None:
    """Each leaf of the retry and router models is named somewhere beside its declaration."""
    text = "".join(sources())
    router, retry = settings().router, settings().retry
    names = {
        name
        for part in (router, retry)
        for section in type(part).model_fields
        for name in _fields(getattr(part, section))
    }
    assert {name for name in names if f".{name}" not in text} == set()


def _fields(section: object) -> set[str]:
    fields = getattr(type(section), "model_fields", {})
    # The keyword arguments of clients and policies are read by the class itself.
    return set(fields) if type(section).__module__.startswith("settings.") else set()
