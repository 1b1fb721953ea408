"""Draw docs/rendering.svg: what a model writes, and how the bot shows it in Discord.

The right side is what `render` makes of the left side, drawn as Discord's dark theme draws it. In
code, each run of letters stands on a grid on which East Asian letters are two columns wide.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from bot.markdown.renderer import render
from bot.markdown.tables import width

PICTURE: Final = Path(__file__).with_name("rendering.svg")
EXAMPLES: Final = (
    """\
| Port | Country | Opened | Depth |
|:-----|:-------:|-------:|------:|
| **Piraeus** | Greece | 493 BC | `18 m` |
| 부산항 | 대한민국 | 1876 | `17 m` |
| Rotterdam | Netherlands | 1872 | `24 m` |""",
    """\
| Port | Known for | Mind |
|------|-----------|------|
| **Busan** | The largest transshipment port of North-East Asia | Typhoons, July to September |
| **Rotterdam** | The Maasvlakte, built into the sea on new land | Fog, and [the locks](https://locks.test/open) |""",  # noqa: E501
    r"""The roots of $ax^2 + bx + c = 0$ are

$$x_{1,2} = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$$

so \(\sum_{i=1}^{n} i = \frac{n(n+1)}{2}\), which is in
$\mathcal{O}(n^2)$ for all $n \in \mathbb{N}$. It costs $5.

\[\begin{pmatrix} a & b \\ c & d \end{pmatrix}\]""",
    """\
#### Before you sail

- [x] Read [the notice](https://harbour.test/notices/7)
- [ ] Ask [your-bank.test](https://evil.test/login)[^1]
- [ ] Tides &lt; 2&nbsp;m &amp; wind &le; 5

---

![Chart](https://harbour.test/chart.png)

[^1]: A link that says where it really leads.""",
)

LINE: Final = 20
LEFT: Final = 20
MIDDLE: Final = 520
WIDTH: Final = 1010
TEXT_LEFT: Final = MIDDLE + 62
COLUMN: Final = 7.8  # a letter of code, at 13 px
SANS: Final = (
    "'gg sans', 'Noto Sans', 'Helvetica Neue', Helvetica, Arial, 'Noto Sans KR', sans-serif"
)
MONO: Final = "Consolas, 'DejaVu Sans Mono', Menlo, 'Noto Sans Mono CJK KR', monospace"
STYLE: Final = (
    f".s{{font-family:{SANS};fill:#dbdee1}}"
    f".m{{font-family:{MONO};font-size:13px;fill:#c9ccd1;white-space:pre}}"
    ".b{font-weight:700;fill:#f2f3f5}.l{fill:#00a8fc}.q{font-size:12px;fill:#949ba4}"
    ".c{font-family:monospace;font-size:12.5px;fill:#e3c78a}"
    ".t{font-size:15px;font-weight:600;fill:#f2f3f5}"
)
LEFT_COLUMNS: Final = 58
RIGHT_COLUMNS: Final = 54  # of a text whose letters have different widths
INLINE: Final = re.compile(
    r"\[(?P<link>[^\]]+)\]\(<?[^)>]+>?\)|\*\*(?P<bold>.+?)\*\*|`(?P<code>[^`]+)`"
    r"|(?P<url>https?://[^\s)]+)|\\(?P<escaped>[^A-Za-z0-9\s])"
)


class Drawn(NamedTuple):
    """Elements, and the height that they take."""

    elements: list[str]
    height: int


def picture() -> str:
    """Return the picture as SVG."""
    elements: list[str] = []
    top = 44
    for example in EXAMPLES:
        written, shown = _written(example, top + 26), _shown(render(example), top + 22)
        height = max(written.height + 22, shown.height + 28)
        elements += [
            _box(LEFT, top, MIDDLE - LEFT - 14, height, "#1e1f22"),
            _box(MIDDLE, top, WIDTH - MIDDLE - LEFT, height, "#313338"),
            *written.elements,
            *shown.elements,
        ]
        top += height + 16
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-size="14">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{top}" fill="#111214"/>',
        _text(LEFT, 28, "s t", "What a model writes"),
        _text(MIDDLE, 28, "s t", "How it stands in Discord"),
    ]
    return "\n".join([*head, *elements, "</svg>", ""])


def _written(example: str, top: int) -> Drawn:
    lines = [part for line in example.splitlines() for part in _cut(line, LEFT_COLUMNS, width)]
    elements = [
        _code_line(LEFT + 14, top + number * LINE, line) for number, line in enumerate(lines)
    ]
    return Drawn(elements, len(lines) * LINE)


def _shown(text: str, top: int) -> Drawn:
    elements = [
        f'<circle cx="{MIDDLE + 32}" cy="{top + 14}" r="18" fill="#5865f2"/>',
        f'<circle cx="{MIDDLE + 26}" cy="{top + 12}" r="3.5" fill="#fff"/>',
        f'<circle cx="{MIDDLE + 38}" cy="{top + 12}" r="3.5" fill="#fff"/>',
        _text(TEXT_LEFT, top + 6, "s b", "ChatBot"),
        _box(TEXT_LEFT + 62, top - 6, 34, 15, "#5865f2"),
        _text(TEXT_LEFT + 67, top + 5, "s q", "APP", fill="#fff"),
    ]
    at = top + 30
    for is_code, lines in _blocks(text):
        if is_code:
            height = len(lines) * LINE + 10
            elements.append(_box(TEXT_LEFT, at - 14, WIDTH - TEXT_LEFT - 36, height, "#2b2d31"))
            elements += [
                _code_line(TEXT_LEFT + 9, at + 6 + number * LINE, line)
                for number, line in enumerate(lines)
            ]
            at += height + 6
            continue
        for line in lines:
            drawn = _prose_line(line, at)
            elements += drawn.elements
            at += drawn.height
    return Drawn(elements, at - top)


def _blocks(text: str) -> Iterator[tuple[bool, list[str]]]:
    """Yield the blocks of code and the lines between them."""
    for number, block in enumerate(re.split(r"^```.*\n?", text.strip(), flags=re.MULTILINE)):
        if block.strip():
            yield number % 2 == 1, block.strip("\n").split("\n")


def _prose_line(line: str, at: int) -> Drawn:
    """Draw a line as Discord does, but for an empty one, which is half as high."""
    if not line.strip():
        return Drawn([], LINE // 2)
    small = line.startswith("-# ")
    line = line.removeprefix("-# ")
    bullet = re.match(r"- |  (?=\S)", line)
    indent = 18 if bullet else 0
    body = line[bullet.end() :] if bullet else line
    parts = list(_cut(body, RIGHT_COLUMNS - indent // 8, _columns))
    elements = [
        f'<text x="{TEXT_LEFT + indent}" y="{at + number * LINE}" class="s{" q" * small}">'
        f"{_spans(part)}</text>"
        for number, part in enumerate(parts)
    ]
    if bullet and line.startswith("-"):
        elements.append(f'<circle cx="{TEXT_LEFT + 7}" cy="{at - 5}" r="2.5" fill="#dbdee1"/>')
    return Drawn(elements, len(parts) * LINE)


def _spans(text: str) -> str:
    shown: list[str] = []
    at = 0
    for found in INLINE.finditer(text):
        shown.append(escape(text[at : found.start()]))
        kind = found.lastgroup or ""
        inner = found[kind]
        css = {"link": "l", "url": "l", "bold": "b", "code": "c"}.get(kind)
        shown.append(f'<tspan class="{css}">{escape(inner)}</tspan>' if css else escape(inner))
        at = found.end()
    return "".join([*shown, escape(text[at:])])


def _cut(line: str, columns: int, measured: Callable[[str], int]) -> Iterator[str]:
    """Yield *line* in pieces that are *measured* as at most so many columns, cut between words."""
    piece = ""
    for word in re.findall(r"\[[^\]]*\]\([^)]*\)\S*|\S+|\s+", line):
        if piece.strip() and measured(piece + word) > columns:
            yield piece.rstrip()
            piece = word.lstrip()
        else:
            piece += word
    yield piece


def _columns(text: str) -> int:
    """Return how wide *text* is without its markup."""
    return width(INLINE.sub(lambda found: found[found.lastgroup or 0], text))


def _code_line(x: float, y: int, line: str) -> str:
    """Draw a line of code; what follows a wide letter is put where the grid has it."""
    runs: Iterable[re.Match[str]] = re.finditer(r"[\x20-\x7e]+|[^\x20-\x7e]+", line)
    spans = "".join(
        f'<tspan x="{x + width(line[: run.start()]) * COLUMN:.1f}">{escape(run[0])}</tspan>'
        for run in runs
    )
    return f'<text y="{y}" class="m" xml:space="preserve">{spans}</text>'


def _text(x: float, y: int, css: str, text: str, fill: str = "") -> str:
    style = f' style="fill:{fill}"' if fill else ""
    return f'<text x="{x}" y="{y}" class="{css}"{style}>{escape(text)}</text>'


def _box(x: float, y: int, box_width: int, height: int, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{box_width}" height="{height}" rx="6" fill="{colour}"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
