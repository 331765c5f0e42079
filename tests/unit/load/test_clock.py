"""Two clocks, and a timer finer than epoll's."""

from __future__ import annotations

import select
import socket
import time

from nightbench.load.drive.kernel_clock import (
    SO_TIMESTAMPNS,
    Alarm,
    OffsetTrack,
    now_ns,
    realtime_offset_ns,
)

SECOND = 1_000_000_000


def test_the_levels_offset_is_the_middle_sample_and_no_outlier() -> None:
    assert OffsetTrack(((0, 1000), (SECOND, 9999), (2 * SECOND, 1003))).offset_ns == 1003


def test_a_clock_that_is_slewed_has_not_jumped() -> None:
    slewed = tuple((i * SECOND, i * 500_000) for i in range(10))  # 500 ppm, ntpd's most
    assert not OffsetTrack(slewed).jumped


def test_a_clock_that_is_set_has_jumped() -> None:
    assert OffsetTrack(((0, 0), (SECOND, 5_000_000))).jumped
    assert OffsetTrack(((0, 0), (SECOND, -5_000_000))).jumped


def test_two_samples_of_the_real_clocks_agree() -> None:
    (before, first), (after, second) = realtime_offset_ns(), realtime_offset_ns()
    assert before < after
    assert abs(first - second) < 1_000_000


def test_an_alarm_wakes_an_epoll_at_its_instant_and_not_before() -> None:
    alarm = Alarm()
    epoll = select.epoll()
    epoll.register(alarm.fd, select.EPOLLIN)
    due = now_ns() + 3_300_000
    alarm.set(due)
    assert epoll.poll(5)
    assert now_ns() >= due
    alarm.clear()
    assert not epoll.poll(0)


def test_the_stamp_is_the_one_that_so_timestamping_gives() -> None:
    """Both asked for at once, on every arrival from the first stamped one on: where nobody else had
    asked for stamps, the kernel begins with them a moment later."""
    so_timestamping, rx_software_and_software = 37, 1 << 3 | 1 << 4
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()

    def arrival() -> dict[int, bytes]:
        server.send(b"x")
        _, control, _, _ = client.recvmsg(16, 256)
        return {kind: data[:16] for _, kind, data in control}

    with client, server:
        client.setsockopt(socket.SOL_SOCKET, so_timestamping, rx_software_and_software)
        client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        until = time.monotonic() + 5
        while SO_TIMESTAMPNS not in arrival():
            assert time.monotonic() < until
        for _ in range(50):
            stamps = arrival()
            assert stamps[SO_TIMESTAMPNS] == stamps[so_timestamping]
