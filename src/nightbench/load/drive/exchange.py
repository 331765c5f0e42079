"""One request on the wire: what is sent, and every read of the answer as it came."""

from __future__ import annotations

import re
import struct
from itertools import islice

from nightbench.load.drive.rawlog import NO_STAMP, Cause, Flag, pack
from nightbench.load.drive.reads import MARK_BYTES, Reads
from nightbench.load.drive.tokens_seen import HoldsOutput, by_its_names

# After a few arrivals the loop waits for more: it looks less often, and leaves the processor to the
# server where they share one. The kernel keeps the time of each arrival meanwhile.
MOST_LINGER_NS = 700_000


_OVERLAP_BYTES = 256  # a token may be cut across two reads
_MOST_LINE_BYTES = 65536
_ENCODED = re.compile(rb"^content-encoding:", re.IGNORECASE | re.MULTILINE)


class Exchange:
    """A request and its answer so far. Times are CLOCK_MONOTONIC ns; 0: not reached."""

    __slots__ = (
        "_begun",
        "_encoded",
        "_holds_output",
        "_output_ns",
        "_output_seen",
        "_reads_seen",
        "_scanned",
        "cause",
        "connect_ns",
        "ended_ns",
        "error",
        "fresh",
        "index",
        "message",
        "reads",
        "resent",
        "scheduled_ns",
        "sent_ns",
    )

    def __init__(
        self,
        index: int,
        message: bytes,
        scheduled_ns: int,
        reads: Reads,
        holds_output: HoldsOutput = by_its_names,
    ) -> None:
        self.index = index
        self.message = message
        self.scheduled_ns = scheduled_ns
        self.sent_ns = self.ended_ns = self.connect_ns = 0
        self.fresh = self.resent = False
        self.cause: int = Cause.COMPLETE
        self.error = ""
        self.reads = reads
        self._holds_output = holds_output
        self._output_seen = self._encoded = False
        self._begun = self._scanned = self._reads_seen = self._output_ns = 0

    @property
    def held_bytes(self) -> int:
        """What it takes of memory."""
        return self.reads.size + MARK_BYTES * len(self.reads)

    def saw_output(self) -> bool:
        """Whether a token has arrived: looks only at bytes it has not seen yet, and at the line
        that they go on."""
        size = self.reads.size
        if self._output_seen or self._scanned == size:
            return self._output_seen
        begin = self._begun if size - self._begun < _MOST_LINE_BYTES else size - _OVERLAP_BYTES
        news = self.reads.tail(begin)
        if self._scanned == 0 and _ENCODED.search(news.partition(b"\r\n\r\n")[0]):
            self._output_seen = self._encoded = True  # compressed: any byte may be a token
        self._output_seen = self._output_seen or self._holds_output(news)
        self._begun = begin + news.rfind(b"\n") + 1
        self._scanned = size
        return self._output_seen

    def last_output_ns(self) -> int:
        """When the last read that held a token was done: looks only at reads it has not seen yet,
        of which a server may send millions."""
        unseen = len(self.reads) - self._reads_seen
        self._reads_seen += unseen
        after = b""
        for read, at in islice(self.reads.latest_first(), unseen):
            if self._encoded or self._holds_output(read + after):
                self._output_ns = at
                break
            after = read[:_OVERLAP_BYTES]
        return self._output_ns or self.sent_ns

    def arrived_ns(self, offset_ns: int) -> int:
        """When the last bytes reached this machine, by the kernel where it said so."""
        read_ns, stamp = self.reads.at_ns(-1), self.reads.last_stamp()
        if stamp == NO_STAMP:
            return read_ns
        seconds, nanoseconds = struct.unpack("<qq", stamp)
        return min(int(seconds * 1_000_000_000 + nanoseconds - offset_ns), read_ns)

    def record(self, index_base: int) -> bytes:
        """The raw record, numbered from the level's first request."""
        return pack(
            index=self.index - index_base,
            cause=self.cause,
            fresh_connection=self.fresh,
            scheduled_ns=self.scheduled_ns,
            sent_ns=self.sent_ns,
            connect_ns=self.connect_ns,
            ended_ns=self.ended_ns,
            reads=self.reads,
            error=self.error,
            flags=Flag.RESENT if self.resent else 0,
        )


def linger_ns(exchange: Exchange) -> int:
    """How long the loop may wait for arrivals to gather, judging by an exchange that has ended.

    What is read late is not measured late, but a slot is filled again late: by 2 % of the time to a
    first answer, and 0.2 % of the whole, at most. And two arrivals a tenth of their usual gap apart
    may share a read.
    """
    reads = exchange.reads
    if not len(reads):
        return MOST_LINGER_NS
    first_ns = reads.at_ns(0) - exchange.sent_ns
    whole_ns = exchange.ended_ns - exchange.sent_ns
    return min(MOST_LINGER_NS, first_ns // 50, whole_ns // max(500, 10 * len(reads)))
