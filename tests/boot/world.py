"""The world of a booted guest: a Jetstream that replays from a cursor, and a webhook that takes everything.

One port, on the guest's loopback: `/subscribe` is the stream, `POST /hook` the receiver, `POST /say` has somebody post
the body. What came is in a folder: `hooks`, a line for each message, and `cursors`, a line for each connection.
"""

import asyncio
import base64
import hashlib
import json
import pathlib
import sys
import time
from urllib.parse import parse_qs, urlparse

FOLDER = pathlib.Path(sys.argv[1])
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
posts, listeners = [], set()


def note(name, line):
    with open(FOLDER / name, "a") as file:
        file.write(line + "\n")


def framed(kind, payload):
    length = len(payload)
    head = bytes([0x80 | kind])
    head += bytes([length]) if length < 126 else bytes([126]) + length.to_bytes(2, "big")
    return head + payload


def hum():
    """What a stream always has: somebody made a handle known. Before its first frame a source counts as not seen."""
    when = int(time.time() * 1e6)
    identity = {"did": "did:plc:h", "handle": "h.example", "seq": 1, "time": "2026-11-22T15:40:00.000Z"}
    frame = {"did": "did:plc:h", "time_us": when, "kind": "identity", "identity": identity}
    return framed(1, json.dumps(frame, separators=(",", ":")).encode())


async def hums():
    while True:
        for writer in listeners:
            writer.write(hum())
        await asyncio.sleep(1)


def say(text):
    when = number = int(time.time() * 1e6)  # so that no post is another's repetition, also in a world that began anew
    record = {"$type": "app.bsky.feed.post", "langs": ["en"], "text": text}
    commit = {
        "cid": f"bafyreib{number}", "collection": "app.bsky.feed.post", "operation": "create",
        "record": record, "rev": "3n2vwk5zwhs2v", "rkey": f"k{number}",
    }
    post = {"did": f"did:plc:a{number}", "time_us": when, "kind": "commit", "commit": commit}
    posts.append((when, json.dumps(post, separators=(",", ":")).encode()))
    for writer in listeners:
        writer.write(framed(1, posts[-1][1]))


async def stream(reader, writer, headers, cursor):
    note("cursors", cursor or "live")
    accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + MAGIC).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    for when, post in posts:
        if cursor and when >= int(cursor):
            writer.write(framed(1, post))
    listeners.add(writer)
    try:
        while True:
            kind, length = await reader.readexactly(2)
            length &= 0x7F
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            mask = await reader.readexactly(4)
            body = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(length)))
            if kind & 0xF == 9:
                writer.write(framed(10, body))
            elif kind & 0xF == 8:
                return
    finally:
        listeners.discard(writer)


async def serve(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        target = urlparse(head[0].split(" ")[1])
        headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in head[1:] if line)}
        if target.path == "/subscribe":
            await stream(reader, writer, headers, parse_qs(target.query).get("cursor", [""])[0])
            return
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        if target.path == "/say":
            say(body)
        elif target.path == "/hook":
            known = {"signed": "webhook-signature" in headers, "webhook_id": headers.get("webhook-id")}
            note("hooks", json.dumps({**known, **json.loads(body)}))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 18080)
    note("cursors", "world begins")
    await asyncio.gather(server.serve_forever(), hums())


asyncio.run(main())
