"""The environment files, read as everybody reads them who does not run them through a shell."""

import importlib.util
from pathlib import Path
from types import ModuleType

from settings.environment import WRITABLE_FOLDERS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "configs" / "environment"
ORDER = ("foundation", "support", "tron-payout-router", "secrets", "core")
"""The order in which the files are loaded; a later one goes before an earlier one."""


def entries(text: str) -> list[tuple[str, str]]:
    """(name, value) of each assignment."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def load_tool(path: Path) -> ModuleType:
    """A program that is no module of the project."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


WRITE_SECRETS = load_tool(FOLDER / "write_secrets.py")


def texts() -> dict[str, str]:
    """Each file's text in the order of loading, with fresh secrets."""
    return {
        name: WRITE_SECRETS.filled((FOLDER / ".env.secrets.example").read_text(encoding="utf-8"))
        if name == "secrets"
        else (FOLDER / f".env.{name}").read_text(encoding="utf-8")
        for name in ORDER
    }


def loaded() -> dict[str, str]:
    """The environment after all files, with fresh secrets."""
    return {name: value for text in texts().values() for name, value in entries(text)}


def loaded_without_folders() -> dict[str, str]:
    """The same for a host that lacks the folders of the container."""
    return loaded() | dict.fromkeys(WRITABLE_FOLDERS, "")
