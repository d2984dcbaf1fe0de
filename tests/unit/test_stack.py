"""The development stack's pure parts, and its servers with tiny programs in place of real ones."""

# ruff: noqa: S603 - programs of our own, without a shell

import io
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.signer.keyfile import unseal
from config import DEVELOPMENT_SECRET_PREFIX, load_settings
from devnet import binaries, process
from devnet.board import Board, holdings_table, live_line, paid_table, reasons
from devnet.demo import ORDERS, REFUSED, SHARED, URGENT, demo_environment, second_wallet
from devnet.process import HttpServer, StartError, free_port, port_is_free
from devnet.reckoning import Order, Paid, Transfer, asked_sums, differences
from devnet.settings import DEVNET_KEYS
from devnet.stack import (
    GENERATED_SECRETS,
    ROOT,
    Stack,
    StackSettings,
    data_folder,
    issue_token,
    kept_secrets,
    number,
    read_variable,
    sample_address,
    service_environment,
    welcome,
)
from models.address import address_bytes
from models.money import Currency
from settings.security import Role

PAID = tuple(
    Paid(order, f"payout_{index}", "completed", f"tx{index}", SHARED.address)
    for index, order in enumerate(ORDERS)
)
LEDGER = tuple(
    Transfer(str(one.txid), one.wallet, one.order.recipient, one.order.amount, one.order.currency)
    for one in PAID
)
BALANCES = asked_sums(ORDERS)
SECRET = "dev-0123456789abcdef0123456789abcdef"


def settings(folder: Path) -> StackSettings:
    return StackSettings(
        data_dir=folder, service_port=8092, devnet_port=18090, tick_ms=3000, solid_lag=19
    )


# ---- what was asked for against what the chain shows ----


def test_the_samples_are_what_the_demo_promises() -> None:
    assert len(ORDERS) == 13
    assert {order.currency for order in ORDERS} == set(Currency)
    assert REFUSED.recipient not in {order.recipient for order in ORDERS}
    assert sorted((ORDERS.count(order) for order in set(ORDERS)), reverse=True)[:2] == [2, 1]
    for order in ORDERS:
        address_bytes(order.recipient)


def test_a_faithful_chain_has_no_differences() -> None:
    assert differences(PAID, LEDGER, BALANCES) == []


def test_a_payout_that_did_not_complete_shows() -> None:
    failed = (replace(PAID[0], status="failed", txid=None), *PAID[1:])
    found = differences(failed, LEDGER[1:], BALANCES)
    assert found[0] == "payout_0 is failed, not completed"
    assert any(line.startswith("not on the chain: 25.00 USDT") for line in found)


def test_a_transfer_that_is_missing_shows() -> None:
    missing = LEDGER[3]
    found = differences(PAID, [one for one in LEDGER if one != missing], BALANCES)
    assert len(found) == 1
    assert found[0].startswith("not on the chain: 0.01 USDT")


def test_a_payout_paid_twice_shows() -> None:
    twice = replace(LEDGER[0], txid="another")
    holding = (twice.recipient, twice.currency)
    found = differences(
        PAID, [*LEDGER, twice], {**BALANCES, holding: BALANCES[holding] + twice.amount}
    )
    assert found[0].startswith("on the chain, not asked for: 25.00 USDT")
    assert found[1] == f"{twice.recipient} holds 75.00 USDT, asked were 50.00"


def test_one_transaction_for_two_payouts_shows() -> None:
    shared = (PAID[0], replace(PAID[1], txid=PAID[0].txid), *PAID[2:])
    assert "transaction tx0 stands for 2 payouts" in differences(shared, LEDGER, BALANCES)


def test_a_payout_by_another_wallet_shows() -> None:
    found = differences(PAID, [replace(LEDGER[0], wallet=URGENT.address), *LEDGER[1:]], BALANCES)
    assert len(found) == 2
    assert URGENT.address in found[1]


def test_money_for_a_payout_that_was_refused_shows() -> None:
    holding = (REFUSED.recipient, REFUSED.currency)
    assert differences(PAID, LEDGER, {**BALANCES, holding: 0}) == []
    found = differences(PAID, LEDGER, {**BALANCES, holding: 1})
    assert found == [f"{REFUSED.recipient} holds 0.000001 USDT, asked were 0.00"]


def test_a_wrong_balance_shows() -> None:
    holding = (ORDERS[5].recipient, ORDERS[5].currency)
    found = differences(PAID, LEDGER, {key: BALANCES[key] for key in BALANCES if key != holding})
    assert found == [f"{holding[0]} holds 0.00 USDT, asked were 100.00"]


@given(
    index=st.integers(0, len(LEDGER) - 1),
    change=st.fixed_dictionaries(
        {},
        optional={
            "txid": st.just("other"),
            "wallet": st.just(URGENT.address),
            "recipient": st.just(sample_address(99)),
            "amount": st.integers(10**12, 10**13),
        },
    ).filter(bool),
)
def test_any_altered_transfer_shows(index: int, change: dict[str, object]) -> None:
    ledger = list(LEDGER)
    ledger[index] = replace(ledger[index], **change)
    assert len(differences(PAID, ledger, BALANCES)) == 2


@given(st.permutations(LEDGER))
def test_the_order_of_the_ledger_does_not_matter(ledger: list[Transfer]) -> None:
    assert differences(PAID, ledger, BALANCES) == []


def test_sums_are_by_recipient_and_currency() -> None:
    one = sample_address(1)
    orders = [
        Order(one, 2, Currency.TRX),
        Order(one, 3, Currency.TRX),
        Order(one, 5, Currency.USDT),
    ]
    assert asked_sums(orders) == {(one, Currency.TRX): 5, (one, Currency.USDT): 5}


def shown(**fields: object) -> dict[str, object]:
    """A payout as the API shows it."""
    return {
        "payout_id": "payout_1",
        "status": "completed",
        "status_reason": None,
        "recipient_address": ORDERS[0].recipient,
        "amount": "1.00",
        "currency": "USDT",
        "route": "v0",
        "wallet": SHARED.address,
        "findings": [{"rule": "routing.optimal", "text": "the route v0 is best"}],
        "approval": None,
        "confirmations": 0,
        "txid": None,
        "block_number": 7,
        "fee_trx": None,
        **fields,
    }


def test_the_tables_name_every_payout_and_recipient() -> None:
    payouts = [shown(payout_id=one.payout_id) for one in PAID]
    text = "\n".join(paid_table(payouts))
    assert all(one.payout_id in text for one in PAID)
    text = "\n".join(holdings_table(BALANCES, BALANCES))
    assert all(recipient in text for recipient, _ in BALANCES)


def test_a_line_says_how_far_a_payout_is() -> None:
    under_way = shown(status="processing", confirmations=3)
    assert live_line(1, under_way).endswith("v0      processing, 3 confirmations")
    held = shown(status="awaiting_approval", status_reason={"message": "needs 1 more approval"})
    assert live_line(2, held).endswith("awaiting_approval: needs 1 more approval")


def test_the_reasons_are_those_of_each_route_and_of_what_people_approved() -> None:
    consent = {"by": "bea", "role": "APPROVER", "comment": "checked"}
    payouts = [
        shown(),
        shown(amount="2.00"),
        shown(amount="3.00", route="kyc"),
        shown(amount="4.00", route="kyc", approval={"given": [consent]}),
    ]
    text = "\n".join(reasons(payouts))
    assert [amount in text for amount in ("1.00 USDT", "2.00", "3.00 USDT", "4.00 USDT")] == [
        *(True, False, True, True)
    ]
    assert text.count("routing.optimal: the route v0 is best") == 3
    assert "approved by bea (APPROVER): checked" in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_board_redraws_on_a_terminal() -> None:
    out = Terminal()
    board = Board(out)
    board.show(["a", "b"])
    board.show(["a", "c"])
    assert out.getvalue() == "\x1b[2Ka\n\x1b[2Kb\n\x1b[2F\x1b[2Ka\n\x1b[2Kc\n"


def test_the_board_prints_changes_elsewhere() -> None:
    out = io.StringIO()
    board = Board(out)
    board.show(["a", "b"])
    board.show(["a", "c"])
    assert out.getvalue() == "a\nb\nc\n"


# ---- environment ----


def test_the_defaults_fit_together(tmp_path: Path) -> None:
    made = service_environment({}, settings(tmp_path), {"MONGODB_URL": "mongodb://embedded"})
    assert made["SERVICE_PORT"] == "8092"
    assert made["SERVICE_HOST"] == "127.0.0.1"
    assert made["LUCID_ENV"] == "development"
    assert made["MONGODB_URL"] == "mongodb://embedded"
    assert made["TRON_PRIVATE_KEY"] == DEVNET_KEYS[0]
    assert all(made[name].startswith(DEVELOPMENT_SECRET_PREFIX) for name in GENERATED_SECRETS)


@pytest.mark.parametrize(
    "name",
    [
        *("SERVICE_HOST", "SERVICE_PORT", "LUCID_ENV", "MONGODB_URL", "REDIS_URL", "KEYS_DIR"),
        *("JWT_SECRET_KEY", "WALLET_ENCRYPTION_KEY", "TRON_PRIVATE_KEY", "TRON_NETWORK"),
        "TRON_RPC_URL",
    ],
)
def test_the_caller_goes_before_every_default(name: str, tmp_path: Path) -> None:
    started = dict.fromkeys(("MONGODB_URL", "REDIS_URL", "TRON_RPC_URL"), "embedded")
    assert service_environment({name: "own"}, settings(tmp_path), started)[name] == "own"


def test_a_secret_in_a_file_counts_as_given(tmp_path: Path) -> None:
    made = service_environment({"JWT_SECRET_KEY_FILE": "/secret"}, settings(tmp_path), {})
    assert "JWT_SECRET_KEY" not in made
    assert made["JWT_SECRET_KEY_FILE"] == "/secret"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert service_environment({"SERVICE_HOST": ""}, settings(tmp_path), {})["SERVICE_HOST"]


@pytest.mark.parametrize("own", [{"TRON_NETWORK": "nile"}, {"KEYS_DIR": "/keys"}])
def test_the_devnets_key_stays_on_the_devnet(own: dict[str, str], tmp_path: Path) -> None:
    assert "TRON_PRIVATE_KEY" not in service_environment(own, settings(tmp_path), {})


def test_variables_are_read_by_value_or_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    assert read_variable({"NAME": "value"}, "NAME") == "value"
    assert read_variable({"NAME_FILE": str(tmp_path / "secret")}, "NAME") == "from a file"
    with pytest.raises(StartError, match="NAME is not set"):
        read_variable({}, "NAME")


def test_numbers_are_checked() -> None:
    assert number({}, "PORT", 5) == 5
    assert number({"PORT": "6"}, "PORT", 5) == 6
    for wrong in ("0", "-1", "x", "1.5", "²"):
        with pytest.raises(StartError, match="PORT is"):
            number({"PORT": wrong}, "PORT", 5)


def test_secrets_are_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = kept_secrets(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(made) == set(GENERATED_SECRETS)
    assert kept_secrets(path) == made
    assert len(set(made.values())) == len(made)


def test_a_token_says_who_and_for_how_long() -> None:
    claims = jwt.decode(issue_token(SECRET, Role.ADMIN, "somebody"), SECRET, ["HS256"])
    assert claims["sub"] == "somebody"
    assert claims["role"] == "ADMIN"
    assert claims["exp"] - claims["iat"] == 12 * 3600
    assert claims["jti"]


def test_the_welcome_has_a_token_for_each_role_and_a_payout_to_try(tmp_path: Path) -> None:
    service = HttpServer("the service", [], tmp_path / "log", 8092, "/health/ready")
    stack = Stack(service, None, {"JWT_SECRET_KEY": SECRET}, (service,))
    text = welcome(stack)
    assert all(f"  {role} " in text for role in Role)
    assert "curl -s http://127.0.0.1:8092/payouts" in text
    assert "http://127.0.0.1:8092/docs" in text
    assert SECRET not in text


def test_a_demo_takes_no_settings_from_the_caller() -> None:
    risky = {
        "TRON_NETWORK": "mainnet",
        "TRON_PRIVATE_KEY_FILE": "/key",
        "TRON_RPC_URL": "https://node",
        "JWT_SECRET_KEY": "secret",
        "PATH": "/bin",
        "REDIS_URL": "redis://own",
    }
    with demo_environment(risky) as clean:
        assert clean == {"PATH": "/bin", "REDIS_URL": "redis://own", "ACCESS_LOG": "false"}


def test_the_demo_pays_urgent_payouts_from_a_wallet_of_their_own(tmp_path: Path) -> None:
    started = {
        "MONGODB_URL": "mongodb://localhost/db",
        "REDIS_URL": "redis://localhost/0",
        "TRON_RPC_URL": "http://localhost",
    }
    environment = service_environment(second_wallet(tmp_path), settings(tmp_path), started)
    secret = environment["WALLET_ENCRYPTION_KEY"]
    loaded = load_settings(environment)
    wallets = {policy.name: policy.wallet for policy in loaded.router.route_policies}
    assert wallets == {"v0": None, "kyc": None, "direct": URGENT.address}
    sealed = tmp_path / "keys" / f"{URGENT.address}.json"
    assert unseal(sealed.read_bytes(), secret).hex() == URGENT.private_key


def test_a_folder_serves_one_stack_at_a_time(tmp_path: Path) -> None:
    with (
        data_folder(tmp_path),
        pytest.raises(StartError, match="another stack"),
        data_folder(tmp_path),
    ):
        pytest.fail("two stacks on one folder")
    with data_folder(tmp_path):
        assert (tmp_path / "lock").exists()


# ---- servers ----


def test_a_port_is_given_once_and_a_server_can_have_it(monkeypatch):
    first = free_port(3)
    assert all(port_is_free(port) for port in range(first, first + 3))
    monkeypatch.setattr(process, "PORTS", range(first, first + 3))
    with pytest.raises(StartError, match="no free TCP port"):
        free_port()
    with socket.create_server((process.HOST, first)):
        assert not port_is_free(first)
    assert port_is_free(first)


def test_ports_in_a_row_are_given_together_or_not_at_all(monkeypatch):
    with ExitStack() as held, socket.socket() as taken:
        monkeypatch.setattr(process, "_held", held)
        first = free_port(2)
        held.pop_all().close()
        monkeypatch.setattr(process, "PORTS", range(first, first + 2))
        taken.bind((process.HOST, first + 1))
        with pytest.raises(StartError):
            free_port(2)
        assert free_port() == first


def program(tmp_path: Path, source: str, name: str = "the program") -> HttpServer:
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(source))
    port = free_port()
    return HttpServer(name, [sys.executable, str(path), str(port)], tmp_path / "log", port, "/")


SERVE = """
    import http.server, sys
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.end_headers()
    print("serving", flush=True)
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_runs_for_the_length_of_the_block(tmp_path: Path) -> None:
    with program(tmp_path, SERVE) as server:
        assert httpx.get(server.url).status_code == 200
        assert server.exit_code is None
        assert os.getsid(server.pid) == server.pid  # a Ctrl-C of the terminal does not reach it
    assert server.exit_code == -signal.SIGTERM
    assert port_is_free(server.port)


def test_a_server_can_be_killed_and_restarted_on_its_port(tmp_path: Path) -> None:
    with program(tmp_path, SERVE) as server:
        first = server.pid
        assert server.kill() == -signal.SIGKILL
        server.restart()
        assert server.pid != first
        assert httpx.get(server.url).status_code == 200


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    server = program(tmp_path, stubborn + textwrap.dedent(SERVE))
    server.stop_seconds = 0.1  # type: ignore[misc]
    server.start()
    assert server.stop() == -signal.SIGKILL


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with program(tmp_path, SERVE) as server:
        second = program(tmp_path, SERVE, "the second")
        second.port = server.port
        with pytest.raises(StartError, match=rf"^the second can't listen on port {server.port}"):
            second.start()


def test_a_program_that_ends_at_once_is_explained(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of an earlier start\n")
    server = program(tmp_path, "print('first')\nraise SystemExit('no key: nothing to pay with')")
    with pytest.raises(StartError, match=r"stopped while starting: first \| no key") as caught:
        server.start()
    assert "earlier" not in str(caught.value)
    assert str(server.log) in str(caught.value)


def test_a_program_that_is_not_there_is_explained(tmp_path: Path) -> None:
    server = HttpServer("nothing", ["/no/such/program"], tmp_path / "log", free_port(), "/")
    with pytest.raises(StartError, match="No such file"):
        server.start()


def test_a_program_that_never_answers_is_ended(tmp_path: Path) -> None:
    server = program(tmp_path, "import signal\nsignal.pause()")
    with pytest.raises(StartError, match=r"not ready after 0\.2 s: it logged nothing"):
        server.start(seconds=0.2)
    assert server.exit_code == -signal.SIGKILL


def test_a_tether_without_its_parent_starts_nothing() -> None:
    tether = ROOT / "devnet" / "tether.py"
    command = [sys.executable, "-I", "-S", str(tether), "1", "echo", "started"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""


# ---- libraries ----

MISSING = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object"


def test_nothing_is_changed_where_the_libraries_are(tmp_path: Path) -> None:
    assert binaries.library_environment(Path("/bin/true"), tmp_path / "lib") == {}
    assert not (tmp_path / "lib").exists()


def test_the_wheel_has_what_the_system_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        binaries, "loader_complaint", lambda _, environment: None if environment else MISSING
    )
    made = binaries.library_environment(Path("mongod"), tmp_path / "lib")
    links, wheel = map(Path, made["LD_LIBRARY_PATH"].split(os.pathsep))
    assert {link.name for link in links.iterdir()} == set(binaries.LIBRARIES)
    assert all(link.resolve().parent == wheel.resolve() for link in links.iterdir())


def test_without_any_library_the_ways_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "loader_complaint", lambda *_: MISSING)
    monkeypatch.setattr(binaries, "packaged_files", lambda _: [])
    with pytest.raises(StartError) as caught:
        binaries.library_environment(Path("mongod"), tmp_path / "lib")
    for way_out in ("libcurl.so.4", "apt-get install libcurl4", "pycurl", "MONGODB_URL"):
        assert way_out in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("find", "variable"),
    [(binaries.mongod_binary, "MONGODB_URL"), (binaries.valkey_binary, "REDIS_URL")],
)
def test_a_missing_program_names_the_ways_out(
    find: object, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "packaged_files", lambda _: [])
    assert callable(find)
    with pytest.raises(StartError, match=f"make setup.*{variable}"):
        find()


def test_a_package_that_is_not_installed_has_no_files() -> None:
    assert binaries.packaged_files("no-such-package-here") == []


def test_the_loaders_own_words_are_kept(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho ignored >&2\necho 'libx.so: cannot open' >&2\nexit 127\n")
    broken.chmod(0o755)
    assert binaries.loader_complaint(broken, {}) == "libx.so: cannot open"
