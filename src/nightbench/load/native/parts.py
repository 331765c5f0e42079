"""The parts of the load generator that are in C too, where they were built (infra/build_native.py).

Called through ctypes, so that one build serves every Python. Each has one in Python beside it.
"""

from __future__ import annotations

import ctypes
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent
PARTS = {
    "wire": ("wire.c",),
    "answers": ("answers.c", "answers_event.h", "answers_http.h", "answers_json.h"),
}


def load_library(part: str) -> ctypes.CDLL | None:
    """A part of `PARTS`; None where it was not built. ImportError for one of another source."""
    path = FOLDER / f"_{part}.so"
    if not path.exists():
        return None
    hint = f"{path.name} was built elsewhere or for another version: reinstall nightbench"
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ImportError(f"{hint} ({error})") from error
    built_of = library[f"{part}_source"]
    built_of.restype = ctypes.c_uint32
    if built_of() != source_of(part):
        raise ImportError(hint)
    return library


def source_of(part: str) -> int:
    """What tells a part's source from another version of it."""
    return zlib.crc32(b"".join((FOLDER / name).read_bytes() for name in PARTS[part]))
