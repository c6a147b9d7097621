"""Payme for the benchmark: pays for orders over a few connections, as light as Python can.

    python -m benchmarks.payer PORT PATH FIRST COUNT CONNECTIONS

Run in a process of its own, so that the client's work is not counted as the server's. Prints the seconds it took.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.shop import AUTHORIZATION, TIYIN


def requests(path: str, order: int) -> Iterator[bytes]:
    """Give the three requests of one payment, as bytes."""
    account, id = {"id": str(order)}, f"{order:024x}"
    yield request(path, "CheckPerformTransaction", {"amount": TIYIN, "account": account})
    now = time.time_ns() // 1_000_000
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


async def pay(port: int, path: str, orders: Iterator[int]) -> None:
    """Pay for one order after another over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for order in orders:
        for each in requests(path, order):
            writer.write(each)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, _, length = head.partition(b"content-length: ")
            body = await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
            if b'"result"' not in body:
                message = f"{each!r} was answered {head + body!r}"
                raise ValueError(message)
    writer.close()


async def main(port: int, path: str, first: int, count: int, connections: int) -> float:
    """Pay for `count` orders and tell how long it took."""
    orders = iter(range(first, first + count))
    started = time.perf_counter()
    await asyncio.gather(*(pay(port, path, orders) for _ in range(connections)))
    return time.perf_counter() - started


if __name__ == "__main__":
    port, path, *numbers = sys.argv[1:]
    first, count, connections = map(int, numbers)
    print(asyncio.run(main(int(port), path, first, count, connections)))
