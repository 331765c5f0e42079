"""Files of data sets that a suite names by their place on a hub: `modelscope:org/name/file`,
`hf:org/name/file`, each with `@revision` at the end or without.

Fetched once, by the hub's own client into its own cache, and there without a network afterwards.
"""

from __future__ import annotations

import os
import socket
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import DataError

REACH_TIMEOUT_S = 5.0
ENDPOINTS = {
    "hf": ("HF_ENDPOINT", "https://huggingface.co"),
    "modelscope": ("MODELSCOPE_ENDPOINT", "https://modelscope.cn"),
}


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a data set on a hub."""

    hub: str
    repository: str
    file: str
    revision: str | None = None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.hub}:{self.repository}/{self.file}{at}"


def parse(place: str) -> HubFile | None:
    """The file that a place means; None for a path on this disk. Raises DataError."""
    hub, colon, rest = place.partition(":")
    if hub not in ENDPOINTS or not colon:
        return None
    path, _, revision = rest.partition("@")
    parts = path.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise DataError(f"{place} names no file", hint=f"Expected {hub}:organisation/name/file.")
    return HubFile(hub, "/".join(parts[:2]), parts[2], revision or None)


def locate(place: str, base_dir: Path) -> Path:
    """Where the file is on this disk; one on a hub is fetched if it is not here yet.

    Relative paths start at `base_dir`. Raises DataError where a hub's file cannot be had.
    """
    wanted = parse(place)
    return base_dir / place if wanted is None else cached(wanted) or fetch(wanted)


def cached(file: HubFile) -> Path | None:
    """The file where it is here already; no hub is asked."""
    try:
        path = _download(file, here_only=True)
    except Exception:  # noqa: BLE001 - the clients' many ways to say that it is not here
        return None
    return path if path.is_file() else None


def fetch(file: HubFile) -> Path:
    """The file from its hub. Raises DataError."""
    hint = "Check the network and proxies, or use a local file."
    if not reachable(file.hub):
        raise DataError(f"{file} is not here, and the hub cannot be reached", hint=hint)
    try:
        return _download(file, here_only=False)
    except Exception as error:  # noqa: BLE001 - hubs raise dozens of kinds, all mean the same here
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"{file} cannot be fetched: {reason}", hint=hint) from None


def _download(file: HubFile, *, here_only: bool) -> Path:
    if file.hub == "hf":
        import huggingface_hub

        return Path(
            huggingface_hub.hf_hub_download(
                file.repository,
                file.file,
                repo_type="dataset",
                revision=file.revision,
                local_files_only=here_only,
            )
        )
    from modelscope_hub import compat

    return Path(
        compat.dataset_file_download(
            file.repository, file.file, revision=file.revision, local_files_only=here_only
        )
    )


def reachable(hub: str) -> bool:
    """Whether a hub can be connected to: their clients retry for half a minute where it cannot."""
    variable, usual = ENDPOINTS[hub]
    parts = urllib.parse.urlsplit(os.environ.get(variable, usual))
    if urllib.request.getproxies():
        return True  # only the proxy knows
    try:
        address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
        with socket.create_connection(address, timeout=REACH_TIMEOUT_S):
            return True
    except OSError:
        return False
