"""A server that emits tokens on an exact schedule, records when it wrote them, and fails on demand.

    python tests/truth/server.py --ttft-ms 50 --itl-ms 10

OpenAI-compatible: POST /v1/chat/completions, and /v1/completions unstreamed. The number of tokens
is the request's max_tokens or max_completion_tokens. Its own endpoints: GET /truth (one JSON line
per request), GET /peak, POST /reset, POST /plan (a JSON list of faults: request n gets the n-th,
over and over). Times are CLOCK_MONOTONIC ns;
`recv_ns` is when the request reached the machine, by the kernel. One epoll loop, so that 512
streams of 100 tokens/s fit on one core beside a client.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import resource
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from faults import Answer, Step, answer_for, http_response

now_ns = time.perf_counter_ns
SO_TIMESTAMPNS = 35
REALTIME_OFFSET_NS = min(time.time_ns() - now_ns() for _ in range(9))
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT


@dataclass
class Record:
    """What the server really did with one request."""

    number: int
    fault: str
    prompt: str
    max_tokens: int
    recv_ns: int
    first_ns: int = 0
    last_ns: int = 0
    chunks: int = 0
    done: bool = False

    def line(self) -> str:
        return json.dumps(self.__dict__)


@dataclass
class Client:
    """One connection and the answer that is being written to it."""

    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)
    record: Record | None = None
    steps: list[Step] = field(default_factory=list)
    at: int = 0
    start_ns: int = 0
    serial: int = 0


class Server:
    """The loop: reads requests, writes each step of each answer when it is due."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.listener = socket.create_server((args.host, args.port), backlog=4096)
        self.listener.setblocking(False)
        self.epoll = select.epoll()
        self.epoll.register(self.listener.fileno(), _READ)
        self.clients: dict[int, Client] = {}
        self.due: list[tuple[int, int, Client, int]] = []
        self.records: list[Record] = []
        self.plan: list[str] = ["none"]
        self.live = self.peak = self.number = self.order = 0

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self) -> None:
        while True:
            self.turn()

    def turn(self) -> None:
        wait_s = 1.0
        if self.due:
            wait_s = max(0.0, (self.due[0][0] - now_ns()) / 1e9)
        # epoll counts whole milliseconds, rounded up: the last one is slept through exactly.
        if 0 < wait_s < 0.002:
            events = self.epoll.poll(0)
            if not events:
                time.sleep(min(wait_s, 0.0003))
        else:
            events = self.epoll.poll(max(0.0, wait_s - 0.001), len(self.clients) + 8)
        for fd, mask in events:
            if fd == self.listener.fileno():
                self.accept()
            else:
                self.serve(fd, mask)
        self.write_due()

    def accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.clients[sock.fileno()] = Client(sock)
            self.epoll.register(sock.fileno(), _READ)

    def serve(self, fd: int, mask: int) -> None:
        client = self.clients.get(fd)
        if client is None:
            return
        if mask & _WRITE:
            self.flush(client)
        if not mask & ~_WRITE:
            return
        try:
            data, control, _, _ = client.sock.recvmsg(65536, 64)
        except BlockingIOError:
            return
        except OSError:
            data, control = b"", []
        if not data:
            self.drop(client)
            return
        at = now_ns()
        if control:
            # The kernel saw it come: how late this loop is does not count against the client.
            seconds, nanoseconds = struct.unpack("<qq", control[0][2])
            at = min(at, seconds * 1_000_000_000 + nanoseconds - REALTIME_OFFSET_NS)
        client.received += data
        self.take_request(client, at)

    def take_request(self, client: Client, at: int) -> None:
        head, separator, rest = bytes(client.received).partition(b"\r\n\r\n")
        if not separator:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if len(rest) < length:
            return
        client.received = bytearray(rest[length:])
        method, path, _ = head.split(b" ", 2)
        if path.endswith(b"/completions"):
            self.complete(client, json.loads(rest[:length]), at)
        else:
            self.send(client, self.own(method.decode(), path.decode(), rest[:length]))

    def own(self, method: str, path: str, body: bytes) -> bytes:
        if path == "/reset":
            self.records, self.peak, self.number = [], 0, 0
        elif path == "/plan":
            self.plan = json.loads(body)
        elif path == "/truth":
            return http_response(200, "".join(f"{r.line()}\n" for r in self.records).encode())
        elif path == "/peak":
            return http_response(200, str(self.peak).encode())
        elif path == "/connections":
            return http_response(200, str(len(self.clients)).encode())
        elif path == "/v1/models":
            return http_response(200, b'{"object":"list","data":[{"id":"truth"}]}')
        return http_response(200, b"")

    def complete(self, client: Client, body: dict[str, Any], at: int) -> None:
        fault = self.plan[self.number % len(self.plan)]
        self.number += 1
        tokens = body.get("max_completion_tokens") or body.get("max_tokens") or 16
        chat = "messages" in body
        prompt = str(body["messages"][-1]["content"] if chat else body["prompt"])
        record = Record(self.number, fault, prompt, tokens, at)
        self.records.append(record)
        stream = bool(body.get("stream"))
        answer = answer_for(fault, self.number, tokens, stream=stream, chat=chat)
        self.live += 1
        self.peak = max(self.peak, self.live)
        client.record, client.steps, client.at, client.start_ns = record, answer.steps, 0, at
        client.serial += 1
        self.schedule(client, answer)

    def schedule(self, client: Client, answer: Answer) -> None:
        wait_ms = self.args.ttft_ms if answer.timed else 0
        self.push(client, client.start_ns + round(wait_ms * 1e6))

    def push(self, client: Client, due_ns: int) -> None:
        self.order += 1
        heapq.heappush(self.due, (due_ns, self.order, client, client.serial))

    def write_due(self) -> None:
        due, now = self.due, now_ns()
        while due and due[0][0] <= now:
            due_ns, _, client, serial = heapq.heappop(due)
            if serial == client.serial and client.record is not None:
                self.step(client, due_ns)
                now = now_ns()

    def step(self, client: Client, due_ns: int) -> None:
        """Write the next step of an answer and say when the one after it is due."""
        step = client.steps[client.at]
        client.at += 1
        record = client.record
        assert record is not None
        if step.data:
            at = now_ns()
            self.send(client, step.data)
            if step.tokens:
                record.first_ns = record.first_ns or at
                record.last_ns = at
                record.chunks += step.chunks
        if step.action:
            getattr(self, step.action)(client)
        elif client.at < len(client.steps):
            gap_ms = self.args.itl_ms if step.gap_ms is None else step.gap_ms
            self.push(client, due_ns + round(gap_ms * 1e6))
        else:
            record.done = True
            self.finish(client)

    def finish(self, client: Client) -> None:
        client.record = None
        self.live -= 1
        if client.received:
            self.take_request(client, now_ns())

    def send(self, client: Client, data: bytes) -> None:
        if client.unsent:
            client.unsent += data
            return
        try:
            sent = client.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return
        if sent < len(data):
            client.unsent += data[sent:]
            self.epoll.modify(client.sock.fileno(), _READ | _WRITE)

    def flush(self, client: Client) -> None:
        data, client.unsent = bytes(client.unsent), bytearray()
        self.epoll.modify(client.sock.fileno(), _READ)
        self.send(client, data)

    def drop(self, client: Client) -> None:
        fd = client.sock.fileno()
        if fd < 0:
            return
        if client.record is not None:
            self.live -= 1
            client.record = None
        del self.clients[fd]
        self.epoll.unregister(fd)
        client.sock.close()

    # Actions of faults.

    def cut(self, client: Client) -> None:
        """Close the connection in the middle."""
        self.drop(client)

    def reset_connection(self, client: Client) -> None:
        """Close it so that the client gets an RST."""
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop(client)

    def hang(self, client: Client) -> None:
        """Say nothing more, keep the connection open."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ttft-ms", type=float, default=50)
    parser.add_argument("--itl-ms", type=float, default=10)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket a stream
    server = Server(parser.parse_args())
    gc.disable()
    print(server.port, flush=True)
    server.run()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
