"""The invariants of the splitter, by tables and on random texts."""

from __future__ import annotations

import itertools
import random
import re
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.markdown import splitter as splitting
from bot.markdown.characters import is_boundary
from bot.markdown.splitter import MESSAGE_LIMIT, MINIMUM_LIMIT, Splitter, beginning, split

if TYPE_CHECKING:
    from collections.abc import Iterator

# Markdown as models write it, and as they should not, from a seed.

_WORDS: Final = [
    *("the", "a", "of", "answer", "because", "however", "Discord", "message", "part", "limit"),
    *("supercalifragilisticexpialidocious", "don't", "e.g.", "3.14", "snake_case_name", "x*y"),
    *("это", "ответ", "модели", "сообщение", "предложение", "é", "n\u0303o\u0308"),
    *("대답", "메시지를", "나누는", "방법은", "다음과", "같습니다", "a\u0301\u0323\u0302"),
    *("नमस्ते", "क्षेत्रज्ञ", "विद्यार्थी", "สวัสดีครับ", "ข้อความ", "مرحبا", "بالعالم"),
    *("\u1112\u1161\u11ab\u1100\u1173\u11af", "👍", "👩\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈"),
    *("🇩🇪🇫🇷🇯🇵", "👋🏽", "1\ufe0f\u20e3", "❤️", "🏴\U000e0067\U000e0062\U000e007f"),
]
_UNSPACED: Final = (
    "你好，世界。",
    "这是一个很长的句子",
    "日本語の文章です。",
    "カナー",
    "「引用」",
)
_LANGUAGES: Final = ("", "", "python", "js", "c++", "text", 'py title="a b"', "日本")
_MENTIONS: Final = ("<@123456789>", "<:blob:987654321>", "<#42>", "<t:1700000000:R>")


def words(rng: random.Random, count: int) -> str:
    return " ".join(_inline(rng) for _ in range(count))


def _inline(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.8:
        return rng.choice(_WORDS) + rng.choice(("", "", "", "", ",", ".", "!"))
    return rng.choice((_unspaced, _span, _long_word))(rng)


def _unspaced(rng: random.Random) -> str:
    return "".join(rng.choices(_UNSPACED, k=rng.randint(1, 6)))


def _span(rng: random.Random) -> str:
    inner = " ".join(rng.choices(_WORDS, k=rng.randint(1, 4)))
    shape = rng.choice(("`{}`", "``{}``", "**{}**", "_{}_", "~~{}~~", "[{}](https://x.test/a?b=c)"))
    return rng.choice((shape.format(inner), rng.choice(_MENTIONS), "**", "`", "["))


def _long_word(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return "https://example.test/" + "".join(rng.choices("abc/%?=&-", k=rng.randint(5, 80)))
    return rng.choice(("é", "x", "한", "👨\u200d🚀", "🇩🇪")) * rng.randint(5, 40)


def paragraph(rng: random.Random) -> str:
    return "\n".join(words(rng, rng.randint(1, 25)) for _ in range(rng.randint(1, 3)))


def heading(rng: random.Random) -> str:
    return "#" * rng.randint(1, 4) + " " + words(rng, rng.randint(1, 5))


def bullets(rng: random.Random) -> str:
    lines = []
    for number in range(rng.randint(1, 8)):
        marker = rng.choice(("-", "*", f"{number + 1}.", "- [ ]"))
        lines.append("  " * rng.randint(0, 3) + f"{marker} {words(rng, rng.randint(1, 15))}")
        if rng.random() < 0.1:
            lines.append("    " + words(rng, 4))
    return "\n".join(lines)


def table(rng: random.Random) -> str:
    width = rng.randint(1, 4)
    rows = [
        "| " + " | ".join(words(rng, rng.randint(1, 3)) for _ in range(width)) + " |"
        for _ in range(rng.randint(2, 8))
    ]
    rows.insert(1, "|" + " --- |" * width)
    return "\n".join(rows)


def code_line(rng: random.Random) -> str:
    if rng.random() < 0.03:
        return "data = [" + "0x1f, " * rng.randint(20, 300) + "]"
    kind = rng.choice(("", "return {}", "x = '{}'", "    if {}:", "\t{}", "  # {}", "``{}``"))
    return kind.format(" ".join(rng.choices(_WORDS, k=rng.randint(1, 8))))


def code_block(rng: random.Random) -> str:
    margin = rng.choice(("", "", "", "  ", "    ", "- "))
    run = rng.choice(("```", "```", "```", "````", "`````", "~~~", "~~~~"))
    lines = [code_line(rng) for _ in range(rng.randint(0, 25))]
    if run not in {"```", "~~~"} and rng.random() < 0.5:
        lines[1:1] = [run[:3] + "md", "inner", run[:3]]
    indent = " " * len(margin)
    body = "".join(f"{indent}{line}\n" for line in lines)
    return f"{margin}{run}{rng.choice(_LANGUAGES)}\n{body}{indent}{run}"


def quote(rng: random.Random) -> str:
    return "\n".join("> " + words(rng, rng.randint(1, 12)) for _ in range(rng.randint(1, 4)))


def oddity(rng: random.Random) -> str:
    return rng.choice(
        (
            "---",
            "```inline``` at the beginning of a line",
            "text ```python\nprint()\n```",
            "```python\nnever closed",
            "\n" * rng.randint(1, 60),
            " " * rng.randint(1, 60),
            "`" * rng.randint(1, 200),
            "~" * rng.randint(1, 200),
            "```" + "i" * rng.randint(1, 200),
            "a\u0301" + "\u0302" * rng.randint(1, 60),
            "x\u0000y \u200b \ufeff \x85 \u2028 z",
            "\ud83d lone \udc4d surrogates",
            "Title\n=====",
            "    indented code",
            "****" * rng.randint(1, 30),
            "[" * rng.randint(1, 60),
            "> ```py\n> quoted = 1\n> ```",
        )
    )


_BLOCKS: Final = (paragraph, paragraph, heading, bullets, table, code_block, code_block, quote)


def markdown_text(rng: random.Random, length: int) -> str:
    """Return a text of very roughly *length* characters."""
    blocks: list[str] = []
    size = 0
    while size < length:
        block = oddity(rng) if rng.random() < 0.1 else rng.choice(_BLOCKS)(rng)
        blocks.append(block + rng.choice(("\n\n", "\n\n", "\n\n", "\n", "\n\n\n\n")))
        size += len(blocks[-1])
    text = "".join(blocks)
    if rng.random() < 0.1:
        text = text.replace("\n", "\r\n")
    if rng.random() < 0.1:
        text = text[: rng.randint(0, len(text))]
    return text


LIMITS = (MINIMUM_LIMIT, 20, 40, 100, 300, 1000, MESSAGE_LIMIT)
FENCE = re.compile(r"[ \t]*(?:>[ \t]*|(?:[-*+•]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*$)|~{3,})(.*)$")

SPACE = re.compile(r"\s*")
CLOSING_LINE = re.compile(r"\s*^[ \t>]*(?:`{3,}|~{3,})[ \t\r]*$\s*", re.MULTILINE)

nasty_texts = st.lists(
    st.sampled_from(
        [
            *("```", "```py\n", "\n```\n", "~~~", "\n~~~\n", "````", "`", "``", "\n", "\r\n", " "),
            *(
                "    ",
                "- ",
                "1. ",
                "| a | b |\n",
                "|---|---|\n",
                "# ",
                "> ",
                "**",
                "](",
                "[",
                "<@1>",
            ),
            *("\u0301", "\u200d", "👩", "🇩🇪", "\ud800", "\x00", "\u200b", "क्ष", "ᄒ", "ᅡ", "한"),
            *("word", "。", "，", "漢", "x" * 40, ". ", "\t", "\x85", "https://a.test/b"),
        ]
    ),
    max_size=80,
).map("".join)


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Fence(NamedTuple):
    run: str
    info: str


def open_fence(text: str) -> Fence | None:
    """Return the fence that *text* leaves open, read line by line as CommonMark does."""
    fence: Fence | None = None
    for line in text.split("\n"):
        if fence is None:
            match = FENCE.match(line)
            fence = Fence(match[1], match[2].strip()) if match else None
        elif re.fullmatch(rf"[ \t>]*{fence.run[0]}{{{len(fence.run)},}}[ \t\r]*", line):
            fence = None
    return fence


class Slice(NamedTuple):
    """The range of the text that a part shows, without the fences added around it."""

    start: int
    end: int
    cut: bool  # in a code block: closed at the end of this part, opened again in the next


def slices(text: str, parts: list[str]) -> list[Slice]:
    """Find *parts* in *text*: exact, in order, with nothing but white space between them.

    Several readings are followed at a time: a closing fence does not tell who wrote it.
    """
    readings: dict[tuple[int, bool], list[Slice]] = {(0, False): []}
    for part in parts:
        readings = {
            (found.end, found.cut): [*before, found]
            for (end, cut), before in readings.items()
            for found in _next_slices(text, part, end, cut=cut)
        }
    complete = [
        found
        for (end, _), found in readings.items()
        if any(not visible(text[start:]) for start in _starts(text, end, in_code=False))
    ]
    assert complete, f"not the slices of the text: {parts!r}"
    return complete[0]


def _next_slices(text: str, part: str, end: int, *, cut: bool) -> Iterator[Slice]:
    if cut:
        opening, _, part = part.partition("\n")
        if not FENCE.match(opening):
            return
    body, _, closing = part.rpartition("\n")
    written_by_us = [body] if re.fullmatch(r"[ \t>]*(`{3,}|~{3,})", closing) else []
    for shown in (part, *written_by_us):
        for start in _starts(text, end, in_code=cut):
            if text.startswith(shown, start):
                yield Slice(start, start + len(shown), cut=False)
                if shown is body:
                    yield Slice(start, start + len(shown), cut=True)


def _starts(text: str, end: int, *, in_code: bool) -> set[int]:
    """Return where the next slice may start if the last one ended at *end*."""
    if in_code:
        return {end, end + 1} if text.startswith("\n", end) else {end}
    # What cannot be seen may be left out, and a closing fence whose place ours took.
    seen = next((i for i in range(end, len(text)) if visible(text[i])), len(text))
    gaps = (SPACE.match(text, end), CLOSING_LINE.match(text, end))
    return {seen, *(gap.end() for gap in gaps if gap)}


def visible(text: str) -> bool:
    return any(not c.isspace() and unicodedata.category(c) not in {"Cc", "Cf"} for c in text)


def check_parts(text: str, parts: list[str], limit: int) -> None:
    """Check the laws that hold for all texts."""
    for part in parts:
        assert units(part) <= limit
        assert part == part.strip()
        assert visible(part)
        assert open_fence(part) is None
    found = slices(text, parts)
    for before, cut, after in zip(parts, found, parts[1:], strict=False):
        opening = after.partition("\n")[0]
        # In a heap of backticks, it may be the text's own fence.
        if cut.cut and not text[cut.end :].lstrip().startswith(opening):
            check_reopened(before, after, limit)
    for cut in found[:-1]:
        check_cluster_is_whole(text, cut.end, limit)


def check_reopened(before: str, after: str, limit: int) -> None:
    fence = open_fence(before.rpartition("\n")[0])
    match = FENCE.match(after.partition("\n")[0])
    assert fence is not None
    assert match is not None
    reopened = Fence(match[1], match[2].strip())
    if units(fence.run) * 2 + units(fence.info) + 10 <= limit // 2:
        assert reopened == fence
    else:
        assert fence.run.startswith(reopened.run)
        assert fence.info.startswith(reopened.info)


def check_cluster_is_whole(text: str, index: int, limit: int) -> None:
    # A line end before our closing fence is not counted as part of the slice.
    if is_boundary(text, index) or text[index] == "\n":
        return
    first = next(i for i in range(index, -1, -1) if is_boundary(text, i))
    last = next(i for i in range(index, len(text) + 1) if is_boundary(text, i))
    assert units(text[first:last]) > limit // 4 - 2, "a character is torn"


def check_stream(text: str, parts: list[str], limit: int, rng: random.Random) -> None:
    splitter = Splitter(limit)
    size = rng.choice((1, 4, 4, 20, 200, 5000))
    looks = {rng.randrange(len(text) + 1) // size for _ in range(3)}
    for number, start in enumerate(range(0, len(text), size)):
        splitter.write(text[start : start + size])
        if number in looks:
            assert splitter.sealed == parts[: len(splitter.sealed)]
            check_open_part(splitter.open_part, limit)
    assert splitter.sealed == parts[: len(splitter.sealed)]
    assert splitter.finish() == parts


def check_open_part(part: str, limit: int) -> None:
    assert units(part) <= limit
    assert part == part.strip()
    assert not part or visible(part)
    assert open_fence(part) is None


def test_thousands_of_texts_keep_the_invariants(thorough: bool) -> None:
    for seed in range(10_000 if thorough else 2_000):
        rng = random.Random(seed)
        limit = rng.choice(LIMITS)
        text = markdown_text(rng, rng.randint(0, limit * 3 // 2))[: limit * 5]
        try:
            parts = split(text, limit)
            check_parts(text, parts, limit)
            check_stream(text, parts, limit, rng)
        except Exception as error:
            error.add_note(f"seed={seed} limit={limit}")
            raise


@settings(max_examples=150, derandomize=True)
@given(nasty_texts, st.sampled_from(LIMITS), st.randoms(use_true_random=False))
def test_fragments_of_syntax_keep_the_invariants(text: str, limit: int, rng: random.Random) -> None:
    parts = split(text, limit)
    check_parts(text, parts, limit)
    check_stream(text, parts, limit, rng)


@settings(max_examples=100, derandomize=True)
@given(st.text(max_size=200), st.sampled_from((MINIMUM_LIMIT, 40)))
def test_every_part_fits_and_renders_by_itself(text: str, limit: int) -> None:
    check_parts(text, split(text, limit), limit)


def test_rows_that_fit_are_never_split() -> None:
    """Of any height before them: a row of a table or a list that fits is moved whole."""
    for seed in range(150):
        rng = random.Random(seed)
        limit = rng.choice((100, 300, MESSAGE_LIMIT))
        makers = (bullets, table, paragraph)
        blocks = [rng.choice(makers)(rng) for _ in range(limit // 15)]
        blocks += ["- " + "wide " * (limit // 5 - 2) + "row" for _ in range(3)]
        rng.shuffle(blocks)
        text = "\n\n".join(blocks)
        shown = {line.strip() for part in split(text, limit) for line in part.split("\n")}
        for line in text.split("\n"):
            if re.match(r"\s*([-*|]|\d+\.) ", line) and units(line.strip()) <= limit:
                assert line.strip() in shown, f"{seed=} {limit=}"


def test_code_keeps_its_lines() -> None:
    """No line is lost, doubled, changed or added, blank ones and indentation included."""
    for seed in range(300):
        rng = random.Random(seed)
        code = [code_line(rng)[:1500] for _ in range(rng.randint(1, 400))]
        fence = rng.choice(("```", "````", "~~~"))
        parts = split(f"{fence}python\n" + "\n".join(code) + f"\n{fence}")
        for part in parts:
            assert part.startswith(f"{fence}python\n")
            assert part.endswith(f"\n{fence}")
        assert [line for part in parts for line in part.split("\n")[1:-1]] == code, f"{seed=}"


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        pytest.param("", 20, [], id="nothing"),
        pytest.param(" \n\t\r\n ", 20, [], id="white space"),
        pytest.param("\x00\u200b", 20, [], id="nothing visible"),
        pytest.param("short", 20, ["short"], id="short"),
        pytest.param("twelve chars\n\nnext", 16, ["twelve chars", "next"], id="paragraph"),
        pytest.param("twelve chars\nnext", 16, ["twelve chars", "next"], id="line"),
        pytest.param("twelve chars next", 16, ["twelve chars", "next"], id="word"),
        pytest.param("One more. And two", 16, ["One more.", "And two"], id="sentence"),
        pytest.param("a\n\nbbbb bbbb bbbb bbbb", 20, ["a\n\nbbbb bbbb bbbb", "bbbb"], id="no tiny"),
        pytest.param("x" * 21, 20, ["x" * 20, "x"], id="no gap at all"),
        pytest.param("👍" * 11, 20, ["👍" * 10, "👍"], id="two units each"),
        pytest.param("🇩🇪" * 6, 20, ["🇩🇪" * 5, "🇩🇪"], id="flags"),
        pytest.param(
            "一二三四。五六七八九十一二三四五六七八九",
            16,
            ["一二三四。五六七八九十一二三四五", "六七八九"],
            id="unspaced script",
        ),
        pytest.param(
            "一二三四五六七八九十一二三四五「六七」",
            16,
            ["一二三四五六七八九十一二三四五", "「六七」"],
            id="no opening mark last",
        ),
        pytest.param(
            "introduction\n# Heading\nwith more text",
            24,
            ["introduction", "# Heading\nwith more text"],
            id="heading goes along",
        ),
        pytest.param(
            "some intro\n| a | b |\n|---|---|\n| 1 | 2 |",
            34,
            ["some intro", "| a | b |\n|---|---|\n| 1 | 2 |"],
            id="table header goes along",
        ),
        pytest.param(
            "- one two\n- three four five",
            20,
            ["- one two", "- three four five"],
            id="list item is whole",
        ),
        pytest.param("hi\n- three four five", 18, ["hi", "- three four five"], id="even early"),
        pytest.param(
            "hi\n- three four five six", 18, ["hi\n- three four", "five six"], id="too long"
        ),
        pytest.param(
            "see also: `some code here` ok", 20, ["see also:", "`some code here` ok"], id="span"
        ),
        pytest.param(
            "the [link text](http://a.b) ok then",
            26,
            ["the [link text](http://a.b", ") ok then"],
            id="link begins too early",
        ),
        pytest.param(
            "the whole [link](http://a.b) ok",
            20,
            ["the whole", "[link](http://a.b)", "ok"],
            id="link",
        ),
        pytest.param(
            "hello you there <@123456>", 20, ["hello you there", "<@123456>"], id="mention"
        ),
        pytest.param(
            "say this now **bold text** ok", 20, ["say this now", "**bold text** ok"], id="bold"
        ),
        pytest.param(
            "```py\na = 1\nb = 2\nc = 3\n```",
            22,
            ["```py\na = 1\nb = 2\n```", "```py\nc = 3\n```"],
            id="code",
        ),
        pytest.param(
            "```py\na = 1\n\nb = 2\n```",
            20,
            ["```py\na = 1\n\n```", "```py\nb = 2\n```"],
            id="blank line of code",
        ),
        pytest.param(
            "before it\n```py\na = 1\n```",
            20,
            ["before it", "```py\na = 1\n```"],
            id="fence goes along",
        ),
        pytest.param(
            "- ```py\n  a = 1\n  b = 2\n  ```",
            24,
            ["- ```py\n  a = 1\n  ```", "```py\n  b = 2\n  ```"],
            id="code in a list",
        ),
        pytest.param(
            "> ```py\n> a = 1\n> b = 2\n> ```",
            24,
            ["> ```py\n> a = 1\n> ```", "> ```py\n> b = 2\n> ```"],
            id="code in a quote",
        ),
        pytest.param(
            "~~~py\na = 1\nb = 2\n~~~", 20, ["~~~py\na = 1\n~~~", "~~~py\nb = 2\n~~~"], id="tildes"
        ),
        pytest.param(
            "````md\n```\na\n```\nbbbbbb\n````",
            26,
            ["````md\n```\na\n```\n````", "````md\nbbbbbb\n````"],
            id="longer fence",
        ),
        pytest.param(
            "``` py\na = 1\nb = 2\nc = 3\n```",
            24,
            ["``` py\na = 1\nb = 2\n```", "``` py\nc = 3\n```"],
            id="space before the language",
        ),
        pytest.param("```python", 20, ["```python\n```"], id="only an opening"),
        pytest.param("```python\na", 20, ["```python\na\n```"], id="never closed"),
        pytest.param("one ```two``` three", 20, ["one ```two``` three"], id="inline"),
        pytest.param(
            "```a\n1\n```\n```b\n2\n```", 16, ["```a\n1\n```", "```b\n2\n```"], id="two blocks"
        ),
        pytest.param(
            "x" * 1995 + "```python\n1\n```",
            2000,
            ["x" * 1995, "```python\n1\n```"],
            id="fence in the middle of a line",
        ),
    ],
)
def test_text_is_cut_at_the_best_place(text: str, limit: int, parts: list[str]) -> None:
    assert split(text, limit) == parts


@pytest.mark.parametrize(
    "text",
    [
        "`" * 5000,
        "~" * 5000,
        "```\n" + "`" * 5000 + "\n```",
        "```\n" + "x" * 1990 + "`" * 5000,
        "```" + "i" * 3000 + "\ncode\n```\nafter",
        "`" * 900 + "py\n" + "code\n" * 900 + "`" * 900,
        "x" * 1995 + "\n```python\nprint(1)\n```",
        " " * 3000 + "```py\ncode\n" + " " * 3000 + "```",
        "1. item\n\n    ```py\n" + "    code()\n" * 400 + "    ```\n2. item",
        "```py\n" + "\n" * 3000 + "```",
        "a\u0301" + "\u0302" * 5000,
        "👩" + "\u200d👩" * 3000,
        "🇩" * 3001,
        "\ud83d" * 3000,
        "\udc4d\ud83d" * 1500,
        "a\x00" * 1500,
        "> " * 2000 + "```",
        "[" * 3000,
        "**" * 2000,
        "\n".join("# heading" for _ in range(400)),
        "\n".join("`" * n for n in range(80)),
        "|" * 5000,
        "word\r" * 1000,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_nasty_text_keeps_the_invariants(text: str) -> None:
    parts = split(text)
    check_parts(text, parts, MESSAGE_LIMIT)
    check_stream(text, parts, MESSAGE_LIMIT, random.Random(0))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        (" \n", ""),
        ("text\n`", "text"),
        ("text\n```py", "text"),
        ("text\n```python\n", "text"),
        ("text\n```python\nx", "text\n```python\nx\n```"),
        ("text\n```python\nx\n``", "text\n```python\nx\n```"),
        ("text\n```python\nx\n```", "text\n```python\nx\n```"),
        ("text\n```python\nx\n```\nmore", "text\n```python\nx\n```\nmore"),
        ("- ```sh\n  ls", "- ```sh\n  ls\n  ```"),
        ("text `inline", "text `inline"),
        ("~~~\nx\n~", "~~~\nx\n~~~"),
    ],
)
def test_an_open_part_has_no_broken_markup(text: str, shown: str) -> None:
    splitter = Splitter()
    splitter.write(text)
    assert splitter.open_part == shown


def test_a_full_part_is_shown_before_it_is_sealed() -> None:
    """Beyond the limit by less than the lookahead, the part is shown as it would be sealed."""
    splitter = Splitter()
    splitter.write("word " * (MESSAGE_LIMIT // 5) + "more ")
    assert splitter.sealed == []
    assert splitter.open_part == ("word " * (MESSAGE_LIMIT // 5)).rstrip()


def test_a_row_that_may_fit_waits_only_for_its_end() -> None:
    splitter = Splitter()
    splitter.write("x" * 300 + "\n- " + "y" * 1900)
    assert splitter.sealed == []
    splitter.write("\n")
    assert splitter.sealed == ["x" * 300]


def test_parts_are_at_least_half_full_or_were_ended_by_a_row() -> None:
    """So a reply of n characters makes about 2n / limit parts at most."""
    for seed in range(300):
        rng = random.Random(seed)
        text = paragraph(rng)
        while len(text) < 3 * MESSAGE_LIMIT:
            maker = rng.choice((paragraph, code_block))
            text += "\n\n" + maker(rng)
        parts = split(text)
        for part, following in itertools.pairwise(parts):
            is_half_full = units(part) * 2 >= MESSAGE_LIMIT
            assert is_half_full or units(part) + units(following) > MESSAGE_LIMIT, f"{seed=}"


def test_limit_too_small_for_a_fence_is_refused() -> None:
    with pytest.raises(ValueError, match=str(MINIMUM_LIMIT)):
        Splitter(MINIMUM_LIMIT - 1)


@pytest.mark.parametrize("delta_size", [4, 100_000])
def test_splitting_takes_linear_time(delta_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in characters that a cut looks at: about one and a half for each that is written."""
    looked_at = 0

    class CountingPage(splitting._Page):
        def __init__(self, text: str, limit: int, fence: splitting._Fence | None) -> None:
            nonlocal looked_at
            looked_at += len(text)
            super().__init__(text, limit, fence)

    monkeypatch.setattr(splitting, "_Page", CountingPage)
    text = markdown_text(random.Random(1), 100_000)[:100_000]
    splitter = Splitter()
    for start in range(0, len(text), delta_size):
        splitter.write(text[start : start + delta_size])
    splitter.finish()
    assert looked_at < 2.5 * len(text)


def test_beginning_of_a_text_is_a_prefix_of_the_beginning_of_a_longer_one() -> None:
    """At every length. It fits and ends with a word, or in code with a line."""
    rng = random.Random(11)
    for _ in range(300):
        text = markdown_text(rng, rng.randint(10, 600))
        limit = rng.choice((40, 200, 500))
        whole = beginning(text, limit)
        assert units(whole) <= limit
        part = beginning(text[: rng.randint(0, len(text))], limit)
        if open_fence(whole) is None and open_fence(part) is None:
            assert _plain(whole).startswith(_plain(part))


def _plain(text: str) -> str:
    """Return *text* without white space, and without what may close a fence at its end."""
    return "".join(text.split()).rstrip("`~>")


@pytest.mark.parametrize(
    ("text", "limit", "begins"),
    [
        ("one two three", 40, "one two"),
        ("one two three ", 9, "one two"),
        ("one\ntwo", 40, "one"),
        ("see [two words](https://x.y) and", 17, "see"),
        ("- one\n- two\n- three", 40, "- one\n- two"),
        ("```py\na = 1\nb = 2\nc", 40, "```py\na = 1\nb = 2\n```"),
        ("```py\na = 1\nb = 2\nc", 16, "```py\na = 1\n```"),
        ("a\n```py\n", 40, "a"),
        ("unbroken", 40, ""),
    ],
)
def test_beginnings_of_texts(text: str, limit: int, begins: str) -> None:
    assert beginning(text, limit) == begins
