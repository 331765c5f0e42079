"""Who sends when: the closed loop keeps its slots full, the open loop keeps its schedule."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Sequence

from nightbench.load.drive.connection import Connection
from nightbench.load.drive.exchange import Exchange
from nightbench.load.drive.kernel_clock import Alarm, now_ns

ExchangeOf = Callable[[int, int], Exchange]  # (body index, scheduled ns)
Connect = Callable[[], Connection]

# A closed loop fills its slots one by one: hundreds of requests in the same instant would measure
# how long the server's accept queue is, not how it serves that many streams.
_RAMP_NS = 30_000_000
_LEAST_APART_NS, _MOST_APART_NS = 50_000, 150_000


def apart_ns(slots: int) -> int:
    """How long after one slot of a closed loop the next is filled for the first time."""
    return min(max(_RAMP_NS // slots, _LEAST_APART_NS), _MOST_APART_NS)


class Driver:
    """What the loop asks of whoever decides when to send. By itself: nothing is sent."""

    waiting = False  # whether `on_time` is to be called soon
    exhausted = False  # whether a level bounded by time ran out of prompts before
    full_until_ns: int | None = None
    due_ns = 0  # when the next request has to leave; 0: not at a set time
    unsent = 0  # requests still to be sent

    def start(self, at_ns: int) -> None:
        """The clock starts."""

    def free(self, connection: Connection, at_ns: int) -> None:
        """A request has ended on this connection (which may be closed) at this time."""

    def opened(self, connection: Connection) -> None:
        """A connection without a request is open."""

    def lost(self, connection: Connection) -> None:
        """A connection without a request is gone."""

    def on_time(self) -> None:
        """Something is due."""

    def stop(self) -> None:
        """No more requests."""
        self.unsent = 0


class ClosedLoop(Driver):
    """`connections` slots; each sends its next request as soon as its last one has ended."""

    def __init__(
        self,
        connections: list[Connection],
        indices: Sequence[int],
        exchange_of: ExchangeOf,
        duration_ns: int | None,
    ) -> None:
        self._connections = connections
        self._indices = indices
        self._exchange_of = exchange_of
        self._duration_ns = duration_ns
        self.unsent = len(indices)
        self._end_ns = 1 << 62
        self._unfilled: deque[tuple[Connection, int]] = deque()  # each until its turn comes
        self._refilled: deque[tuple[Connection, int]] = deque()

    def start(self, at_ns: int) -> None:
        """Fill the slots, one after the other at the ramp's pace."""
        if self._duration_ns is not None:
            self._end_ns = at_ns + self._duration_ns
        for position, connection in enumerate(self._connections):
            due_ns = at_ns + position * apart_ns(len(self._connections))
            self._unfilled.append((connection, due_ns))
        self.waiting = True

    def free(self, connection: Connection, at_ns: int) -> None:
        """The slot is free: send the next, unless its connection failed just now."""
        if connection.alive:
            self._send_next(connection, at_ns)
        else:
            # A connection that is refused fails at once: through the loop, not by recursion.
            self._refilled.append((connection, at_ns))
            self.waiting = True

    def on_time(self) -> None:
        """Send on the slots whose connection has to be opened anew, and those whose turn it is."""
        for _ in range(len(self._refilled)):
            self._send_next(*self._refilled.popleft())
        while self._unfilled and self._unfilled[0][1] <= now_ns():
            self._send_next(*self._unfilled.popleft())
        self.waiting = bool(self._refilled or self._unfilled)

    def _send_next(self, connection: Connection, free_since_ns: int) -> None:
        at_ns = now_ns()
        if self.unsent and at_ns < self._end_ns:
            index = self._indices[len(self._indices) - self.unsent]
            self.unsent -= 1
            connection.assign(self._exchange_of(index, free_since_ns))
            return
        if self.full_until_ns is None:
            self.full_until_ns = at_ns
            self.exhausted = self._duration_ns is not None and not self.unsent
        self.unsent = 0


class OpenLoop(Driver):
    """Requests leave on an absolute schedule, on connections that were opened before."""

    def __init__(
        self,
        connections: list[Connection],
        indices: Sequence[int],
        offsets_ns: array[int],
        *,
        exchange_of: ExchangeOf,
        connect: Connect,
        alarm: Alarm,
    ) -> None:
        self._alarm = alarm
        self._idle = [connection for connection in connections if connection.alive]
        self._opening = 0
        self._reserve = max(1, len(connections) // 2)
        self._indices = indices
        self._offsets_ns = offsets_ns
        self._exchange_of = exchange_of
        self._connect = connect
        self.unsent = len(indices)
        self._start_ns = 0

    def start(self, at_ns: int) -> None:
        """Send what is due at once and set the alarm for the rest."""
        self._start_ns = at_ns
        self.on_time()

    def on_time(self) -> None:
        """Send everything that is due, in order, and set the alarm for what comes next."""
        self._alarm.clear()
        self.due_ns = 0
        while self.unsent:
            position = len(self._indices) - self.unsent
            due = self._start_ns + self._offsets_ns[position]
            if due > now_ns():
                self._alarm.set(due)
                self.due_ns = due
                break
            index = self._indices[position]
            self.unsent -= 1
            self._take().assign(self._exchange_of(index, due))
        self._keep_reserve()

    def free(self, connection: Connection, at_ns: int) -> None:
        """The connection waits for a request; the one used last is used first."""
        if connection.alive:
            self._idle.append(connection)

    def opened(self, connection: Connection) -> None:
        """A connection of the reserve is open."""
        self._opening -= 1
        self._idle.insert(0, connection)

    def lost(self, connection: Connection) -> None:
        """An idle connection was closed by the server, or one of the reserve did not open."""
        if connection in self._idle:
            self._idle.remove(connection)
        else:
            self._opening -= 1

    def _take(self) -> Connection:
        return self._idle.pop() if self._idle else self._connect()

    def _keep_reserve(self) -> None:
        """Open connections before they are needed, a few at a time."""
        wanted = min(self._reserve, self.unsent)
        if len(self._idle) + self._opening < wanted and self._opening < 16:
            self._opening += 1
            self._connect().open()
