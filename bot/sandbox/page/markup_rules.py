"""The differences of Discord's Markdown from CommonMark, as rules for markdown-it."""

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_FENCE: Final = re.compile(
    r"```(?:([\w+\-.#]+)[ ]*\n)?\n*(.*?\S.*?)\n*```[ \t]*(?=\n|$)", re.DOTALL
)
_HEADING: Final = re.compile(r"(#{1,3})[ \t]+(\S.*)")
_SMALL: Final = re.compile(r"-#[ \t]+(\S.*)")
_QUOTE: Final = re.compile(r">(?:[ \t](.*)|$)")
_REST_QUOTED: Final = ">>> "
_POINTED: Final = re.compile(
    r"<(?:@!?(?P<user>\d{1,20})|@&(?P<role>\d{1,20})|#(?P<channel>\d{1,20})"
    r"|a?:(?P<emoji>\w{2,32}):\d{1,20}|/(?P<command>[\w \-]{1,98}):\d{1,20}"
    r"|t:(?P<time>-?\d{1,13})(?::(?P<style>[tTdDfFR]))?)>"
)
_IN_TEXT: Final = re.compile(r"https?://[^\s<>]+|@(?:everyone|here)\b")
_AFTER_A_LINK: Final = ".,:;!?'\"*_~|"


def use_discord_rules(md: MarkdownIt) -> None:
    """Add Discord's rules to *md*, which has only paragraphs so far."""
    md.enable(["list", "backticks", "emphasis", "strikethrough", "escape", "link", "autolink"])
    md.enable(["newline", "balance_pairs", "fragments_join"])
    for name, rule in (
        ("fence_of_discord", _fence),
        ("quote_of_discord", _quote),
        ("heading_of_discord", _heading),
        ("small_print", _small),
    ):
        md.block.ruler.before("list", name, rule, {"alt": ["paragraph", "list"]})
    md.inline.ruler.before("autolink", "pointed", _pointed)
    md.inline.ruler.before("emphasis", "spoiler", _spoiler)
    md.inline.add_terminator_char("|")
    md.core.ruler.after("inline", "in_text", _find_in_text)


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001  # theirs
    if not _line(state, start).startswith("```"):
        return False
    found = _FENCE.match(state.getLines(start, end, state.sCount[start], keepLastLF=False))
    if found is None:
        return False
    if not silent:
        token = state.push("fence", "code", 0)
        token.info, token.content = found[1] or "", found[2]
        state.line = start + found[0].count("\n") + 1
    return True


def _quote(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001  # theirs
    if state.env.get("quoted"):  # Discord knows no quotes in quotes.
        return False
    first = _line(state, start)
    if first.startswith(_REST_QUOTED):
        rest = state.getLines(start, end, state.sCount[start], keepLastLF=False)
        text, after = rest.removeprefix(_REST_QUOTED), end
    else:
        lines = list[str]()
        while start + len(lines) < end and (
            found := _QUOTE.match(_line(state, start + len(lines)))
        ):
            lines.append(found[1] or "")
        if not lines:
            return False
        text, after = "\n".join(lines), start + len(lines)
    if not silent:
        state.push("blockquote_open", "blockquote", 1)
        state.md.block.parse(text, state.md, {**state.env, "quoted": True}, state.tokens)
        state.push("blockquote_close", "blockquote", -1)
        state.line = after
    return True


def _heading(state: StateBlock, start: int, _end: int, silent: bool) -> bool:  # noqa: FBT001  # theirs
    found = _HEADING.fullmatch(_line(state, start))
    if found is None:
        return False
    # The page's own heading is above those of messages.
    return silent or _one_line(state, start, "heading", f"h{len(found[1]) + 1}", found[2])


def _small(state: StateBlock, start: int, _end: int, silent: bool) -> bool:  # noqa: FBT001  # theirs
    found = _SMALL.fullmatch(_line(state, start))
    if found is None:
        return False
    return silent or _one_line(state, start, "small", "small", found[1])


def _one_line(state: StateBlock, number: int, kind: str, tag: str, text: str) -> bool:
    state.push(f"{kind}_open", tag, 1)
    inline = state.push("inline", "", 0)
    inline.content, inline.children = text, []
    state.push(f"{kind}_close", tag, -1)
    state.line = number + 1
    return True


def _pointed(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # theirs
    found = _POINTED.match(state.src, state.pos) if state.src[state.pos] == "<" else None
    if found is None or found.end() > state.posMax:
        return False
    if not silent:
        kind = next(name for name in found.groupdict() if found[name] is not None)
        token = state.push("pointed", "", 0)
        token.info, token.content, token.markup = kind, found[kind], found["style"] or ""
    state.pos = found.end()
    return True


def _spoiler(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # theirs
    start = state.pos
    if not state.src.startswith("||", start):
        return False
    end = state.src.find("||", start + 2)
    if end <= start + 2 or end + 2 > state.posMax:
        return False
    if not silent:
        most = state.posMax
        state.push("spoiler_open", "span", 1)
        state.pos, state.posMax = start + 2, end
        state.md.inline.tokenize(state)
        state.push("spoiler_close", "span", -1)
        state.posMax = most
    state.pos = end + 2
    return True


def _find_in_text(state: StateCore) -> None:
    """Turn bare addresses in the text into links, and mark mentions."""
    for block in state.tokens:
        if block.type == "inline" and block.children:
            block.children = list(_with_found(block.children))


def _with_found(tokens: list[Token]) -> list[Token]:
    done = list[Token]()
    in_link = 0
    for token in tokens:
        in_link += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        done += [token] if in_link or token.type != "text" else _cut(token.content)
    return done


def _cut(text: str) -> list[Token]:
    done, at = list[Token](), 0
    for found in _IN_TEXT.finditer(text):
        word = found[0].rstrip(_AFTER_A_LINK)
        if word.endswith(")") and "(" not in word:
            word = word.rstrip(")")
        done.append(_text(text[at : found.start()]))
        at = found.start() + len(word)
        if word.startswith("@"):
            done.append(Token("pointed", "", 0, info="everyone", content=word))
        else:
            opening = Token("link_open", "a", 1, attrs={"href": word})
            done += [opening, _text(word), Token("link_close", "a", -1)]
    return [*done, _text(text[at:])]


def _text(text: str) -> Token:
    return Token("text", "", 0, content=text)
