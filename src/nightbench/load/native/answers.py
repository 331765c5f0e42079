"""The usual answer, taken apart in C (answers.c) where that was built."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.drive.rawlog import Cause
from nightbench.load.native.parts import load_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.load.parse.raw_records import RawRequestArrays

UNUSUAL = -1  # of `chunks`: an answer that Python has to read
_ANSWER = np.dtype(  # struct answer
    [
        ("chunks", "i8"),
        ("first_answer", "i8"),
        ("prompt_tokens", "i8"),
        ("cached_tokens", "i8"),
        ("completion_tokens", "i8"),
        ("reasoning_tokens", "i8"),
        ("counted_at", "i8"),
        ("body_bytes", "i8"),
        ("finish_reason", "S24"),
    ]
)
_LEAST_EVENT_BYTES = 32  # an event with output is longer


class AnswerReader:
    """Reads the answers of many requests at once."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._read = library.answers_read
        self._read.restype = ctypes.c_int64

    def read(self, raws: RawRequestArrays) -> tuple[NDArray[np.void], NDArray[np.int32]]:
        """(a `struct answer` of each, the read of each chunk of output, one answer after another).

        What an answer did not say is -1.
        """
        answers = np.zeros(len(raws), dtype=_ANSWER)
        sizes = np.where(raws["cause"] == Cause.COMPLETE, raws["data_bytes"], 0).astype(np.int64)
        reads = raws["reads"].astype(np.int64)
        chunk_reads = np.empty(int(sizes.sum()) // _LEAST_EVENT_BYTES + 1, dtype=np.int32)
        body = np.empty(int(sizes.max(initial=0)) + 1, dtype=np.uint8)
        body_ends = np.empty(int(reads.max(initial=0)) + 1, dtype=np.int64)
        block = np.frombuffer(raws.block, dtype=np.uint8)
        given = (raws.data_begins, sizes, reads, raws.lengths)
        filled = (body, body_ends, answers, chunk_reads)
        chunks = self._read(
            ctypes.c_void_p(block.ctypes.data),
            ctypes.c_int64(len(raws)),
            *(ctypes.c_void_p(values.ctypes.data) for values in (*given, *filled)),
        )
        return answers, chunk_reads[:chunks]


def answer_reader() -> AnswerReader | None:
    """What reads in C; None where it was not built."""
    library = load_library("answers")
    return None if library is None else AnswerReader(library)
