"""Looks at the image from inside: nothing was lost on the way into it, and everything imports.

The build runs it twice. In a container without a shell it is also how to look for the cause of an
import error:

    docker run --rm --network none IMAGE /opt/venv/bin/python3 /opt/venv/check.py
"""

import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

APPLICATION = Path("/app")
ENVIRONMENT = Path("/opt/venv")
MARKER = ".marker"
"""What the build found in a folder: how many files, and a hash over their names and contents."""

NOT_COUNTED = {MARKER, "__pycache__", "logs"}


def summary(folder: Path) -> str:
    """Number of the files below a folder, and one SHA-256 over them; byte code is not counted."""
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and NOT_COUNTED.isdisjoint(file.relative_to(folder).parts)
    )
    whole = sha256()
    for file in files:
        whole.update(f"{file.relative_to(folder)}\n".encode())
        whole.update(sha256(file.read_bytes()).digest())
    return f"{len(files)} files {whole.hexdigest()}"


def losses() -> Iterator[str]:
    """The folders that are not as the build left them."""
    for folder in (APPLICATION, ENVIRONMENT):
        marker = folder / MARKER
        expected = marker.read_text() if marker.is_file() else "a marker"
        found = summary(folder)
        if found != expected:
            yield f"{folder}: built with {expected}, has {found}"


def modules() -> list[str]:
    """Every module of the application, every package, and what of Python needs a library."""
    own = pkgutil.walk_packages([str(APPLICATION)])
    extensions = pkgutil.iter_modules([path for path in sys.path if path.endswith("lib-dynload")])
    packages = sorted(importlib.metadata.packages_distributions())
    return [module.name for module in (*own, *extensions)] + packages


def failures(names: list[str]) -> Iterator[str]:
    """The modules that can't be imported, and why."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a module does when it is imported
            yield f"{name}: {type(error).__name__}: {error}"


def main() -> int:
    """Print what is wrong, or one line; the exit code."""
    sys.path.insert(0, str(APPLICATION))
    names = modules()
    problems = [*losses(), *failures(names)]
    print("\n".join(problems) or f"Python {sys.version.split()[0]}: all {len(names)} import")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
