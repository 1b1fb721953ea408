"""Discord's Markdown on the page; text of people never becomes a tag."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.page.markup import Names, is_web_address, render

NAMES = Names({"15": "Mina"}, {"16": "Admins"}, {"17": "general"})
A_TAG = re.compile(r"<(/?)([a-z0-9]+)((?: [a-z-]+(?:=\"[^\"<>]*\")?)*)>")
OWN_TAGS = {
    *("p", "br", "strong", "em", "u", "s", "code", "pre", "span", "a"),
    *("h2", "h3", "h4", "ul", "ol", "li", "blockquote", "time"),
}
OWN_ATTRIBUTES = {
    *("class", "href", "target", "rel", "datetime", "start"),
    *("role", "tabindex", "aria-label", "aria-expanded"),
}
LINK = '<a href="https://example.org/a_b_c" target="_blank" rel="noopener noreferrer">'


def shown(text: str) -> str:
    """Return the HTML of one paragraph without its <p>."""
    return render(text, NAMES).strip().removeprefix("<p>").removesuffix("</p>")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**b** *i* _i_ ~~s~~", "<strong>b</strong> <em>i</em> <em>i</em> <s>s</s>"),
        ("__u__ ***both***", "<u>u</u> <em><strong>both</strong></em>"),
        ("`a < b`", "<code>a &lt; b</code>"),
        ("one\ntwo", "one<br>\ntwo"),
        ("\\*not\\*", "*not*"),
        ("a | b", "a | b"),
        ("https://example.org/a_b_c.", f"{LINK}https://example.org/a_b_c</a>."),
        ("<https://example.org/a_b_c>", f"{LINK}https://example.org/a_b_c</a>"),
        ("[here](https://example.org/a_b_c)", f"{LINK}here</a>"),
        ("[bad](javascript:alert(1))", "[bad](javascript:alert(1))"),
        ("<@15> <@!15> <@99>", "@Mina @Mina @unknown-user"),
        ("<#17> <@&16> </system:12>", "#general @Admins /system"),
        ("@everyone", "@everyone"),
    ],
)
def test_inline_markup_is_rendered(text: str, html: str) -> None:
    assert re.sub(r'<span class="mention">(.*?)</span>', r"\1", shown(text)) == html


def test_mention_in_code_is_not_resolved() -> None:
    assert shown("`<@15>`") == "<code>&lt;@15&gt;</code>"


def test_spoiler_hides_its_content() -> None:
    html = shown("||a **b**|| and ||c||")
    assert html.count('class="spoiler"') == 2
    assert '<span class="spoiler-text">a <strong>b</strong></span>' in html


def test_custom_emoji_are_shown_as_names() -> None:
    assert shown("<:wave:12><a:dance:13>").count('<span class="emoji">') == 2
    assert "<img" not in shown("<:wave:12>")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("# One\n## Two\n### Three\n#### Four", ["<h2>One", "<h3>Two", "<h4>Three", "#### Four"]),
        ("-# small", ['<p class="small">small</p>']),
        ("- a\n- b\n  - c", ["<ul>\n<li>a</li>\n<li>b\n<ul>\n<li>c</li>"]),
        ("2. a\n3. b", ['<ol start="2">\n<li>a</li>\n<li>b</li>']),
        ("> a\n> b\nc", ["<blockquote>\n<p>a<br>\nb</p>\n</blockquote>\n<p>c</p>"]),
        (">>> a\n- b\nc", ["<blockquote>\n<p>a</p>\n<ul>", "</blockquote>"]),
        (">no quote", ["&gt;no quote"]),
        ("```unclosed", ["<p>```unclosed</p>"]),
        ("say ```x``` now", ["<code>x</code>"]),
        ("> ```py\n> x = 1\n> ```", ["<blockquote>\n<pre", '<span class="hl-mi">1</span>']),
        ("| a |\n|---|\n| 1 |", ["<p>| a |<br>\n|---|<br>\n| 1 |</p>"]),
    ],
)
def test_block_markup_is_rendered(text: str, parts: list[str]) -> None:
    html = render(text, NAMES)
    assert sorted(parts, key=html.index) == parts


@pytest.mark.parametrize("text", ["```py\nif x: '<b>'\n```", "```py\nif x: '<b>'```"])
def test_code_is_escaped_and_highlighted_by_classes(text: str) -> None:
    html = render(text, NAMES)
    assert '<span class="hl-k">if</span>' in html
    assert "&lt;b&gt;" in html
    assert "style=" not in html


def test_code_in_an_unknown_language_is_plain() -> None:
    assert "<code>&lt;x&gt;</code>" in render("```nolang\n<x>\n```", NAMES)


def test_timestamps_are_rendered_as_text() -> None:
    html = shown("<t:0:F> <t:99999999999999> <t:9999999999999>")
    assert '<time datetime="1970-01-01T00:00:00+00:00">Thursday, 01 January 1970 00:00 UTC' in html
    assert "Invalid Date" in html
    assert "in 1 hour" in shown(f"<t:{int(time.time()) + 3700}:R>")


@pytest.mark.parametrize("address", ["https://a.b", "http://a"])
def test_http_addresses_are_linked(address: str) -> None:
    assert is_web_address(address)


@pytest.mark.parametrize(
    "address",
    ["javascript:1", "//a.b", "data:text/html,x", "https://[", "https:", "file:///etc", ""],
)
def test_other_addresses_are_not_linked(address: str) -> None:
    assert not is_web_address(address)


PIECES = st.sampled_from(
    [
        "<",
        ">",
        "&",
        '"',
        "'",
        "`",
        "```",
        "*",
        "_",
        "~~",
        "||",
        "#",
        "-#",
        "[",
        "](",
        ")",
        "https://",
        "javascript:",
        "<@15>",
        "<script>",
        "<:a:1>",
        "<t:1:R>",
        "@everyone",
        "\\",
        "onclick=",
        "한",
        "x",
    ]
) | st.sampled_from(
    ["<img src=x onerror=a>", "\n", "> ", ">>> ", "- ", "1. ", "py\n", "\u202e", "\0"]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_yields_only_allowed_tags(text: str) -> None:
    """Every < begins an allowed tag with allowed attributes."""
    html = render(text, NAMES)
    tags = list(A_TAG.finditer(html))
    assert html.count("<") == len(tags)
    for tag in tags:
        assert tag[2] in OWN_TAGS
        assert (
            set(re.findall(r" ([a-z-]+)(?==|\b)", re.sub(r'"[^"]*"', "", tag[3]))) <= OWN_ATTRIBUTES
        )
    for address in re.findall(r'href="([^"]*)"', html):
        assert address.startswith(("http://", "https://"))


@pytest.mark.parametrize("piece", ["||", "*", "_", "[", "> ", "- ", "`", "<", "```\n", "https://"])
def test_long_nonsense_is_rendered_within_a_second(piece: str) -> None:
    """Of processor time, for the longest message; the slowest takes a tenth of that here."""
    began = time.process_time()
    render((piece * 4000)[:4000], NAMES)
    assert time.process_time() - began < 1
