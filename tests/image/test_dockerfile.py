"""What the Dockerfile promises, as far as it can be read from it: no podman needed."""

import ast
import re

import pytest

from config import VERSION
from devnet.stack import ROOT
from tests.image.engine import DOCKERFILE

LINES = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
COPIED = re.findall(r"\$\{SOURCE_DIR\}/(\S+)", "\n".join(LINES))
SHIPPED = [name for name in COPIED if name not in ("devnet", "image", "requirements-prod.txt")]


def test_its_version_is_the_services():
    assert f"ARG VERSION={VERSION}" in LINES


@pytest.mark.parametrize("instruction", ["ENV", "EXPOSE", "ADD", "VOLUME", "SHELL"])
def test_it_has_no(instruction):
    assert not [line for line in LINES if line.startswith(f"{instruction} ")]


def test_only_what_it_copies_gets_into_the_build():
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    ignored, *kept, byte_code = text.split()
    assert (ignored, byte_code) == ("*", "**/__pycache__")
    assert sorted(kept) == sorted(f"!{name}" for name in COPIED)


def test_the_image_has_every_module_that_the_service_imports():
    """Whatever of this repository a shipped file imports is shipped too."""
    own = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    shipped = {name.removesuffix(".py") for name in SHIPPED}
    imported = {module for name in SHIPPED for module in imports_of(name)}
    assert imported & own <= shipped
    assert {"adapters", "config", "utils"} <= imported


def imports_of(name: str) -> set[str]:
    """The first part of each import in a file, or in the files of a folder."""
    path = ROOT / name
    found = set()
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found
