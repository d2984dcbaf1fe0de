"""Write `.env.secrets` from `.env.secrets.example`, once (`make secrets`).

`<random>` becomes 32 fresh random bytes as hex digits, `<NAME>` the value that NAME got in a line
above: so that a URL and the database it leads to have the same password. Needs no package.
"""

import os
import re
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RANDOM_BYTES = 32

_PLACEHOLDER = re.compile(r"<(\w+)>")


def filled(example: str) -> str:
    """The example with a value for each placeholder, and without its first paragraph, which is
    about the example. Raises KeyError for a placeholder that names no line above."""
    values: dict[str, str] = {}

    def value_of(placeholder: re.Match[str]) -> str:
        name = placeholder[1]
        return secrets.token_hex(RANDOM_BYTES) if name == "random" else values[name]

    def line_of(line: str) -> str:
        if line.startswith("#"):
            return line
        line = _PLACEHOLDER.sub(value_of, line)
        name, _, values[name] = line.partition("=")
        return line

    _, _, body = example.partition("\n\n")
    return "".join(f"{line_of(line)}\n" for line in body.splitlines())


def main(folder: Path = FOLDER) -> int:
    """Write the file, readable by its owner only; the exit code: 1 where it is there already."""
    path = folder / ".env.secrets"
    text = filled((folder / ".env.secrets.example").read_text(encoding="utf-8"))
    try:
        with open(path, "x", encoding="utf-8", opener=_private) as file:
            file.write(text)
    except FileExistsError:
        print(
            f"{path} is there, and is never overwritten: without its WALLET_ENCRYPTION_KEY "
            "a sealed key is lost",
            file=sys.stderr,
        )
        return 1
    print(f"wrote {path}")
    return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    sys.exit(main())
