"""Where a generator connects to: address and TLS, made out before anything is timed."""

from __future__ import annotations

import socket
import ssl

from nightbench.load.drive.connection import Remote
from nightbench.load.drive.worker_protocol import Job


def resolve(job: Job) -> Remote:
    """The address to connect to: of several, the first that accepts, else the first."""
    found = socket.getaddrinfo(job.host, job.port, type=socket.SOCK_STREAM)
    if len(found) > 1:
        for family, _, _, _, address in found:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.settimeout(min(2.0, job.connect_timeout_ns / 1e9))
                if probe.connect_ex(address) == 0:
                    return family, address
    return found[0][0], found[0][4]


def tls_of(job: Job) -> tuple[ssl.SSLContext, str] | None:
    """The context and the name to check; None for plain HTTP."""
    if not job.tls:
        return None
    context = ssl.create_default_context()
    if not job.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context, job.host
