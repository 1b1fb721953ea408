"""Every masked link shows its host if Discord does not see code there."""

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.markdown.renderer import Renderer, render
from bot.markdown.splitter import split

EVIL = "[google.com](https://evil.example)"
BROKEN = "[google.com]\u2060(https://evil.example)"
TOLD = f"{EVIL} (evil.example)"

# What Discord's clients read, in this order at each place.
_ESCAPE = re.compile(r"\\[^0-9A-Za-z\s]")
_BLOCK = re.compile(r"```(?:[a-z0-9_+\-.#]+?\n)?\n*[^\n].*?\n*```", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(
    r"\[((?:\[[^\]]*\]|[^\[\]]|\](?=[^\[]*\]))*)\]\(\s*<?((?:[^\s\\)]|\\.)*?)>?\s*\)", re.DOTALL
)
_URL = re.compile(r"https?://[^\s<]+[^<.,:;\"'\]\s]")
_MARKED = re.compile(
    r"\*\*((?:\\.|[^\\])+?)\*\*(?!\*)|__((?:\\.|[^\\])+?)__(?!_)"
    r"|_((?:__|\\.|[^\\_])+?)_\b|\*(?=\S)((?:\*\*|\s+(?:[^*\s]|\*\*)|[^\s*])+?)\*(?!\*)"
    r"|~~(.+?)~~(?!_)|\|\|(.+?)\|\|",
    re.DOTALL,
)
_SPAN = re.compile(r"(`+)(.*?[^`])\1(?!`)", re.DOTALL)


def masked(text: str) -> Iterator[str]:
    """Yield what follows each masked link."""
    at = 0
    while at < len(text):
        if code := _ESCAPE.match(text, at) or _BLOCK.match(text, at):
            at = code.end()
        elif link := _LINK.match(text, at):
            if link[2].startswith("http"):
                yield text[link.end() :]
                at = link.end()
            else:
                at += 1
        elif marked := _MARKED.match(text, at):
            inner = next(filter(None, marked.groups()))
            yield from masked(inner)
            at = marked.end()
        elif skipped := _URL.match(text, at) or _SPAN.match(text, at):
            at = skipped.end()
        else:
            at += 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"~~~\n{EVIL}\n~~~", f"```\n{EVIL}\n```"),
        (f"~~~ a `b`\n{EVIL}\n~~~~ \n", f"```a\n{EVIL}\n``` \n"),
        (f"````md\n```\n{EVIL}\n```\n````\n", f"```md\n``\u200b`\n{EVIL}\n``\u200b`\n```\n"),
        (f"```\nx ``` {EVIL}\n```", f"```\nx ``\u200b` {EVIL}\n```"),
        (f"> ~~~\n> {EVIL}\n> ~~~", f"> ```\n> {EVIL}\n> ```"),
        ("~~~\n`````\n~~~", "```\n``\u200b``\u200b`\n```"),
        (f"```\n```\n{EVIL}", f"```\n\u200b\n```\n{TOLD}"),
        (f"> ```\n> ```\n{EVIL}", f"> ```\n> \u200b\n> ```\n{TOLD}"),
    ],
)
def test_code_is_recognised_as_discord_does(text: str, shown: str) -> None:
    assert render(text) == shown
    assert render(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "See [google.com/`](https://evil.example) or `x`.",
        f"``` a ```` {EVIL} ```",
        f"```` a ``` {EVIL} ````",
        f"a ` b\n\n`{EVIL}`",
        f"a ``` b\n\n```\n{EVIL}\n```",
        f"**a `b** {EVIL}`",
        f"**a `{EVIL}** b`",
        f"snake_case and other_name `x_ {EVIL}`",
        f"**a\n```\nb** {EVIL}\n```",
        "[google.com/\n```\n](https://evil.example)\n```",
        f"Like this: ```py\n{EVIL}",
        "[]\n```\n](https://evil.example)\n```",
        f"https://x.test/<code>{EVIL}</code>",
        f"__~~a__~~~\n```\n{EVIL}~~\n```",
        "[google.com\n```](\n\nhttps://x.test/",
        "[x] `](https://evil.example)`",
        r"[google.com\](https://evil.example)",
        f"Like this: ```py\na ```` \n```\n{EVIL}\n```",
        f"#### a ` b\n`{EVIL}`",
        f"a ``` b\n\n| c |\n|---|\n| `{EVIL}` |\n",
        rf"a ``` b $$\unknown {EVIL}$$",
        f"[google.com\n]({' ' * 60}https://evil.example)",
    ],
)
def test_masked_links_in_doubtful_code_are_broken(text: str) -> None:
    shown = render(text)
    assert "](" not in shown
    assert shown.count("]\u2060(") == 1
    assert render(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        f"Write `{EVIL}`, `![a](https://b.test)` or ``` {EVIL} ```.",
        f"**Like** _this_ ~~so~~ [a]: x[0], 2 * 3, `a_b` and https://x.test/a_b `{EVIL}`\n",
        f"See [a](https://x_y.test/) (x\\_y.test):\n\n```md\n{EVIL}\n```\n",
        f"> ```\n> {EVIL}\n> ```\n",
    ],
)
def test_links_in_code_stay(text: str) -> None:
    assert render(text) == text


PIECES = st.sampled_from(
    [
        *(
            "```",
            "```py\n",
            "\n```\n",
            "\n```",
            "~~~\n",
            "\n~~~\n",
            "````\n",
            "\n````\n",
            "`",
            "``",
        ),
        *("\n", "\n\n", " ", "> ", "- ", "**", "*", "_", "__", "~~", "||", "[", "]", "](", ")"),
        *("a", "word ", "x_y", "\\", "\\`", EVIL, EVIL, "](https://evil.example)", "[google.com/"),
        *("| a | b |\n|---|---|\n", "| ", "#### ", "<b>", "</b>", "<code>", "</code>", "$x$", "$$"),
        *("\\unknown", "https://x.test/", "text " * 40),
    ]
)
TEXTS = st.lists(PIECES, max_size=25).map("".join)


@settings(max_examples=1500, derandomize=True)
@given(TEXTS, st.integers(1, 9))
def test_no_link_is_masked_without_its_host(text: str, size: int) -> None:
    renderer = Renderer()
    pieces = [renderer.write(text[at : at + size]) for at in range(0, len(text), size)]
    shown = "".join(pieces) + renderer.finish()
    assert shown == render(text)
    for behind in itertools.chain.from_iterable(map(masked, split(shown))):
        assert behind.startswith(" (evil.example)"), shown


FENCES = st.tuples(
    st.sampled_from(["", "> ", "- ", "  "]),
    st.sampled_from(["```", "~~~", "````", "~~~~~", "```py", "~~~ `x`", "```` md"]),
    st.lists(
        st.sampled_from(["```", "~~~", "x ``` y", "````", "`", "``", "code", ""]), max_size=40
    ),
)


@settings(max_examples=1000, derandomize=True)
@given(st.lists(FENCES, max_size=4), st.booleans(), st.integers(60, 300))
def test_fences_are_balanced_in_each_part(
    fences: list[tuple[str, str, list[str]]], is_closed: bool, limit: int
) -> None:
    """As Discord sees them: three backticks anywhere open and close."""
    lines: list[str] = []
    for margin, opening, code in fences:
        run = re.match(r"`+|~+", opening)
        assert run is not None
        further = margin.replace("-", " ")
        lines += ["Text", margin + opening]
        lines += [further + line for line in code if not line.startswith(run[0])]
        lines += [further + run[0]]
    shown = render("\n".join(lines if is_closed else lines[:-1]))
    for part in split(shown, limit):
        assert part.count("```") % 2 == 0
