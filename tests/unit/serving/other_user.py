"""Another user of the machine: a process that becomes them for good, and then does one thing.

    python other_user.py USER ACTION '{"where": "…", …}'

It is started as root, has imported what it needs by then, and drops every right before it acts.
What the action returns is printed as JSON. `ready` is printed by actions that go on until they are
killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nightbench.serving import processes
from nightbench.serving.hardware import lease_files

HERE = Path(__file__)


# ---------------------------------------------------------------- what a test calls


def act(action: str, *, user: str = "nobody", within_s: float = 60, **arguments: Any) -> Any:
    """Have it done, and return what came of it."""
    done = subprocess.run(
        [*argv_of(user, action), json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def acting(
    action: str, *, user: str = "nobody", **arguments: Any
) -> Iterator[subprocess.Popen[str]]:
    """Have it going on, from when it says that it is ready until the block is left."""
    words = [*argv_of(user, action), json.dumps(arguments)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def argv_of(user: str, action: str) -> list[str]:
    """Its command, but for the arguments."""
    return [sys.executable, str(HERE), user, action]


# ---------------------------------------------------------------- what it can do


def _go_on(step: Callable[[], object] = lambda: None, every_s: float = 0.5) -> None:
    print("ready", flush=True)
    while True:
        step()
        time.sleep(every_s)


def _tried(attempt: Callable[[], object]) -> str:
    """ "done", or how the kernel refused it."""
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"


def lease(where: str, resource: str, record: dict[str, Any]) -> str:
    """A lease file that nobody holds."""
    lease_files.leave(Path(where), resource, record)
    return "done"


def hold(where: str, resource: str, record: dict[str, Any]) -> None:
    """A lease that is held, as an honest run does."""
    lease_files.announce(Path(where), resource, record)
    _go_on()


def raw_lease(where: str, resource: str, body: str, size: int = 0, mode: int = 0o644) -> str:
    """A lease file with any bytes (latin-1) after its first line."""
    name = f"{resource}.{'e' * 16}.lease"
    path = Path(where) / name
    path.write_bytes(f"nightbench lease {name}\n".encode() + body.encode("latin-1"))
    if size:
        os.truncate(path, size)
    path.chmod(mode)
    return str(path)


def write(path: str, text: str, mode: int = 0o666) -> str:
    Path(path).write_bytes(text.encode())  # text has codecs, which only root may read by now
    Path(path).chmod(mode)
    return "done"


def link(path: str, target: str) -> str:
    Path(path).symlink_to(target)
    return "done"


def hard_link(path: str, target: str) -> str:
    return _tried(lambda: os.link(target, path))


def pipe(path: str) -> str:
    os.mkfifo(path, 0o666)
    return "done"


def listener(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        Path(path).chmod(0o777)
        listening.listen()
        _go_on()


def folder(path: str, mode: int = 0o755) -> str:
    Path(path).mkdir()
    Path(path).chmod(mode)
    return "done"


def device(path: str) -> str:
    """What the kernel lets anybody make: the device 0, 0."""
    return _tried(lambda: os.mknod(path, 0o020666, os.makedev(0, 0)))


def odd_names(where: str) -> str:
    names = [
        b"core-0.\x1b[31m.lease",
        b"a\nb.lock",
        b"\xff\xfe.lease",
        b"x" * 255,
        b"core-0..lease",
    ]
    for name in [*names, "core-٣.0123456789abcdef.lease".encode()]:
        (Path(where) / os.fsdecode(name)).touch()
    return "done"


def disturb(path: str) -> dict[str, str]:
    """Everything that could take somebody's lease file away, or what it says."""
    aside = path + ".aside"

    def open_and(do: Callable[[int], object], flags: int) -> None:
        fd = os.open(path, flags)
        try:
            do(fd)
        finally:
            os.close(fd)

    def lock(kind: int) -> Callable[[int], object]:
        return lambda fd: fcntl.fcntl(
            fd, fcntl.F_OFD_SETLK, lease_files._FLOCK.pack(kind, 0, 0, 0, 0)
        )

    return {
        "unlink": _tried(Path(path).unlink),
        "rename": _tried(lambda: Path(path).rename(aside)),
        "replace": _tried(lambda: (Path(aside).touch(), Path(aside).replace(path))),
        "write": _tried(lambda: open_and(lambda fd: os.write(fd, b"x"), os.O_WRONLY)),
        "truncate": _tried(lambda: os.truncate(path, 0)),
        "chmod": _tried(lambda: Path(path).chmod(0o666)),
        "chown": _tried(lambda: os.chown(path, os.getuid(), -1)),
        "write lock": _tried(lambda: open_and(lock(fcntl.F_WRLCK), os.O_RDONLY)),
        "read lock": _tried(lambda: open_and(lock(fcntl.F_RDLCK), os.O_RDONLY)),
    }


def lock_for_reading(path: str) -> None:
    """flock and a read lock on somebody's file, for ever."""
    fd = os.open(path, os.O_RDONLY)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lease_files._FLOCK.pack(fcntl.F_RDLCK, 0, 0, 0, 0))
    fcntl.flock(fd, fcntl.LOCK_EX)
    _go_on()


def lock_folder(path: str) -> None:
    fcntl.flock(os.open(path, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX)
    _go_on()


def lock_file(path: str, text: str) -> None:
    """A file of the earlier format, locked as an earlier release does."""
    write(path, text)
    fcntl.flock(os.open(path, os.O_RDWR), fcntl.LOCK_EX)
    _go_on()


def make_others_wait(path: str) -> None:
    """A file whose opening waits for its owner (F_SETLEASE)."""
    name = Path(path).name
    Path(path).write_bytes(f"nightbench lease {name}\n".encode())
    fcntl.fcntl(os.open(path, os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
    import signal

    signal.signal(signal.SIGIO, signal.SIG_IGN)
    _go_on()


def fill(where: str) -> str:
    """Every byte and every name that the folder has room for."""
    with contextlib.suppress(OSError):
        for number in range(1000):
            (Path(where) / f"x{number}").write_bytes(b"x" * 4096)
    with contextlib.suppress(OSError):
        for number in range(1000):
            (Path(where) / f"y{number}").touch()
    return "done"


def flood(where: str, resource: str, count: int, record: dict[str, Any]) -> str:
    """Thousands of lease files that nobody holds."""
    for _ in range(count):
        lease_files.leave(Path(where), resource, record)
    return "done"


def flood_and_hold(where: str, resource: str, count: int) -> None:
    claims = [lease_files.announce(Path(where), resource, {}) for _ in range(count)]
    assert len(claims) == count
    _go_on()


def run_marked(launch_id: str) -> None:
    """A process that claims to be of somebody's launch."""
    os.execve(  # noqa: S606
        "/bin/sh",
        ["sh", "-c", "echo ready; exec sleep 1000"],
        {processes.LAUNCH_VARIABLE: launch_id, "PATH": os.defpath},
    )


def harass(where: str, resources: list[str], forged: dict[str, Any]) -> None:
    """All of it at once, as fast as it goes: claims that come and go, links, pipes, files of others
    opened, locked and removed as they appear."""
    folder, chosen = Path(where), random.Random(4)
    claims: list[lease_files.Claim] = []

    def step() -> None:
        resource = chosen.choice(resources)
        name = folder / f"{resource}.{chosen.randrange(1 << 64):016x}.lease"
        what = chosen.randrange(7)
        if what == 0 and len(claims) < 3:
            claims.append(lease_files.announce(folder, resource, forged))
        elif what == 1 and claims:
            claims.pop(chosen.randrange(len(claims))).withdraw()
        elif what == 2:
            name.symlink_to("/etc/passwd")
        elif what == 3:
            os.mkfifo(name)
        elif what == 4:
            lease_files.leave(folder, resource, forged)
        else:
            for path in folder.iterdir():
                meddle(path)

    def meddle(path: Path) -> None:
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lease_files._FLOCK.pack(0, 0, 0, 0, 0))
            os.close(fd)
        if path not in [claim.path for claim in claims]:
            with contextlib.suppress(OSError):
                path.unlink()

    def one() -> None:
        with contextlib.suppress(OSError):
            step()

    _go_on(one, 0.0005)


def lease_in_turn(where: str, resources: list[str], counter: str, seconds: float) -> dict[str, int]:
    """An honest user: take the cores, see that nobody else has them, give them back, again."""
    from nightbench.errors import LeaseError
    from nightbench.progress import ignore
    from nightbench.serving.hardware import leases
    from nightbench.serving.hardware.gpus import Inventory

    cores = tuple(int(resource.removeprefix("core-")) for resource in resources)
    request = leases.LeaseRequest(
        subject=f"honest {os.getuid()}", num_gpus=0, cores=cores, within_s=0.2
    )
    had = refused = 0
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        try:
            taken = leases.acquire(
                request,
                Path(where),
                Inventory(),
                read_use=lambda _: {},
                on_progress=ignore,
                sleep=lambda _: time.sleep(0.002),
            )
        except LeaseError:
            refused += 1
            continue
        mine = os.open(counter, os.O_CREAT | os.O_EXCL | os.O_WRONLY)  # fails where two have it
        time.sleep(0.005)
        Path(counter).unlink()
        os.close(mine)
        for claim in taken.claims:
            claim.withdraw()
        had += 1
    return {"had": had, "refused": refused}


def try_to_lease(where: str) -> str:
    """What an honest user is told."""
    from nightbench.errors import LeaseError
    from nightbench.serving.hardware import lease_folder

    try:
        lease_folder.ready(Path(where))
    except LeaseError as error:
        return str(error)
    return "done"


def snatch(where: str) -> None:
    """Open and lock every file the moment that it appears; on SIGTERM, how often that went."""
    import signal

    seen = {"opened": 0, "refused": 0, "snatched": 0}

    def tell(*_: object) -> None:
        print(json.dumps(seen), flush=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, tell)

    def once() -> None:
        for path in Path(where).iterdir():
            try:
                fd = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            except PermissionError:
                seen["refused"] += 1
                continue
            seen["opened"] += 1
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lease_files._FLOCK.pack(0, 0, 0, 0, 0))
                seen["snatched"] += os.fstat(fd).st_nlink  # it was not locked, and still is there
            os.close(fd)

    _go_on(once, 0.0)


def become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def main() -> None:
    user, action, arguments = sys.argv[1:]
    import nightbench.serving.hardware.leases  # noqa: F401 - where only root may read the sources

    become(user)
    print(json.dumps(globals()[action](**json.loads(arguments))))


if __name__ == "__main__":
    main()
