"""`python -m devnet`: a TRON network on this machine, for the payout router and for any client."""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from devnet.devnet import Devnet
from devnet.server import serving
from devnet.settings import DevnetSettings


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM. Returns the exit code: 1 where it can't start."""
    options = _parser().parse_args(arguments)
    try:
        net = Devnet(_settings(options))
        if net.head.number == 0:
            net.mine(net.settings.solid_lag + 1)
        asyncio.run(_run(net, options.host, options.port))
    except (OSError, OverflowError, ValueError) as error:
        print(f"devnet: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devnet", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--port", type=int, default=18090, help="port of the first endpoint (0: any)"
    )
    parser.add_argument("--nodes", type=int, default=1, help="endpoints, each on the next port")
    parser.add_argument("--block-ms", type=int, default=3_000, help="chain time between blocks")
    parser.add_argument("--tick-ms", type=int, help="wall time between blocks (default: block-ms)")
    parser.add_argument("--solid-lag", type=int, default=19, help="blocks until one is solid")
    parser.add_argument("--network", default="devnet", help="another name is another chain")
    parser.add_argument("--data", type=Path, help="folder in which the chain is kept")
    return parser


def _settings(options: argparse.Namespace) -> DevnetSettings:
    now = time.time_ns() // 1_000_000
    block_ms: int = options.block_ms
    return DevnetSettings(
        nodes=options.nodes,
        network=options.network,
        genesis_ms=now - now % block_ms - (options.solid_lag + 1) * block_ms,
        block_interval_ms=block_ms,
        tick_ms=options.tick_ms or block_ms,
        solid_lag=options.solid_lag,
        data=options.data,
    )


async def _run(net: Devnet, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serving(net, host, port) as urls:
        print(_greeting(net, urls), flush=True)
        await stop.wait()
    net.close()


def _greeting(net: Devnet, urls: tuple[str, ...]) -> str:
    fund = f"""curl -s {urls[0]}/devnet/fund -d '{{"address":"T…","trx_sun":1000000}}'"""
    return "\n".join(
        (
            f"endpoints    {' '.join(urls)}",
            f"genesis      {net.genesis_id}",
            f"head         {net.head.number} (solid {net.solid.number})",
            f"token        {net.token} (USDT, 6 decimals)",
            f"wallet       {net.wallet.address} (funded)",
            f"devnet key   {net.wallet.private_key} (worthless: everybody has it)",
            f"try          curl -s {urls[0]}/wallet/getnowblock",
            f"             {fund}",
            f"             curl -s {urls[0]}/devnet   (all control calls and faults)",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
