"""Tables become code blocks, or lists if they are too wide."""

import pytest

from bot.markdown.renderer import Renderer, render
from bot.markdown.tables import MAX_COLUMNS, MAX_WIDTH, alignments, cells, width


def table(*rows: str) -> str:
    header, *others = rows
    return "\n".join([header, "|---" * (header.count("|") - 1) + "|", *others])


def shown(text: str) -> list[str]:
    """Return the lines of the block that *text* becomes."""
    opening, *lines, closing = render(text).splitlines()
    assert (opening, closing) == ("```", "```")
    return lines


def test_columns_are_aligned_by_the_delimiter() -> None:
    assert shown(
        "| a | bb | c | d |\n|:-|-:|:-:|-|\n| aaaa | b | ccccc | d |\n| a | bbb | c | |"
    ) == [
        "a      bb    c    d",
        "----  ---  -----  -",
        "aaaa    b  ccccc  d",
        "a     bbb    c",
    ]


def test_east_asian_letters_count_two() -> None:
    lines = shown(table("| 도시 | 人口 | x |", "| 서울특별시 | 九百万 | 1 |", "| Rome | 28 | 2 |"))
    assert lines == [
        "도시        人口    x",
        "----------  ------  -",
        "서울특별시  九百万  1",
        "Rome        28      2",
    ]
    assert len(set(map(width, lines))) == 1


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("abc", 3),
        ("한국어", 6),
        ("\u1112\u1161\u11ab", 2),
        ("ｱｲｳ", 3),
        ("Ａ。", 4),
        ("e\u0301x\u200by", 3),
        ("👍", 2),
        ("👍🏽", 2),
        ("👩\u200d👩\u200d👧", 2),
        ("❤\ufe0f", 2),
        ("🇰🇷", 2),
        ("1\ufe0f\u20e3", 2),
        ("สวัสดี", 4),
    ],
)
def test_width_is_counted_in_terminal_columns(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("cell", "plain"),
    [
        ("**bold** _it_ ~~no~~ ***x***", "bold it no x"),
        ("`**code**` snake_case_name 2 * 3 * 4", "**code** snake_case_name 2 * 3 * 4"),
        (r"\*no\* a\_b", "*no* a_b"),
        ("[text](https://x.test/y)", "text (x.test)"),
        ("[x.test](https://x.test/y)", "x.test"),
        ("![alt](https://x.test/i)", "alt: https://x.test/i"),
        (r"$x^2$ \(a_i\) $\unknown$", r"x² aᵢ \unknown"),
        ("&lt;@1&gt; &amp; &#42;", "<@1> & *"),
        ("<b>x</b> H<sub>2</sub>O", "x H₂O"),
        (r"a \| b", "a | b"),
        (r"`a \| b`", "a | b"),
        ("`a || b`", "a || b"),
        ("a[^1]", "a¹"),
        ("- [ ] x", "- [ ] x"),
        ("<code>&#xE000;0&#xE001;&#xE000;0&#xE001;</code>", "00"),
        ("&#xE000;9&#xE001;", "9"),
        ("[a](http://&#xE000;7&#xE001;.test)", "a (.test)"),
    ],
)
def test_markup_in_cells_becomes_plain(cell: str, plain: str) -> None:
    """Discord would show it as it is written."""
    assert shown(table("| h | i |", f"| {cell} | x |"))[2] == f"{plain}  x"


@pytest.mark.parametrize("ticks", ["```", "a ``` b", "`` ``` ``", "``````", r"\`\`\`"])
def test_no_cell_ends_the_block(ticks: str) -> None:
    lines = shown(table("| h | i |", f"| {ticks} | x |"))
    assert not any("```" in line for line in lines)
    assert lines[2].count("`") >= 3 or ticks == "``````"


def test_a_break_in_a_cell_stays_a_break() -> None:
    assert shown(table("| a | b |", "| 1 | x<br>yy<br/>z |", "| 2 | w |")) == [
        "a  b",
        "-  --",
        "1  x",
        "   yy",
        "   z",
        "2  w",
    ]


@pytest.mark.parametrize(
    "rows",
    [
        ("a | b | c", "--- | --- | ---", "1 | 2 | 3"),
        ("| a | b | c", "|---|---|---", "| 1 | 2 | 3"),
        ("|a|b|c|", "|-|-|-|", "|1|2|3|"),
        ("| a | b | c |  ", "  |---|---|---|", " | 1 | 2 | 3 | 4 |"),
        ("| a | b | c |\r", "|---|---|---|\r", "| 1 | 2 | 3 |\r"),
    ],
)
def test_outer_pipes_and_blanks_are_optional(rows: tuple[str, ...]) -> None:
    lines = render("\n".join(rows)).splitlines()
    assert lines[-5:] == ["```", "a  b  c", "-  -  -", "1  2  3", "```"]


def test_a_header_without_an_outer_pipe_is_found() -> None:
    """It was passed on like the prose that it looks like."""
    assert render("a | b\n--- | ---\n1 | 2\n").startswith("a | b\n```\na  b\n")


def test_missing_cells_are_empty_and_surplus_ones_left_out() -> None:
    lines = shown(table("| a | b | c |", "| 1 |", "| 1 | 2 | 3 | 4 |", "|  | | |"))
    assert lines == ["a  b  c", "-  -  -", "1", "1  2  3", ""]


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("| a |\n|---|\n| 1 |", "```\na\n-\n1\n```"),
        ("| a | b |\n|---|---|", "```\na  b\n-  -\n```"),
        ("| a | b |\n|---|---|\n\ntext", "```\na  b\n-  -\n```\n\ntext"),
        ("| a | b |\n|---|---|\n| 1 | 2 |\ntext", "```\na  b\n-  -\n1  2\n```\ntext"),
        ("| a | b |\n|---|---|\n# c | d", "```\na  b\n-  -\n```\n# c | d"),
        ("| a | b |\n|---|---|\n- c | d", "```\na  b\n-  -\n```\n- c | d"),
        ("| a | b |\n|---|\n| 1 | 2 |", "| a | b |\n|---|\n| 1 | 2 |"),
        ("text\n|---|---|\n", "text\n|---|---|\n"),
        ("a | b\n\n--- | ---\n", "a | b\n\n--- | ---\n"),
        (
            "> | a | b |\n> |---|---|\n> | 1 | 2 |\nc | d",
            "> ```\n> a  b\n> -  -\n> 1  2\n> ```\nc | d",
        ),
        ("> | a | b |\n|---|---|\n", "> | a | b |\n|---|---|\n"),
        ("- x\n  | a | b |\n  |---|---|\n  | 1 | 2 |", "- x\n  ```\n  a  b\n  -  -\n  1  2\n  ```"),
        ("1. | a | b |\n   |---|---|\n2. y", "1. ```\n   a  b\n   -  -\n   ```\n2. y"),
    ],
)
def test_a_table_has_a_begin_and_an_end(text: str, rendered: str) -> None:
    assert render(text) == rendered


def test_a_table_that_is_too_wide_becomes_a_list() -> None:
    """Its cells keep their markup, for Discord renders it there."""
    wide = "very " * 12 + "wide"
    text = table(
        "| Name | **Note** | |",
        f"| Kim **Min** | {wide} | `a` |",
        "| `x` | [y](https://x.test/z) | |",
        "| | a<br>b | c |",
        "| | | |",
    )
    assert render(text).splitlines() == [
        "- **Kim Min**",
        f"  **Note**: {wide}",
        "  `a`",
        "- **`x`**",
        "  **Note**: [y](https://x.test/z) (x.test)",
        "- **Note**: a; b",
        "  c",
    ]


def test_a_single_wide_column_becomes_plain_bullets() -> None:
    long = "word " * 20 + "end"
    assert render(table("| a |", f"| {long} |", "| b |")) == f"- {long}\n- b"


def test_a_wide_header_alone_becomes_a_line() -> None:
    assert render(table(f"| {'a' * 40} | {'b' * 40} |")) == f"**{'a' * 40}**  **{'b' * 40}**"


@pytest.mark.parametrize(("letters", "is_block"), [(MAX_WIDTH - 3, True), (MAX_WIDTH - 2, False)])
def test_the_widest_block(letters: int, is_block: bool) -> None:
    text = render(table("| a | b |", f"| {'x' * letters} | y |"))
    assert text.startswith("```") == is_block


def test_too_many_columns_are_not_a_table() -> None:
    """It would never fit, and each of its rows would be filled up to all of them."""
    most = "|a" * MAX_COLUMNS + "|\n" + "|-" * MAX_COLUMNS + "|\n"
    assert "|-" not in render(most)
    more = "|a" + most.replace("\n", "\n|-", 1)
    assert render(more) == more


def test_empty_rows_do_not_make_an_endless_block() -> None:
    """The text written at once is bounded by cells, not only by characters."""
    renderer = Renderer()
    renderer.write(table("|a" * MAX_COLUMNS + "|") + "\n")
    blocks = [len(renderer.write("|\n")) for _ in range(8000)]
    blocks.append(len(renderer.finish()))
    assert max(blocks) < sum(blocks) / 30


def test_cells_and_delimiters() -> None:
    assert cells(r"| a | `b|c` | d\|e |") == ["a", "`b|c`", "d|e"]
    assert cells("| a | `b|c` |", 3) == ["a", "`b", "c`"]
    assert cells("|") == [""]
    assert alignments("---") is None
    assert alignments("| -- | x |") is None
    assert alignments("") is None
