"""Private keys at rest: one JSON file per key, sealed with AES-256-GCM.

The sealing key is the secret itself where that is 32 bytes as hex or base64; any other secret is a
passphrase and goes through scrypt, whose parameters stand in the file. The wallet's address is
readable and authenticated.
"""

import base64
import os
import secrets
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adapters.signer.keys import address_of_private_key

_KEY_BYTES = 32
_NONCE_BYTES = 12
_SALT_BYTES = 16
_MAX_KDF_MEMORY_BYTES = 1 << 30

HexBytes = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$", max_length=256)]


class KeyFileError(Exception):
    """A key file cannot be written, read or opened; the message never holds a secret."""


class _Direct(BaseModel):
    """The secret is the key."""

    model_config = ConfigDict(extra="forbid")

    name: Literal["none"] = "none"


class _Scrypt(BaseModel):
    """RFC 7914 cost parameters. Bounded, so that a planted file can't exhaust the memory."""

    model_config = ConfigDict(extra="forbid")

    name: Literal["scrypt"] = "scrypt"
    n: int = Field(default=1 << 17, ge=1 << 14, le=1 << 20)
    r: int = Field(default=8, ge=8, le=32)
    p: int = Field(default=1, ge=1, le=4)

    @model_validator(mode="after")
    def _check(self) -> "_Scrypt":
        if self.n & (self.n - 1):
            raise ValueError("n must be a power of two")
        if 128 * self.n * self.r > _MAX_KDF_MEMORY_BYTES:
            raise ValueError("n and r need more than 1 GiB")
        return self


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    version: Literal[1] = 1
    address: str
    cipher: Literal["AES-256-GCM"] = "AES-256-GCM"
    kdf: Annotated[_Direct | _Scrypt, Field(discriminator="name")]
    salt: HexBytes
    nonce: Annotated[HexBytes, Field(min_length=2 * _NONCE_BYTES, max_length=2 * _NONCE_BYTES)]
    ciphertext: HexBytes


def seal(private_key: bytes, secret: str) -> bytes:
    """The key file's content for a 32-byte private key. Raises ValueError if it is no key."""
    address = address_of_private_key(private_key)
    kdf = _Direct() if _direct_key(secret) else _Scrypt()
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(_sealing_key(secret, kdf, salt)).encrypt(nonce, private_key, address.encode())
    file = _KeyFile(
        address=address,
        kdf=kdf,
        salt=salt.hex(),
        nonce=nonce.hex(),
        ciphertext=sealed.hex(),
    )
    return file.model_dump_json(indent=2).encode() + b"\n"


def unseal(data: bytes, secret: str) -> bytes:
    """The 32-byte private key of a key file's content.

    Raises KeyFileError when the content is no key file, the secret does not open it, or the key
    inside is not the address's.
    """
    try:
        file = _KeyFile.model_validate_json(data)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, detail["loc"])) or "all" for detail in error.errors())
        raise KeyFileError(f"is not a key file of version 1 (wrong: {fields})") from None
    cipher = AESGCM(_sealing_key(secret, file.kdf, bytes.fromhex(file.salt)))
    try:
        private_key = cipher.decrypt(
            bytes.fromhex(file.nonce), bytes.fromhex(file.ciphertext), file.address.encode()
        )
    except InvalidTag:
        raise KeyFileError("is damaged, or WALLET_ENCRYPTION_KEY is not the one it has") from None
    try:
        address = address_of_private_key(private_key)
    except ValueError:
        raise KeyFileError("holds something that is not a private key") from None
    if address != file.address:
        raise KeyFileError(f"names {file.address} but holds the key of {address}")
    return private_key


def write_key_file(private_key: bytes, secret: str, keys_dir: Path) -> Path:
    """Seal a key into `<address>.json` (mode 600) and return the path once it is on the disk.

    Raises KeyFileError if that file exists or cannot be written.
    """
    path = keys_dir / f"{address_of_private_key(private_key)}.json"
    content = seal(private_key, secret)
    try:
        keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(path, "xb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        directory = os.open(keys_dir, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise KeyFileError(f"{path} exists; a key file is never overwritten") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    return path


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _direct_key(secret: str) -> bytes | None:
    """The 32 bytes that the secret spells in hex or base64, if it does."""
    for decode in (bytes.fromhex, _base64):
        try:
            key = decode(secret)
        except ValueError:
            continue
        if len(key) == _KEY_BYTES:
            return key
    return None


def _base64(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)


def _sealing_key(secret: str, kdf: _Direct | _Scrypt, salt: bytes) -> bytes:
    if isinstance(kdf, _Scrypt):
        return Scrypt(salt=salt, length=_KEY_BYTES, n=kdf.n, r=kdf.r, p=kdf.p).derive(
            secret.encode()
        )
    key = _direct_key(secret)
    if key is None:
        raise KeyFileError("needs 32 bytes as hex or base64 in WALLET_ENCRYPTION_KEY")
    return key
