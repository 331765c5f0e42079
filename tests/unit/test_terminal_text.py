from __future__ import annotations

from nightbench.terminal_text import safe_line, safe_text, storable_text


def test_nothing_that_drives_a_terminal_survives() -> None:
    hostile = "\x1b[2J\x1b]0;title\x07 \x9b31m ok \r gone \u202e reversed \x00"

    shown = safe_text(hostile)

    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in shown)
    assert "ok" in shown


def test_ordinary_text_in_any_script_is_left_alone() -> None:
    text = "答案：B\n\tcafé 🙂"

    assert safe_text(text) == text


def test_a_line_is_one_line_however_long_the_text() -> None:
    assert safe_line("a\n\n b\tc" * 1_000_000, max_chars=10) == "a b ca b …"


def test_half_a_surrogate_pair_can_be_stored() -> None:
    assert storable_text("x\ud800y").encode() == "x\ufffdy".encode()
