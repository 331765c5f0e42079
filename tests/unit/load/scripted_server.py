"""A server that answers each request as a test's script says, byte for byte and pause for pause."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable

Script = Callable[["Wire", int], Awaitable[bool]]  # whether the connection stays open after it


class Wire:
    """What a script writes to."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, *parts: bytes, gap_s: float = 0.0) -> None:
        """Each part in a write of its own, `gap_s` after each."""
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()
            await asyncio.sleep(gap_s)


class ScriptedServer:
    """On loopback, in a thread; requests are numbered from 1."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.requests = 0
        self.connections = 0
        self.paths: list[str] = []
        self.port = 0

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def base_url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}/v1"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        server = self._loop.run_until_complete(serving)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                sizes = [
                    int(line.partition(":")[2])
                    for line in head.lower().split("\r\n")
                    if line.startswith("content-length:")
                ]
                await reader.readexactly(sum(sizes))
                method, path, _ = head.split(" ", 2)
                if method == "GET" or path.endswith("/reset_prefix_cache"):
                    writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                    continue
                self.paths.append(path)
                self.requests += 1
                if not await self._script(Wire(writer), self.requests):
                    break
        writer.close()
