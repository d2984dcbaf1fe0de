#!/usr/bin/env python3
"""Command line of the TRON payout router: serve (default), worker, health, seal-key, token,
pay-file, verify.

Project code is imported inside the commands: first the search path and the environment have to be
right, and each command needs only a part of it.
"""

import argparse
import asyncio
import getpass
import json
import multiprocessing
import os
import re
import secrets
import signal
import site
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from fastapi import FastAPI

    from config import Settings
    from models.audit import Head
    from ports.batches import Outcome
    from settings.environment import Environment

APPLICATION_DIR = Path(__file__).resolve().parent
HEALTH_TIMEOUT_SECONDS = 3
SERVICE_URL_VARIABLES = ("SERVICE_HOST", "SERVICE_PORT", "PAYOUT_ROUTER_PORT")
LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not listened on
"""Where this host reaches a service that listens on all addresses."""

EXIT_CODES = """exit codes:
  0   done; stopped by SIGTERM or SIGINT
  1   health: the service is not healthy; pay-file: it refused a row; verify: a fault was found
  2   wrong arguments
  3   the service failed while it started; the log says why
  65  pay-file: the file cannot be paid as it is, this run created nothing; verify: no export
  71  the port cannot be listened on
  75  MongoDB is not reachable within MONGODB_WAIT_SECONDS; pay-file: the service is not
  78  a setting, a secret or a key is wrong
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code of the process."""
    prepare_process()
    options = _parser().parse_args(arguments)
    from config import ConfigError, StartupError

    try:
        return int(options.run(options))
    except ConfigError as error:
        lines = "\n".join(f"  - {problem}" for problem in error.problems)
        print(f"The configuration is wrong:\n{lines}", file=sys.stderr)
        return error.exit_code
    except StartupError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code


def prepare_process() -> None:
    """Name the service, speak UTF-8, and find the code wherever the process was started."""
    os.environ["SERVICE_NAME"] = "tron-payout-router"
    os.environ["PYTHONUTF8"] = "1"  # for the worker processes
    # Read when prometheus_client is imported: without it each counter brings a second family.
    os.environ["PROMETHEUS_DISABLE_CREATED_SERIES"] = "true"
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if str(APPLICATION_DIR) not in sys.path:
        sys.path.insert(0, str(APPLICATION_DIR))
    sys.path += [path for path in site.getsitepackages() if path not in sys.path]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Pays USDT and TRX on TRON, each payout exactly once.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=serve)
    commands = parser.add_subparsers(title="commands", metavar="command")
    commands.add_parser("serve", help="the API and the loops (default)").set_defaults(run=serve)
    commands.add_parser("worker", help="the loops alone").set_defaults(run=work)
    commands.add_parser("health", help="ask the service on this host").set_defaults(run=health)

    seal = commands.add_parser("seal-key", help="seal a private key into KEYS_DIR")
    seal.add_argument("--generate", action="store_true", help="make a new key, don't read one")
    seal.set_defaults(run=seal_key)

    token = commands.add_parser("token", help="print a signed token")
    token.add_argument("--sub", required=True, help="the client that the token is for")
    token.add_argument("--role", required=True, help="a role of payout-security-policies.yaml")
    token.add_argument("--tenant", help="the tenant that it is walled into")
    token.add_argument("--node-id", help="the node whose payouts it may reach")
    token.add_argument("--kid", help="the active secret that signs it (default: JWT_SECRET_KEY)")
    token.add_argument("--hours", type=float, default=1, help="life of the token (default 1)")
    token.set_defaults(run=print_token)

    batch = commands.add_parser("pay-file", help="pay a CSV file of BATCHES_DIR, each row once")
    batch.add_argument("file", help="its name; the results go to FILE.results.ndjson beside it")
    batch.add_argument("--token-file", help="file of the token (default: PAYOUT_TOKEN)")
    batch.set_defaults(run=pay_file)

    check = commands.add_parser("verify", help="verify an export of the audit log, offline")
    check.add_argument("file", help="what GET /audit/export gave")
    check.add_argument(
        "--head",
        type=_head,
        action="append",
        default=[],
        metavar="NUMBER:HASH",
        help="a published head (12 or more digits of the hash) that the file must hold; repeatable",
    )
    check.set_defaults(run=verify)
    return parser


def serve(_: argparse.Namespace) -> int:
    """Run the API and the loops until SIGTERM or SIGINT."""
    settings = _start()
    env = settings.environment
    _check_port(env.service_host, env.service_port)

    import payout_router_main

    asyncio.run(payout_router_main.preflight(settings))
    if env.workers == 1:
        _run_server(settings)
        return 0
    with tempfile.TemporaryDirectory(prefix="payout-metrics-") as directory:
        # The worker processes read it when they import prometheus_client.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        _run_server(settings)
    return 0


def _run_server(settings: "Settings") -> None:
    """Serve until a signal. Raises SystemExit: 0 after the signal, 3 when the start failed."""
    import uvicorn
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from api.connection import Connection

    env = settings.environment
    config = uvicorn.Config(
        f"{Path(__file__).stem}:{application.__name__}",
        factory=True,
        host=env.service_host,
        port=env.service_port,
        workers=env.workers,
        http=Connection,
        forwarded_allow_ips=env.forwarded_allow_ips,
        timeout_keep_alive=env.timeout,
        timeout_graceful_shutdown=env.timeout,
        access_log=False,  # the edge writes its own, with request ids
        log_config=None,
        server_header=False,
        lifespan="on",
    )
    if env.workers == 1:
        uvicorn.Server(config).run()
        return
    supervisor = Multiprocess(config, sockets=[config.bind_socket()])
    supervisor.run()
    # It ends when a worker process can't start, and says so only in that process's exit code.
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise SystemExit(STARTUP_FAILURE)


def application() -> "FastAPI":
    """The application in a serving process; of several, each ends with their parent."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()

    import payout_router_main

    return payout_router_main.app


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def work(_: argparse.Namespace) -> int:
    """Run the loops, without the API, until SIGTERM or SIGINT."""
    settings = _start()

    import payout_router_main

    asyncio.run(payout_router_main.preflight(settings))
    asyncio.run(payout_router_main.run_worker(settings))
    return 0


def _start() -> "Settings":
    from config import EXIT_CONFIG, SERVICE_NAME, StartupError, load_settings
    from utils.logging_config import configure_logging, register_secret

    settings = load_settings(os.environ)
    env = settings.environment
    register_secret(*settings.secret_values)
    try:
        configure_logging(SERVICE_NAME, env.log_level, console=env.debug, folder=env.log_dir)
    except OSError as error:
        raise StartupError(f"LOG_DIR: {error}", EXIT_CONFIG) from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    return settings


def _stop(*_: object) -> NoReturn:
    # Before the server or the loops take the signals over, and again when they hand them back.
    raise SystemExit(0)


def _check_port(host: str, port: int) -> None:
    from config import EXIT_PORT_IN_USE, StartupError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StartupError(
                f"cannot listen on {host}:{port}: {reason}", EXIT_PORT_IN_USE
            ) from None


def health(_: argparse.Namespace) -> int:
    """Print what /health of the service on this host says; 0 if it can take and keep payouts."""
    from config import load_variables

    env = load_variables(os.environ, *SERVICE_URL_VARIABLES)
    # Without the proxies of the environment: the service is on this host.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{_service_url(env)}/health", timeout=HEALTH_TIMEOUT_SECONDS) as answer:
            print(json.load(answer)["status"])
    except urllib.error.HTTPError as error:
        print(f"unhealthy: HTTP {error.code}")
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"unhealthy: {error}")
        return 1
    return 0


def _service_url(env: "Environment") -> str:
    host = LOOPBACK_OF.get(env.service_host, env.service_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{env.service_port}"


def seal_key(options: argparse.Namespace) -> int:
    """Seal a private key, read as hex from standard input or new, and print its address."""
    from adapters.signer.keyfile import KeyFileError, write_key_file
    from config import EXIT_CONFIG, StartupError, load_variables

    env = load_variables(os.environ, "WALLET_ENCRYPTION_KEY", "KEYS_DIR")
    try:
        key = secrets.token_bytes(32) if options.generate else bytes.fromhex(_read_key())
        path = write_key_file(key, env.wallet_encryption_key.get_secret_value(), env.keys_dir)
    except KeyFileError as error:
        raise StartupError(str(error), EXIT_CONFIG) from None
    except ValueError:
        raise StartupError(
            "the private key is not 64 hexadecimal digits of a valid key", EXIT_CONFIG
        ) from None
    print(f"{path.stem}\nsealed in {path}")
    return 0


def _read_key() -> str:
    text = getpass.getpass("Private key (hex): ") if sys.stdin.isatty() else sys.stdin.readline()
    return text.strip().removeprefix("0x")


def print_token(options: argparse.Namespace) -> int:
    """Print a token that the service takes."""
    import jwt

    from config import EXIT_CONFIG, StartupError, load_security_policies, load_variables
    from settings.keys import key_ring

    env = load_variables(os.environ, "JWT_SECRET_KEY", "JWT_KEY_ID", "JWT_OTHER_SECRET_KEYS")
    policies = load_security_policies(os.environ)
    algorithms = policies.jwt.algorithms
    keys = key_ring(env.jwt_secret_key, env.jwt_key_id, env.jwt_other_secret_keys, (), algorithms)
    kid = env.jwt_key_id if options.kid is None else options.kid
    if kid not in keys:
        known = ", ".join(sorted(filter(None, keys))) or "none"
        raise StartupError(f"--kid must name an active secret: {known}", EXIT_CONFIG)
    roles = [role.value for role in policies.roles]
    if options.role not in roles:
        raise StartupError(f"--role must be one of {', '.join(roles)}", EXIT_CONFIG)
    if not 0 < options.hours <= policies.jwt.max_token_hours:
        raise StartupError(
            f"--hours must be above 0 and at most {policies.jwt.max_token_hours:g}", EXIT_CONFIG
        )
    claims = _claims(options) | {"iss": policies.jwt.issuer, "aud": policies.jwt.audience}
    headers = {"kid": kid} if kid else None
    said = {name: value for name, value in claims.items() if value not in (None, "")}
    print(jwt.encode(said, keys[kid].key, algorithm=algorithms[0], headers=headers))
    return 0


def _claims(options: argparse.Namespace) -> dict[str, object]:
    """What the token says. Raises StartupError for what the service would refuse."""
    from pydantic import ValidationError

    from api.verify import Claims
    from config import EXIT_CONFIG, StartupError

    now = int(time.time())
    claims = {
        "sub": options.sub,
        "role": options.role,
        "tenant": options.tenant,
        "node_id": options.node_id,
        "iat": now,
        "exp": now + round(options.hours * 3600),
        "jti": uuid.uuid4().hex,
    }
    try:
        Claims.model_validate(claims)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise StartupError(f"--{option} is not taken: {first['msg']}", EXIT_CONFIG) from None
    return claims


def pay_file(options: argparse.Namespace) -> int:
    """Create the payouts of a file through the service on this host; 0 if it took every row."""
    from config import EXIT_CONFIG, EXIT_DATA, EXIT_DEPENDENCY_DOWN, StartupError
    from ports.batches import DeskUnavailableError, Outcome, TokenRefusedError
    from ports.folders import FolderError
    from services.pay_file import BadFileError

    try:
        outcomes = asyncio.run(_pay_file(options.file, options.token_file))
    except BadFileError as error:
        raise StartupError(str(error), EXIT_DATA) from None
    except (FolderError, TokenRefusedError) as error:
        raise StartupError(str(error), EXIT_CONFIG) from None
    except DeskUnavailableError as error:
        text = f"{error}\nRows are left: run it again, which pays nothing twice"
        raise StartupError(text, EXIT_DEPENDENCY_DOWN) from None
    print(", ".join(f"{outcomes.get(outcome, 0)} {outcome.label}" for outcome in Outcome))
    return int(Outcome.REFUSED in outcomes)


async def _pay_file(name: str, token_file: str | None) -> "Mapping[Outcome, int]":
    import httpx

    from adapters.desk import DESK_RETRY, DESK_TIMEOUT_SECONDS, HttpDesk
    from adapters.files.batches import CsvBatches
    from api.order_form import OrderForm
    from config import EXIT_CONFIG, StartupError, load_router_config, load_variables
    from services.pay_file import pay_file

    environ = dict(os.environ)
    if token_file:
        environ |= {"PAYOUT_TOKEN": "", "PAYOUT_TOKEN_FILE": token_file}
    env = load_variables(environ, "BATCHES_DIR", "PAYOUT_TOKEN", *SERVICE_URL_VARIABLES)
    if env.batches_dir is None or env.payout_token is None:
        text = "pay-file needs BATCHES_DIR, and PAYOUT_TOKEN or --token-file"
        raise StartupError(text, EXIT_CONFIG)
    token = env.payout_token.get_secret_value()
    async with httpx.AsyncClient(
        base_url=_service_url(env),
        headers={"Authorization": f"Bearer {token}"},
        timeout=DESK_TIMEOUT_SECONDS,
        trust_env=False,  # the service is on this host: no proxy
    ) as client:
        form = OrderForm(load_router_config(environ).amount_limits)
        desk = HttpDesk(client, DESK_RETRY)
        return await pay_file(name, CsvBatches(env.batches_dir), form, desk, _subject_of(token))


def _subject_of(token: str) -> str:
    """The client that a token is for; whether it is genuine is for the service to say."""
    import jwt

    from config import EXIT_CONFIG, StartupError

    try:
        return str(jwt.decode(token, options={"verify_signature": False})["sub"])
    except (jwt.PyJWTError, KeyError, ValueError):
        raise StartupError("PAYOUT_TOKEN is not a token with a subject", EXIT_CONFIG) from None


def verify(options: argparse.Namespace) -> int:
    """Say whether an export of the audit log is whole; 1 and the first fault if it is not."""
    from config import EXIT_DATA, StartupError
    from services.audit_export import BadExportError, verify_export

    try:
        # Only a line feed ends a line here: text within one may hold other separators.
        with Path(options.file).open(encoding="utf-8", newline="\n") as lines:
            start, verdict = verify_export(lines, options.head)
    except (OSError, UnicodeDecodeError, BadExportError) as error:
        raise StartupError(f"{options.file}: {error}", EXIT_DATA) from None
    if (fault := verdict.fault) is not None:
        print(f"entry {fault.number} ({fault.kind}): {fault.message}")
        return 1
    last = verdict.head
    print(f"entries {start.number + 1} to {last.number} are whole; head {last.number}:{last.hash}")
    return 0


def _head(text: str) -> "Head":
    from models.audit import Head

    found = re.fullmatch("([0-9]{1,16}):([0-9a-f]{12,64})", text)
    if found is None:
        raise argparse.ArgumentTypeError("it is no NUMBER:HASH, with 12 to 64 hex digits")
    return Head(int(found[1]), found[2])


if __name__ == "__main__":
    sys.exit(main())
