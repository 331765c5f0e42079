"""Who listens at a port of this machine."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import psutil


def is_ours(url: str) -> bool:
    """Whether a process of this user listens at the port of a URL of this machine.

    Another user may have taken a port that was ours, or is about to be: what is there must not hear
    a password.
    """
    port = urlsplit(url).port
    for one in psutil.net_connections("tcp"):
        if one.status != psutil.CONN_LISTEN or one.laddr[1:] != (port,) or one.pid is None:
            continue
        try:
            return bool(psutil.Process(one.pid).uids().effective == os.geteuid())
        except psutil.Error:
            continue
    return False
