"""A signer that holds the private key in this process."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from adapters.signer.keyfile import KeyFileError, unseal
from adapters.signer.keys import address_of_point, private_key_of


class SignerError(Exception):
    """There is no key to sign with, or not the right one; the message never holds a secret."""


class LocalSigner:
    """Signs with one private key (32 bytes). Raises ValueError if they are none."""

    def __init__(self, private_key: bytes) -> None:
        self._key = private_key_of(private_key)
        self._address = address_of_point(self._key.public_key)

    @property
    def address(self) -> str:
        """The wallet's base58check address."""
        return self._address

    async def sign(self, digest: bytes) -> bytes:
        """65 bytes r‖s‖v over a 32-byte digest: RFC 6979, low s, v 0 or 1.

        The same digest always gives the same signature. Raises ValueError for another length.
        """
        if len(digest) != 32:
            raise ValueError("a digest has 32 bytes")
        return self._key.sign_recoverable(digest, hasher=None)


def load_signers(
    private_key: str | None,
    keys_dir: Path,
    secret: str,
    expected_address: str | None,
    others: Iterable[str] = (),
    refused_addresses: AbstractSet[str] = frozenset(),
) -> tuple[LocalSigner, ...]:
    """The default wallet's signer (see `load_signer`), and one for each other wallet, whose key is
    `<address>.json` in `keys_dir`. Raises SignerError."""
    default = load_signer(private_key, keys_dir, secret, expected_address, refused_addresses)
    return (
        default,
        *(
            load_signer(None, keys_dir, secret, address, refused_addresses)
            for address in dict.fromkeys(others)
            if address != default.address
        ),
    )


def load_signer(
    private_key: str | None,
    keys_dir: Path,
    secret: str,
    expected_address: str | None,
    refused_addresses: AbstractSet[str] = frozenset(),
) -> LocalSigner:
    """The signer of `private_key` (hex), else of the one key file in `keys_dir`.

    With `expected_address` the file is `<address>.json` and the key must be that address's; without
    it there must be exactly one file. Raises SignerError when there is no key, the secret does not
    open it, it is another wallet's, or its address is refused.
    """
    signer = LocalSigner(
        _given_key(private_key) if private_key else _sealed_key(keys_dir, secret, expected_address)
    )
    if expected_address and signer.address != expected_address:
        raise SignerError(
            f"the private key is that of {signer.address}, not of {expected_address} "
            "(TRON_ADDRESS, or a route's wallet)"
        )
    if signer.address in refused_addresses:
        raise SignerError(f"the private key of {signer.address} is public: use a key of your own")
    return signer


def _given_key(private_key: str) -> bytes:
    try:
        key = bytes.fromhex(private_key)
        private_key_of(key)
    except ValueError:
        raise SignerError("TRON_PRIVATE_KEY is not a private key") from None
    return key


def _sealed_key(keys_dir: Path, secret: str, expected_address: str | None) -> bytes:
    path = _key_file(keys_dir, expected_address)
    try:
        return unseal(path.read_bytes(), secret)
    except OSError as error:
        raise SignerError(
            f"{path}, the key of TRON_ADDRESS or the only one in KEYS_DIR: {error.strerror}"
        ) from None
    except KeyFileError as error:
        raise SignerError(f"{path} {error}") from None


def _key_file(keys_dir: Path, expected_address: str | None) -> Path:
    if expected_address:
        return keys_dir / f"{expected_address}.json"
    files = sorted(keys_dir.glob("[!.]*.json"))
    if not files:
        raise SignerError(
            f"no private key: set TRON_PRIVATE_KEY, or seal one into {keys_dir} with the command "
            "seal-key"
        )
    if len(files) > 1:
        names = ", ".join(path.stem for path in files)
        raise SignerError(f"several keys in {keys_dir}: set TRON_ADDRESS to one of {names}")
    return files[0]
