#!/usr/bin/python3
"""The application of test_lb_in_step.py: answers with the number that it was asked with, quickly, and judges every
request as strictly as recorder.py does.

  GET  /number/N      N
  POST /number/N      the body
  ANY  /attack/N      the bytes of the N-th file of the folder $ATTACKS, whatever they are

What a strict reader refuses is a file in the folder $MALFORMED, with the reason and the bytes.
"""

import asyncio
import os
from pathlib import Path

from recorder import Malformed, check_fields, parse_head

IDLE_SECONDS = {"answered": None, "attacked": 1.0}  # until the connection is closed
ATTACKS = [file.read_bytes() for file in sorted(Path(os.environ["ATTACKS"]).iterdir())]
MALFORMED = Path(os.environ["MALFORMED"])


async def read_chunks(reader) -> bytes:
    body = b""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Malformed("no CRLF after a chunk")
        if not size:
            return body


async def serve_one(head: bytes, reader, writer) -> str:
    """A word of IDLE_SECONDS, or nothing when the connection is to end."""
    try:
        (_, target), fields = parse_head(head)
        check_fields(fields)
        values = dict(fields)
        if "transfer-encoding" in values:
            body = await read_chunks(reader)
        else:
            body = await reader.readexactly(int(values.get("content-length", "0")))
    except (Malformed, ValueError) as broken:
        (MALFORMED / os.urandom(8).hex()).write_bytes(b"%s\n%s" % (str(broken).encode(), head))
        return ""
    path = target.partition("?")[0]
    if path.startswith("/attack/"):
        writer.write(ATTACKS[int(path[8:])])
        return "" if target.endswith("?close") else "attacked"
    if not body:
        body = path.removeprefix("/number/").encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    return "answered"


async def serve(reader, writer):
    state = "answered"
    try:
        while state:
            async with asyncio.timeout(IDLE_SECONDS[state]):
                head = await reader.readuntil(b"\r\n\r\n")
            state = await serve_one(head, reader, writer)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def main():
    port = int(os.environ["PORT"])
    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 17, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
