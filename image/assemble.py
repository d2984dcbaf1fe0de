"""Puts together what the runtime image lacks: `assemble.py RUNTIME TARGET`, in the image's build.

RUNTIME is a copy of the runtime image's files, TARGET becomes a folder to be copied over its root:
the interpreter, a pruned standard library, the virtual environment, the application, byte code of
it all, and the shared libraries that the loader of RUNTIME does not find. TARGET is copied over
RUNTIME too, which can then be entered with chroot. With SOURCE_DATE_EPOCH as the time of every
file, the same input gives the same TARGET.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from check import APPLICATION, ENVIRONMENT, MARKER, summary

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PREFIX = Path("/usr/local")
STANDARD_LIBRARY = PREFIX / "lib" / PYTHON
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)

NOT_IN_STANDARD_LIBRARY = (
    *("__pycache__", "site-packages", "config-*"),
    *("ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtle*", "venv"),
    *("curses", "dbm", "sqlite3"),
    *("_crypt.*", "_curses*", "_dbm.*", "_gdbm.*", "_sqlite3.*", "_tkinter.*", "nis.*"),
    *("ossaudiodev.*", "readline.*", "spwd.*", "_test*", "_ctypes_test*", "_xx*", "xx*"),
)
"""Development tools, tests, and what would need libraries that nothing here uses."""

NOT_IN_ENVIRONMENT = (
    *("__pycache__", "activate*", "Activate.ps1", "include"),
    *("tests", "SelfTest"),
    *("*.c", "*.h", "*.pxd", "*.pyi", "*.pyx"),
)
"""Shells' and compilers' files, and the packages' own tests."""


def main() -> int:
    """Assemble; the exit code is 1 where a shared library is nowhere to be found."""
    runtime, target = map(Path, sys.argv[1:])
    copy_files(target)
    compile_files(target)
    shutil.copytree(target, runtime, symlinks=True, dirs_exist_ok=True)
    if lost := copy_libraries(runtime, target):
        print("shared libraries not found: " + ", ".join(sorted(lost)), file=sys.stderr)
        return 1
    settle(target)
    return 0


def copy_files(target: Path) -> None:
    """Interpreter, standard library, environment and application, each with its marker."""

    def copy(source: Path, *left_out: str) -> None:
        ignored = shutil.ignore_patterns(*left_out)
        shutil.copytree(source, under(target, source), symlinks=True, ignore=ignored)

    copy(STANDARD_LIBRARY, *NOT_IN_STANDARD_LIBRARY)
    copy(ENVIRONMENT, *NOT_IN_ENVIRONMENT)
    copy(APPLICATION, "__pycache__")
    shutil.copy(Path(__file__).with_name("check.py"), under(target, ENVIRONMENT))
    (under(target, PREFIX) / "bin").mkdir()
    names = ("bin/python", "bin/python3", f"bin/{PYTHON}")
    for file in (*(PREFIX / name for name in names), *PREFIX.glob("lib/libpython*.so*")):
        shutil.copy(file, under(target, file), follow_symlinks=False)
    for script in (under(target, ENVIRONMENT) / "bin").iterdir():
        if not script.is_symlink():
            script.unlink()
    for folder in (APPLICATION, ENVIRONMENT):
        (under(target, folder) / MARKER).write_text(summary(under(target, folder)))


def under(folder: Path, path: Path) -> Path:
    """Where an absolute path lies when a folder is taken for the root."""
    return folder / path.relative_to("/")


def compile_files(target: Path) -> None:
    """Byte code that is never held against its source again, without the time of the build."""
    compileall.compile_dir(
        target,
        stripdir=str(target),
        quiet=1,
        maxlevels=100,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def copy_libraries(runtime: Path, target: Path) -> set[str]:
    """Copy from here what the loader of RUNTIME does not find; what it misses even then."""
    for file in binaries(target):
        for name in not_found(runtime, file):
            if library := found_here(file).get(name):
                for root in (runtime, target):
                    place = under(root, library.parent.resolve()) / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(library, place)
    return {name for file in binaries(target) for name in not_found(runtime, file)}


def binaries(target: Path) -> Iterator[Path]:
    """Programs and libraries below TARGET, each as a path from the root."""
    for file in sorted(target.rglob("*")):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as content:
                if content.read(4) == b"\x7fELF":
                    yield Path("/") / file.relative_to(target)


def not_found(runtime: Path, file: Path) -> list[str]:
    """What the loader of RUNTIME misses for a file: libraries, or versions of their symbols."""
    loader = next(
        Path("/") / loader.relative_to(runtime)
        for pattern in ("lib64/ld-linux-*.so.*", "lib/ld-linux-*.so.*")
        for loader in runtime.glob(pattern)
    )
    run = subprocess.run(  # noqa: S603 - our own command, no shell
        [loader, file],
        # What ldd sets, and where libpython is: there is no /proc to see it from.
        env={"LD_TRACE_LOADED_OBJECTS": "1", "LD_LIBRARY_PATH": str(PREFIX / "lib")},
        preexec_fn=lambda: os.chroot(runtime),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (run.stdout + run.stderr).splitlines()
    missed = [line.split(" => ")[0].strip() for line in lines if "not found" in line]
    return missed or [run.stderr.strip()] * (run.returncode != 0)


def found_here(file: Path) -> dict[str, Path]:
    """Library → where this machine's loader finds it, for all that a file needs."""
    run = subprocess.run(  # noqa: S603 - our own command, no shell
        ["/usr/bin/ldd", file], capture_output=True, text=True, check=False
    )
    pairs = (line.split(" (")[0].strip().partition(" => ") for line in run.stdout.splitlines())
    return {name: Path(path) for name, _, path in pairs if path.startswith("/")}


def settle(target: Path) -> None:
    """Make rights and times of all files independent of who built them, and when."""
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


if __name__ == "__main__":
    sys.exit(main())
