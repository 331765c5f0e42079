"""Pages of markdown: what others wrote stays text, whatever is in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nightbench.dashboards.markdown import code, escaped, fenced, link, table

HOSTILE = (
    '<img src=x onerror="alert(1)">',
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![see](https://evil.example/pixel.png)",
    "https://evil.example and www.evil.example",
    "**bold** _soft_ `code` ~~gone~~",
    "a | b\n| --- | --- |",
    "&lt;b&gt; &amp; \\*",
    "````\n# out of the fence",
)


def rendered(page: str) -> str:
    return str(
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(page)
    )


def tags(html: str) -> set[str]:
    return set(re.findall(r"<\s*([a-z]+)", html))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(text: str) -> None:
    assert tags(rendered(escaped(text))) <= {"p"}
    assert tags(rendered(fenced(text))) == {"pre", "code"}
    assert tags(rendered(code(text))) == {"p", "code"}


@given(st.text(alphabet="ab`|*_[]()<>!&\\#~:. \n", max_size=40))
def test_no_text_leaves_its_place(text: str) -> None:
    assert tags(rendered(f"x {escaped(text)}")) <= {"p"}
    assert tags(rendered(fenced(text))) == {"pre", "code"}
    cells = rendered(table(("a", "b"), [(f"x{escaped(text)}", f"y{code(text)}")]))
    assert cells.count("<td") == 2


def test_an_address_in_somebody_elses_text_is_no_link() -> None:
    assert "http:" not in escaped("http://a.example")
    assert "www." not in escaped("www.a.example")


def test_an_address_of_ours_is_one() -> None:
    assert 'href="http://h/x(1)"' in rendered(link("the *run*", "http://h/x(1)"))
    assert "the *run*" in rendered(link("the *run*", "http://h/x(1)"))
