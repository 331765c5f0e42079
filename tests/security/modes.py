"""The ways in which a server misbehaves, by name."""

from __future__ import annotations

from tests.security.misbehaving import listing, packing, saying, sending, streaming
from tests.security.misbehaving.pieces import Mode

OF_STREAMS = tuple(build.__name__ for build in streaming.MODES)
OF_PAGES = tuple(build.__name__ for build in listing.MODES)
MODES: dict[str, Mode] = {
    build.__name__: build
    for module in (sending, packing, saying, streaming, listing)
    for build in module.MODES
}
