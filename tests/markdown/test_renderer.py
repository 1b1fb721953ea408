"""A model's Markdown renders the same in any pieces."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.markdown.renderer import RULE, Renderer, is_visible, render
from bot.markdown.splitter import split

HELD_AT_MOST = 15_000  # characters: a table of 8000, which blanks align
GRACE_SECONDS = 10.0  # for 100,000 characters, which take half a second at most


def streamed(text: str, *sizes: int) -> str:
    """Return *text* rendered in pieces of *sizes*, the last of them again and again."""
    renderer = Renderer()
    shown, at, number = "", 0, 0
    while at < len(text):
        size = sizes[min(number, len(sizes) - 1)]
        shown += renderer.write(text[at : at + size])
        at, number = at + size, number + 1
    return shown + renderer.finish()


PIECES = [
    *("```", "```py\n", "\n```\n", "~~~\n", "\n~~~", "````", "`", "``", "\n", "\n", "\r\n", " "),
    *("    ", "- ", "1. ", "* ", "> ", "# ", "#### ", "##### deep ##", "---", "***", "_ _ _"),
    *("| a | b |\n", "|---|---|\n", "|:-:|\n", "| ", "|", "||", " | ", "a | b\n", "--- | ---\n"),
    *("**", "_", "](", "[", "]", "(", ")", "!", "[x] ", "[ ] ", "[^1]", "[^note]: ", "<@1>"),
    *("[a](https://b.test/c)", " (b.test)", "![i](https://x.test)", "https://a.test/b?c=$d$"),
    *("&lt;", "&amp;", "&", "&#", "&#42;", ";", "<br>", "<b>", "</b>", "<sub>", "</sub>", "<"),
    *("<details open>", "</details>", "<summary>", "</summary>", "<!--", "-->", "<!-- c -->"),
    *("===", "\n===\n", "a\n=====\n", "Name | Age\n", "Name | "),
    *("<div>", "</div>", "<p>", "</p>", '<p align="center">', "<mark>", "</mark>", "#### T"),
    *("<code>", "</code>", "<details>", "$", "$$", "\\(", "\\)", "\\[", "\\]", "\\", "\\$"),
    *("x^2", "\\frac{a}{b}", "\\alpha", "{", "}", "\\begin{x}", "5", "$5", "=", "x", "-", ":"),
    *("word", "two words", "漢字", "한국어", "👍", "\u0301", "\u200d", "\x00", "\ud800"),
]
markdown = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)

ANSWER = r"""# Harbours
#### Where **ships** lie

Most are *old*[^1], see [the list](https://ports.test/all) or <https://ports.test>. R&amp;D.

| Port | Opened | Depth $d$ |
|:-----|:------:|----------:|
| **Piraeus** | 493&nbsp;BC | `13 m` |
| 부산항 | 1876 | 17 m |

---

1. Compute $d_{max} = \frac{a}{b}$, that is \(\sqrt{x_i}\), for $5 or $10.
   - [ ] measure
   - [x] write down

\[ \begin{cases} a \\ b \end{cases} \]

```py
print("$x$ &lt; | a | #### b")
```

> ##### Quoted
> ![plan](https://ports.test/plan.png)

[^1]: Not all.
"""


SHOWN = rf"""# Harbours
**Where ships lie**

Most are *old*¹, see [the list](https://ports.test/all) (ports.test) or <https://ports.test>. R&D.

```
Port     Opened  Depth d
-------  ------  -------
Piraeus  493 BC     13 m
부산항    1876      17 m
```

{RULE}

1. Compute dₘₐₓ = a/b, that is √xᵢ, for $5 or $10.
   - ☐ measure
   - ☑ write down

```latex
\begin{{cases}} a \\ b \end{{cases}}
```

```py
print("$x$ &lt; | a | #### b")
```

> **Quoted**
> plan: https://ports.test/plan.png

-# ¹ Not all.
"""


@settings(max_examples=1500, derandomize=True)
@given(markdown, st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_output_does_not_depend_on_how_the_text_is_cut(text: str, sizes: list[int]) -> None:
    assert streamed(text, *sizes) == render(text)


@settings(max_examples=200, derandomize=True)
@given(st.text(max_size=200), st.integers(1, 5))
def test_any_text_renders_the_same_in_small_pieces(text: str, size: int) -> None:
    assert streamed(text, size) == render(text)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_full_answer_renders_the_same_in_pieces(size: int) -> None:
    assert streamed(ANSWER, size) == render(ANSWER)


def test_a_full_answer() -> None:
    assert render(ANSWER) == SHOWN


def test_rendering_is_idempotent() -> None:
    """An answer that is found as it was shown is shown again without change."""
    once = render(ANSWER)
    assert render(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world.\n\nA *new* paragraph with **bold**, _more_ and ~~less~~ ||hidden||.\n",
        "- one\n- two\n  - three\n1. four\n2) five\n> quoted\n",
        "# One\n## Two\n### Three\n-# small\n",
        "<@123> <#4> <@&5> <:blob:6> <a:blob:7> <t:1700000000:R> </ask:8> @everyone\n",
        "https://x.test/?a=$b$&copy=1&lt=2!_c_[d](e) and (https://y.test/f) go on\n",
        "It costs $5, or $10 for two. US$5 = C$7. $HOME/$USER, $PATH:$HOME and 5$, 10$.\n",
        "5 < 6 > 4 && a || b; R&D; a & b; &bogus; &#xZZ;\n",
        "f[0](x), a[i] = [1, 2], [text][1], [sic], [ ] no task, [^ no note]\n",
        r"\*no\* \_no\_ \# \$x\$ \[no\] \\ a\b C:\dir" + "\n",
        "a | b\nno table | here\n|only| a line\n\n| a | b |\n|---|\n",
        "| a | b\n\n|---|---|\n",
        "#no heading\n#######no\n----a\n* * a\n__init__ and **bold**\n",
        "=====\n\n=====\na\n",
        "<T> and List<String>, a <div> in prose, <b> alone\n",
        "가격은 $5이고, 두 개는 $10입니다. 좋아요!\n",
        "",
        "\n\n \n\t\n",
        "\u0301\u200d\x00\ufeff",
    ],
)
def test_markup_that_discord_shows_stays(text: str) -> None:
    assert render(text) == text


INVISIBLE = [
    *("", " \n\t", "\u200b\u200b", "\u2060\ufeff\u200d", "\x00\x1f", "\u2028", "\u00a0\u3000"),
    *("\u3164", "\u115f\u1160", "\uffa0", "\u2800", "\u034f", "\ufe0f", "\U000e0101", "\u00ad"),
    *("<br>", "<br/>\n<br>", "<b></b>", "<span></span>", "<code></code>", "####", "###### \n"),
    *("<b>\u200b</b>", "&nbsp;&#8203;", "<details>\n</details>", "\u3164\n" * 3000),
]


@pytest.mark.parametrize("text", INVISIBLE)
def test_invisible_text_makes_no_message(text: str) -> None:
    assert not is_visible(text)
    assert split(render(text)) == []


@pytest.mark.parametrize("rest", ["\u3164" * 3000, "\u2800\n" * 3000, "\n<br>\u200b" * 1000])
def test_an_invisible_rest_makes_no_message(rest: str) -> None:
    parts = split(render(f"Yes.\n\n{rest}"))
    assert len(parts) == 1
    assert is_visible(parts[0])


@pytest.mark.parametrize(
    "text",
    [
        *("a", "0", ".", "한", "👍", "❤\ufe0f", "\u0301", "\ud800", "---", "> a", "<b>a</b>"),
        *("####a", "- ", "```\na", "[](https://x.test)", "<T>", "&lt;", "\u3164" * 5000 + "a"),
    ],
)
def test_visible_text_is_recognised(text: str) -> None:
    assert is_visible(text)


CODE = "$x^2$ &lt; [a](https://b.test) | c |\n|---|---|\n#### d\n---\n- [ ] e \\(f\\) <br>"


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{CODE}\n```\n",
        f"- ```py\n{CODE}\n  ```\n",
        f"> ```\n> {CODE}\n> ```\n",
        f"```\n{CODE}",
        f"Like this: ```py\n{CODE}\n\n{CODE}\n``` and so on\n".replace("](", "]\u2060("),
        "`$x$ &lt; [a](https://b.test)` and ``a ` $x$ &amp; `` and ``` `` $y$ ```\n",
        "`over two\nlines $x$`\n",
    ],
)
def test_code_is_not_changed(text: str) -> None:
    assert render(text) == text
    assert streamed(text, 1) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("an ` alone and $x^2$", "an ` alone and x²"),
        ("- a ` b\n- $x^2$ ` c", "- a ` b\n- x² ` c"),
        ("``` not a fence ` $x^2$", "``` not a fence ` x²"),
        ("a ` b\n\n$x^2$ ` c", "a ` b\n\nx² ` c"),
        ("```\ncode\n```\n#### after", "```\ncode\n```\n**after**"),
        ("a ```py\ncode\n``` b\n#### after", "a ```py\ncode\n``` b\n**after**"),
    ],
)
def test_text_outside_of_code_is_rendered(text: str, shown: str) -> None:
    assert render(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("#### Four", "**Four**"),
        ("###### Six ######", "**Six**"),
        ("#### A **b** `**c**` C#", "**A b `**c**` C#**"),
        ("  #### in\r\n", "  **in**\n"),
        ("> - #### both\n", "> - **both**\n"),
        ("####\nnone", "\nnone"),
        ("---", RULE),
        ("a\n***\nb", f"a\n{RULE}\nb"),
        ("_ _ _  \n- - -\n", f"{RULE}\n{RULE}\n"),
        ("> ---\n", f"> {RULE}\n"),
        ("- [ ] a\n- [x] b\n* [X] c\n1. [ ] d", "- ☐ a\n- ☑ b\n* ☑ c\n1. ☐ d"),
        ("> - [ ] a", "> - ☐ a"),
        ("a[^1], b[^12] and c[^note]", "a¹, b¹² and c[note]"),
        ("[^1]: One.\n[^a-b]: Two.", "-# ¹ One.\n-# [a-b] Two."),
        ("a \\\nb", "a \nb"),
        ("Title\n=====\nText", "Title\n\nText"),
        ("Title\n=====\n\nText", "Title\n\nText"),
        ("Title\r\n=====\r\n\r\nText", "Title\r\n\r\nText"),
        ("a\n===", "a\n"),
        ("> Title\n> ===  \n> ===\n> Text", "> Title\n> Text"),
        ("- Title\n  ===\n- b", "- Title\n- b"),
        ("a\n==\n\n===\n```\nb\n===\n```", "a\n==\n\n===\n```\nb\n===\n```"),
        ("a\n=== b\n", "a\n=== b\n"),
    ],
)
def test_lines_of_markup(text: str, shown: str) -> None:
    assert render(text) == shown
    assert streamed(text, 1) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("&amp; &hellip; &copy; &#39; &#x41; a&nbsp;b", "& … © ' A a\xa0b"),
        ("a &lt; b, 1 &lt;2, b &gt; a", "a < b, 1 <2, b > a"),
        ("&lt;@123&gt; &lt;#1&gt; &lt;b&gt;x", r"\<@123> \<#1> \<b>x"),
        ("&gt; a\n&#35; b\n&#45; c\n1&#46; d", "\\> a\n\\# b\n\\- c\n1\\. d"),
        ("&#42;&#42;a&#42;&#42; &#95; &#96; &vert;&vert;", r"\*\*a\*\* \_ \` \|\|"),
        ("&#64;everyone https&colon;//x.test", r"\@everyone https\://x.test"),
        ("&#91;a&#93;(https://x.test)", "[a]\u2060(https://x.test)"),
        ("a&#10;# b&NewLine;c", "a # b c"),
        ("https://x.test/?a=1&amp;b=2&copy;", "https://x.test/?a=1&b=2&copy;"),
        ("a<br>b<br/>c<BR />d", "a\nb\nc\nd"),
        ("- a<br>b", "- a\n  b"),
        ("> a<br>b", "> a\n> b"),
        ("H<sub>2</sub>O, x<sup>2</sup>, y<sub>a b</sub>", r"H₂O, x², y\_(a b)"),
        ("<b>a</b> <em>b</em> <u>c</u> <del>d</del> <mark>e</mark>", "**a** *b* __c__ ~~d~~ e"),
        ("<b>a <i>b</i> $x^2$</b>", "**a *b* x²**"),
        ("<code>a&lt;b *c*</code> <kbd>`</kbd>", "`a<b *c*` `` ` ``"),
        (
            "<b>**a**</b> <i>*b* **c**</i> <u>__d__</u> <b>`**`</b>",
            "**a** *b **c*** __d__ **`**`**",
        ),
        ("a<b> b </b>c", "a **b** c"),
        ("<details>\n<summary>More</summary>\nx\n</details>", "**More**\nx\n"),
        ("<details open><summary><b>A</b></summary>b</details> c", "**A**\nb c"),
        ("> <details><summary>\n> A b\n> </summary>b", "> **A b**\n> b"),
        ("a\n\n</details>\n\nb", "a\n\n</details>\n\nb"),
        ("- <details>\n  a\n  </details>\n- b", "- \n  a\n  \n- b"),
        ("the <details> tag, </details>", "the <details> tag, </details>"),
        ("a <!-- b --> c", "a  c"),
        ("a\n<!-- b\n\n```\n--> \nc", "a\n \nc"),
        ("<!-- a -->\n<!-- b -->\n| c |\n|---|\n", "```\nc\n-\n```\n"),
        ("<!-- a -->#### b", "**b**"),
        ("`<!-`<!-- a -->`", "`<!-`\u2060`"),
        ("<!-- a, <!- b -->", ""),
        (f"<!-- {'a' * 1000} -->", f"<!-- {'a' * 1000} -->"),
        ("<!-- a", "<!-- a"),
        ("<summary>a", "<summary>a"),
    ],
)
def test_entities_and_tags(text: str, shown: str) -> None:
    """They become characters, and never markup that was not there."""
    assert render(text) == shown
    assert streamed(text, 1) == shown


@pytest.mark.parametrize(
    "text",
    [
        "- <p>: paragraph\n- <div>: block\n- <details>: fold",
        "<div>는 블록입니다. </div>로 닫습니다.",
        "1. <div> — container\n2. <div><p>: nested\n3. </div> closes it.",
        "- <div>\n- <p>\n- <center>\n\n1. <p>\n2. <div>\n",
        "- <p> and </p>\n- <div>...</div>\n- <div>is</div> a block",
        "Write this:\n\n<div>",
        "Blocks are:\n<div> <p> <section>\nand <center>.",
        "<p align='center' of it",
        f"<p>{'a' * 300}</p>",
        "[ ] <div>\n### <p>\n<section>\na\n</section>",
    ],
)
def test_a_tag_in_prose_stays(text: str) -> None:
    """No word of an answer is lost."""
    assert render(text) == text
    for size in (1, 2, 3, 7):
        assert streamed(text, size) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('<div align="center">\n\n# T\n\n</div>\n', "\n# T\n\n"),
        ("<p align='center' class=\"a b\" id=c hidden>\na\n</P>b", "a\nb"),
        ("<center>Title</center>\n<p>a b.</p> <br>\nc", "Title\na b. \n\nc"),
        ("<div><p>a</p></div>\n<div><details>\nb\n</details></div>", "a\nb\n"),
        ("<div><b>A</b>: b\n</div>c<p><!-- c -->d", "**A**: b\nc<p>\u2060d"),
        ("> <div>\n> a\n> </div>\n", "> \n> a\n> \n"),
        ("1. <details>\n\n   a\n   </details>\n2. b", "1. \n\n   a\n   \n2. b"),
        ("<center>$$\nx\n$$</center>\n", "x\n"),
        ("<div>\n*a</div>*b", "*a\u2060*b"),
        ("| <div> | <p>a</p> |\n|---|---|\n", "```\n<div>  <p>a</p>\n-----  --------\n```\n"),
        ("#### <div>\n- [ ] <p>\n", "**<div>**\n- ☐ <p>\n"),
    ],
)
def test_tags_of_blocks(text: str, shown: str) -> None:
    assert render(text) == shown
    assert render(shown) == shown
    for size in (1, 2, 3, 7):
        assert streamed(text, size) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x<br>#### T", "x\n**T**"),
        ("- x<br/>#### T\n", "- x\n  **T**\n"),
        ("x<br>=====\ny", "x\n\ny"),
        ("> x<br>===\n> y", "> x\n> \n> y"),
        ("x<br>- [ ] a", "x\n- ☐ a"),
        ("x<br>---\n", f"x\n{RULE}\n"),
        ("x<br>```\n#### T<br>\n```\n", "x\n```\n#### T<br>\n```\n"),
        ("x<br>| a |\n|---|\n", "x\n```\na\n-\n```\n"),
        ("> x<br>a | b\n> -|-\n> 1 | 2", "> x\n> ```\n> a  b\n> -  -\n> 1  2\n> ```"),
        ("a | b<br>-|-\n", "a | b\n```\na  b\n-  -\n```\n"),
        ("<summary>a</summary>#### T", "**a**\n**T**"),
        ("$$\\unknown$$ #### T", "```latex\n\\unknown\n```\n**T**"),
        ("- [ ] a\n  ===\n***\n===\n$$\\unknown$$\n===", None),
    ],
)
def test_a_line_begins_after_a_break(text: str, shown: str | None) -> None:
    once = render(text)
    assert shown is None or once == shown
    assert render(once) == once
    assert streamed(text, 1) == once


@pytest.mark.parametrize(
    "text",
    [
        "<details open>\n<summary>More <b>of</b> it</summary>\n\nx<br>y\n</details>\nz",
        "a <!-- note -->b <kbd>Ctrl</kbd> H<sub>2</sub>O <u>u</u>\n<!-- b\nc -->\n#### d",
    ],
)
def test_tags_render_the_same_wherever_they_are_cut(text: str) -> None:
    shown = render(text)
    assert "<" not in shown
    assert render(shown) == shown
    for at in range(len(text)):
        assert streamed(text, at, len(text)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[a](https://x.test/b)", "[a](https://x.test/b) (x.test)"),
        ('[a](<https://x.test/b> "title")', "[a](https://x.test/b) (x.test)"),
        ("[a](https://x.test:8080/)", "[a](https://x.test:8080/) (x.test:8080)"),
        ("[x.test](https://www.x.test/b)", "[x.test](https://www.x.test/b)"),
        ("[the **x.test** site](https://x.test)", "[the **x.test** site](https://x.test)"),
        ("[https://x.test/b](https://x.test/b)", "https://x.test/b"),
        ("[x.test](https://x.test/)", "https://x.test/"),
        ("[](https://x.test/)", "https://x.test/"),
        ("[a](https://x.test) (x.test)", "[a](https://x.test) (x.test)"),
        ("[bank.test](https://evil.test)", "[bank.test](https://evil.test) (evil.test)"),
        ("[https://bank.test/](https://evil.test)", "[bank.test/](https://evil.test) (evil.test)"),
        (
            "[bank.test](https://bank.test@evil.test)",
            "[bank.test](https://bank.test@evil.test) (evil.test)",
        ),
        (
            "[evil.test bank.test](https://evil.test)",
            "[evil.test bank.test](https://evil.test) (evil.test)",
        ),
        ("[\u202emoc.x](https://evil.test)", "[moc.x](https://evil.test) (evil.test)"),
        ("[a](https://evil.test\\@bank.test)", r"a (https://evil.test\\\@bank.test)"),
        ("[a](https://[bad)", r"a (https://[bad)"),
        ("[A](https://w.test/A_(b))", "[A](<https://w.test/A_(b)>) (w.test)"),
        ("[`a_b` $x^2$](https://x.test)", "[`a_b` x²](https://x.test) (x.test)"),
        ("[a](/b/_c_) [d](#e) [f](mailto:g@h.test)", r"a (/b/\_c\_) d (\#e) f (g\@h.test)"),
        ("[a@b.test](mailto:a@b.test) [x](javascript:y)", "a@b.test x (javascript:y)"),
        ("[a]<b></b>(https://evil.test)", "[a]\u2060(https://evil.test)"),
        ("<mark>[a]</mark>(https://evil.test)", "[a]\u2060(https://evil.test)"),
        ("[a]<mark>(https://evil.test)</mark>", "[a]\u2060(https://evil.test)"),
        ("[a](<b></b>https://evil.test)", "[a]\u2060(\u2060https://evil.test)"),
        ("[a](ht<mark>tps</mark>://evil.test)", "[a]\u2060(https://evil.test)"),
        ("[a\nb](&#104;ttps://evil.test)", "[a\nb]\u2060(https://evil.test)"),
        ("[a]&#40;https://evil.test)", "[a]\u2060(https://evil.test)"),
        ("<div>\n[a]</div>(https://evil.test)", "[a]\u2060(https://evil.test)"),
        ("[a]\n(b), [a] (b), [a](b\n[a]", "[a]\n(b), [a] (b), [a](b\n[a]"),
        ("[a\nb](https://evil.test)", "[a\nb]\u2060(https://evil.test)"),
        ("[a `b](<https://evil.test>)", "[a `b]\u2060(<https://evil.test>)"),
        (f"[{'a' * 300}](HTTPS://evil.test)", f"[{'a' * 300}]\u2060(HTTPS://evil.test)"),
        (f"[a](https://e.test/{'b' * 1500})", f"[a]\u2060(https://e.test/{'b' * 1500})"),
        ("![alt](https://x.test/i.png)", "alt: https://x.test/i.png"),
        ("![](https://x.test/i.png)", "https://x.test/i.png"),
        ("[![b](https://i.test/b)](https://x.test)", "[b](https://x.test) (x.test)"),
        (
            "한국어 [문서](https://x.test/b)를 보세요",
            "한국어 [문서](https://x.test/b) (x.test)를 보세요",
        ),
    ],
)
def test_links_show_their_target(text: str, shown: str) -> None:
    assert render(text) == shown
    assert render(shown) == shown
    assert {streamed(text, at, len(text)) for at in range(len(text))} <= {shown}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"\(x_i\), $a*b$ and $x$는", r"xᵢ, a ∗ b and x는"),
        (r"$a_{xyz}$ and $b_\text{c*d}$", "a\\_(xyz) and b\\_(c\\*d)"),
        ("$$\nE = mc^2\n$$\n", "E = mc²\n"),
        ("a $$E$$ b", "a E b"),
        (r"\[ x^2 \]", "x²"),
        (r"in \(\begin{x}\end{x}\) it", r"in `\begin{x}\end{x}` it"),
        (r"a \[\unknown\] b", "a \n```latex\n\\unknown\n```\n b".replace(" b", "b")),
        ("- $$\n  \\unknown\n  $$\n- b", "- ```latex\n  \\unknown\n  ```\n- b"),
        ("> $$\n> \\unknown\n> x\n> $$\n", "> ```latex\n> \\unknown\n> x\n> ```\n"),
        ("#### On $x^2$ and $$\\unknown$$", r"**On x² and `\unknown`**"),
        ("$$ and $$$ and $x$", "$$ and $$$ and x"),
        (r"\$x^2\$ and \\(x^2\\)", r"\$x^2\$ and \\(x^2\\)"),
        ("$x\n\ny$ $ z$", "$x\n\ny$ $ z$"),
        (r"\(a", r"\(a"),
        ("$5$ apples, $n-1$, $f(x)$, $10,000$", "5 apples, n − 1, f(x), 10,000"),
        ("$`x`$", "$`x`$"),
        (r"$> 0$ and $\text{[a](https://x.test)}$", "\\> 0 and [a]\u2060(https://x.test)"),
    ],
)
def test_mathematics(text: str, shown: str) -> None:
    assert render(text) == shown


def test_prose_is_passed_on_at_once() -> None:
    """Also within a line, and behind what turned out to be nothing."""
    renderer = Renderer()
    for delta in ("One", " two", " | three.\n", "It's 4; or", " 5", "; a * b\n", "\n", "6; 7"):
        assert renderer.write(delta) == delta


@pytest.mark.parametrize(
    ("waiting", "rest"),
    [
        (["One", " two ", "three"], " four"),
        (["> One,"], "; two"),
        (["하나, ", "둘."], " 셋 넷"),
        (["One"], "\n\n"),
        (["One ", "|"], "| two"),
        (["One |", " two\n", "--"], " two; three"),
        (["a" * 20], "a"),
    ],
)
def test_a_line_waits_while_it_may_be_a_header(waiting: list[str], rest: str) -> None:
    renderer = Renderer()
    assert renderer.write("First\n") == "First\n"
    assert [renderer.write(delta) for delta in waiting] == [""] * len(waiting)
    assert renderer.write(rest) == "".join(waiting) + rest


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A:\n\nb c | d\n:-- | --:\n1 | 2\n\ne", "A:\n\n```\nb c  d\n---  -\n1    2\n```\n\ne"),
        ("A\n**b** | `c|d`\n-|-\n", "A\n```\nb  c|d\n-  ---\n```\n"),
        ("> A\n> b | c\n> -|-\n> 1 | 2", "> A\n> ```\n> b  c\n> -  -\n> 1  2\n> ```"),
        ("A\n- b | c\n- -|-", "A\n- b | c\n- -|-"),
        ("A\nb | c\n- d\n", "A\nb | c\n- d\n"),
        *(
            (f"A\n{cell} | b\n-|-\n", f"A\n```\n{cell}  b\n{'-' * len(cell)}  -\n```\n")
            for cell in ("No.", "Version 1.2", "Key:", "Last, first name")
        ),
        ("b | c\n-|-\n", "b | c\n```\nb  c\n-  -\n```\n"),
    ],
)
def test_a_header_without_outer_pipes_is_shown_once(text: str, shown: str) -> None:
    """Except in the first line, which is sent at once."""
    assert render(text) == shown
    assert streamed(text, 1) == shown


@pytest.mark.parametrize(
    ("waiting", "rest", "shown"),
    [
        ("[a", "] b", "[a] b"),
        ("$5", " and more words", "$5 and more words"),
        ("&", " b", "& b"),
        ("####", "a", "####a"),
        ("--", "-a", "---a"),
        ("| a |", "\nb", "| a |\nb"),
        ("`a", "`", "`a`"),
        ("<", " 3", "< 3"),
        ("<!-", "a", "<!-a"),
        ("<details o", "f it", "<details of it"),
        ("\\", "a", "\\a"),
        ("- ", "[a", "- [a"),
        ("12", " a", "12 a"),
    ],
)
def test_only_text_that_may_change_waits(waiting: str, rest: str, shown: str) -> None:
    renderer = Renderer()
    assert renderer.write(waiting) == ""
    written = renderer.write(rest + " " * 2)
    assert (written + renderer.finish()).rstrip() == shown
    assert written.startswith(shown[: len(waiting)])


HOSTILE = [
    *("[", "$", "|", "`", "&", "\\", "<", "!", "#", ">", "*", "-", "_", "~", " ", "\n", "]"),
    *(
        "[a",
        "$a ",
        "$$a ",
        "`` ` ",
        "<b>",
        "\\(",
        "\\[",
        "| a\n",
        "|a|\n|-|\n",
        "|-\n",
        "- ",
        "1. ",
    ),
    *("> ", "[[a]", "[a](", "[a](b ", "`a\n", "a|b\n", "###### a ", "[^a", "https://a", "```py "),
    *(
        "[`",
        "> |a\n> |-\n",
        "| a |\n",
        "&lt;",
        "<sub>",
        "<!--",
        "<div>",
        "<div>a",
        "<p a=b ",
        "<p>\n</p>",
        "<br>",
        "a<br>=",
        "- <b></b>",
        "(((",
        "\\frac{",
        "$\\frac{",
        "{{",
    ),
]


@pytest.mark.parametrize("fragment", HOSTILE)
def test_no_text_waits_long_or_takes_long(fragment: str) -> None:
    """The work is linear in the text."""
    text = (fragment * 100_000)[:100_000]
    began = time.process_time()
    renderer = Renderer()
    for start in range(0, len(text), 50):
        renderer.write(text[start : start + 50])
    assert time.process_time() - began < GRACE_SECONDS
    assert len(renderer.finish()) <= HELD_AT_MOST


def test_a_table_without_end_comes_in_blocks() -> None:
    rows = [f"| row {number} | cell |" for number in range(2000)]
    renderer = Renderer()
    shown = renderer.write("\n".join(["| a | b |", "|---|---|", *rows, "", ""]))
    blocks = [block.splitlines() for block in shown.split("```")[1::2]]
    assert len(blocks) > 3
    assert {tuple(block[1].split()) for block in blocks} == {("a", "b")}
    numbers = [int(line.split()[1]) for block in blocks for line in block[3:]]
    assert all(after == before + 1 for before, after in pairwise(numbers))
    assert len(numbers) == 2000
