"""Stands between Playwright and Firefox: `python firefox_relay.py FIREFOX ARGUMENTS`, started like a browser.

Playwright sets the media features of every page that it makes by a command of WebDriver BiDi, and gives up
where the browser does not know it (Firefox 153 ESR). Here the command becomes a question for the browser's
state, which is answered. All else passes as it is.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading

UNKNOWN = b'"emulation.setMediaFeaturesOverride"'
READY = re.compile(rb"WebDriver BiDi listening on ws://127\.0\.0\.1:(\d+)")


def masked(payload: bytes, mask: bytes) -> bytes:
    """A payload under its mask, or without it."""
    length = len(payload)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(length, "big")


def frame(head: int, payload: bytes, mask: bytes) -> bytes:
    """One frame of a client (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return bytes([head]) + length + mask + masked(payload, mask)


def known(payload: bytes) -> bytes:
    """A message that this Firefox understands."""
    if UNKNOWN not in payload:
        return payload
    message = json.loads(payload)
    if message.get("method") != UNKNOWN.decode().strip('"'):
        return payload
    return json.dumps(message | {"method": "session.status", "params": {}}).encode()


def to_browser(client: socket.socket, browser: socket.socket, port: int) -> None:
    """The handshake, then frame after frame."""
    stream = client.makefile("rb")
    while (line := stream.readline()) not in (b"\r\n", b""):
        browser.sendall(b"Host: 127.0.0.1:%d\r\n" % port if line.lower().startswith(b"host:") else line)
    browser.sendall(b"\r\n")
    while len(start := stream.read(2)) == 2:
        head, size = start[0], start[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
        mask = stream.read(4)
        browser.sendall(frame(head, known(masked(stream.read(size), mask)), mask))
    browser.shutdown(socket.SHUT_WR)


def to_client(browser: socket.socket, client: socket.socket) -> None:
    """Whatever comes."""
    while data := browser.recv(1 << 16):
        client.sendall(data)
    client.shutdown(socket.SHUT_WR)


def main() -> int:
    """Entry point; the browser's exit status."""
    firefox = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: firefox.terminate())
    assert firefox.stderr is not None
    for line in firefox.stderr:
        if ready := READY.search(line):
            port = int(ready[1])
            break
        sys.stderr.buffer.write(line)
    else:
        return firefox.wait()
    listener = socket.create_server(("127.0.0.1", 0))
    print(
        f"WebDriver BiDi listening on ws://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True
    )
    threading.Thread(target=lambda: [None for _ in firefox.stderr or ()], daemon=True).start()
    client, _ = listener.accept()
    browser = socket.create_connection(("127.0.0.1", port))
    for pump, arguments in ((to_browser, (client, browser, port)), (to_client, (browser, client))):
        threading.Thread(target=pump, args=arguments, daemon=True).start()
    return firefox.wait()


if __name__ == "__main__":
    sys.exit(main())
