"""The types of values in settings: what is taken, and what is said about the rest."""

from ipaddress import ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from models.address import address_bytes
from models.money import parse_amount


def _money(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError('a decimal string in quotes such as "12.50"')
    try:
        return parse_amount(value)
    except ValueError as error:
        raise ValueError('a decimal string such as "12.50", at most 6 decimals') from error


def _address(value: str) -> str:
    try:
        address_bytes(value)
    except ValueError as error:
        raise ValueError("a TRON address in base58 (T…)") from error
    return value


def _private_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip().removeprefix("0x")
    try:
        if len(bytes.fromhex(text)) != 32 or len(text) != 64:
            raise ValueError
    except ValueError:
        raise ValueError("32 bytes as 64 hexadecimal digits") from None
    return SecretStr(text)


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError where it is none
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.netloc or parts.path)


def _mongodb_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url.startswith("mongodb+srv://"):
        return value  # only a DNS server knows what it stands for
    try:
        parse_uri(url)
    except (PyMongoError, ValueError):
        raise ValueError(
            "mongodb://user:password@host:port/database, special characters %-escaped, with "
            "options that the driver knows; or mongodb+srv://…"
        ) from None
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    if not _is_url(value.get_secret_value(), ("redis", "rediss", "unix")):
        raise ValueError("redis://host:port/0, rediss://… or unix://…")
    return value


def _wallet_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 12:
        raise ValueError("32 bytes as hex or base64, or a passphrase of at least 12 characters")
    return value


def _permission_id(value: int) -> int:
    if value != 0 and not 2 <= value <= 9:
        raise ValueError("0 for the owner permission, 2 to 9 for an active one")
    return value


def _http_urls(value: str) -> tuple[str, ...]:
    urls = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    if not all(_is_url(url, ("http", "https")) and urlsplit(url).hostname for url in urls):
        raise ValueError("http://… or https://…, several separated by commas")
    if len(set(urls)) != len(urls):
        raise ValueError("each URL once")
    return urls


def _networks(value: str) -> str:
    parts = [part.strip() for part in value.split(",")]
    try:
        for part in parts:
            ip_network(part)
    except ValueError:
        raise ValueError("IP addresses or networks such as 10.0.0.0/8, commas between") from None
    return ",".join(parts)


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


PrivateKey = Annotated[SecretStr, AfterValidator(_private_key)]
MongodbUrl = Annotated[SecretStr, AfterValidator(_mongodb_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
WalletKey = Annotated[SecretStr, AfterValidator(_wallet_key)]
PermissionId = Annotated[int, AfterValidator(_permission_id)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
]
Money = Annotated[int, BeforeValidator(_money)]
PositiveMoney = Annotated[Money, Field(gt=0)]
Address = Annotated[str, AfterValidator(_address)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Networks = Annotated[str, AfterValidator(_networks)]
HttpUrls = Annotated[tuple[str, ...], BeforeValidator(_http_urls)]


class Frozen(BaseModel):
    """Settings do not change, know every key, and never show a value in an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )
