"""What a command says on a terminal of what others wrote: without secrets, and only as text."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType

from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import secrets_of_headers, without_userinfo
from nightbench.terminal_text import safe_text


def told(text: str, words: Iterable[str], environ: Mapping[str, str] = os.environ) -> str:
    """A text as it may be printed. `words` are the command line's: what it names is secret too."""
    redact = Redactor.from_env(environ, *_secrets_of_words(words, environ))
    return safe_text(without_userinfo(redact(text)))


_OF_THE_SYSTEM = {
    errno.ENOSPC: "Free some space, or set TMPDIR (NIGHTBENCH_HOME) to a folder on another disk.",
    errno.EDQUOT: "Free some space, or set TMPDIR (NIGHTBENCH_HOME) to a folder on another disk.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n 65536) and try again.",
    errno.ENFILE: "The machine is out of file handles: find the process that holds them.",
    errno.EROFS: "Set NIGHTBENCH_HOME (or TMPDIR) to a writable folder.",
    errno.ENOTDIR: "A file is in the place of a folder: check NIGHTBENCH_HOME and the paths given.",
    errno.EACCES: "Check its owner and permissions, or use another path.",
    errno.EPERM: "Check its owner and permissions, or use another path.",
    errno.EADDRINUSE: "Another process listens there: choose another port.",
    errno.EADDRNOTAVAIL: "This machine has no such address: use one of its own, or 127.0.0.1.",
}


def of_the_system(error: OSError) -> str:
    """What the system refused, to what, and what to do, where that can be told by its number."""
    named = " → ".join(os.fsdecode(n) for n in (error.filename, error.filename2) if n is not None)
    said = error.strerror or str(error) or type(error).__name__
    hint = _OF_THE_SYSTEM.get(error.errno or 0, "")
    if isinstance(error, PermissionError) and named:
        return f"permission denied: {named}\n  {hint}"
    if isinstance(error, socket.gaierror):
        hint = "No such host: check the spelling."
    return f"{f'{named}: ' if named else ''}{said}" + (f"\n  {hint}" if hint else "")


def print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """For `sys.excepthook`: the traceback of a fault of ours, as it may be shown and reported."""
    said = "".join(traceback.format_exception(kind, error, trace))
    print(told(said, sys.argv), end="", file=sys.stderr)


def hide_in_logs() -> None:
    """What libraries log, and nobody has asked for, is printed as it may be."""

    def as_it_may_be(record: logging.LogRecord) -> bool:
        record.msg, record.args = told(record.getMessage(), sys.argv), ()
        if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
            record.exc_text = told(logging.Formatter().formatException(record.exc_info), sys.argv)
        return True

    if logging.lastResort is not None:
        logging.lastResort.addFilter(as_it_may_be)


def _secrets_of_words(words: Iterable[str], environ: Mapping[str, str]) -> set[str]:
    """The value of a variable that is named (`--api-key-env NAME`), and that of a header."""
    secrets: set[str] = set()
    for word in words:
        name, _, value = word.partition("=")
        secrets |= {environ.get(word, ""), environ.get(value, "")}
        secrets |= secrets_of_headers([(name, value)])
    return secrets
