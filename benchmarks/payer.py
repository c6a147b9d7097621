"""Payme for the benchmark: pays for orders over a few connections, as light as Python can.

    python -m benchmarks.payer PORT CONNECTIONS RUNS BLOCKS PAYMENTS PATH...

A run is BLOCKS blocks of PAYMENTS payments on each PATH in turn: blocks are short, so that a machine that slows down
for a second slows them all down. Prints a line for each run: the seconds that each path took. It runs in a process of
its own, which keeps the client's work out of the server's.
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Final, TypeAlias

KEY: Final = "benchmark-key"
AUTHORIZATION: Final = "Basic " + base64.b64encode(f"Paycom:{KEY}".encode()).decode()
TIYIN: Final = 500_000
Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def requests(path: str, order: int) -> Iterator[bytes]:
    """Give the three requests of one payment, as bytes."""
    account, id, now = {"id": str(order)}, f"{order:024x}", time.time_ns() // 1_000_000
    yield request(path, "CheckPerformTransaction", {"amount": TIYIN, "account": account})
    yield request(path, "CreateTransaction", {"id": id, "time": now, "amount": TIYIN, "account": account})
    yield request(path, "PerformTransaction", {"id": id})


def request(path: str, method: str, params: dict[str, Any]) -> bytes:
    """Write one HTTP request."""
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: {AUTHORIZATION}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def pay(connection: Connection, path: str, orders: Iterator[int]) -> None:
    """Pay for one order after another."""
    reader, writer = connection
    for order in orders:
        for each in requests(path, order):
            writer.write(each)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, _, length = head.partition(b"content-length: ")
            body = await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
            if b'"result"' not in body:
                message = f"{each!r} was answered {head + body!r}"
                raise ValueError(message)


async def block(connections: list[Connection], path: str, orders: Iterator[int]) -> float:
    """Pay for these orders over all connections, and tell how long it took."""
    started = time.perf_counter()
    await asyncio.gather(*(pay(connection, path, orders) for connection in connections))
    return time.perf_counter() - started


async def main(port: int, width: int, runs: int, blocks: int, payments: int, paths: list[str]) -> None:
    """Warm the server up, then print the seconds of each run."""
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(width)]
    orders = count(1)
    for path in paths:
        await block(connections, path, islice(orders, payments))
    for _ in range(runs):
        seconds = dict.fromkeys(paths, 0.0)
        for number in range(blocks):
            # Each goes first as often as the other.
            for path in paths if number % 2 else reversed(paths):
                seconds[path] += await block(connections, path, islice(orders, payments))
        print(*seconds.values(), flush=True)


if __name__ == "__main__":
    port, width, runs, blocks, payments = map(int, sys.argv[1:6])
    asyncio.run(main(port, width, runs, blocks, payments, sys.argv[6:]))
