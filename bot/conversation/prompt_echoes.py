"""Remove from an answer the lines of the prompt in ⟦double brackets⟧ that a model echoes.

Models continue the form of their prompt: they begin an answer with "⟦Name (@name) writes⟧", perhaps
in ordinary brackets, or end it with a note of the program. People must not see such a line. If it
were stored, the next answers would echo it more often. An answer may also be about such lines: in
code and within a sentence, they keep their words and get ordinary brackets. Brackets around any
other text stay, because ⟦x⟧ is mathematics, too.
"""

import re
from collections.abc import Iterable
from typing import Final

from bot.conversation.prompt_markup import FORMS, LABELS, NOTES, defused
from bot.markdown.syntax import closing_fence, opened_fence

LENGTH: Final = 300  # characters between the brackets; lines of the prompt have fewer

# Bracketed words, perhaps in emphasis, and what may follow a label.
_BRACKETS: Final = re.compile(
    rf"(?P<sign>[*_]*)(?:⟦(?P<words>[^⟦⟧\n]{{0,{LENGTH}}})⟧"
    rf"|\[\[(?P<plain>[^\[\]\n]{{0,{LENGTH}}})\]\]):?(?P=sign):?[ \t]*(?P<end>\r?\n)?"
)
_MAY_BE_BRACKETS: Final = re.compile(
    rf"(?:⟦[^⟦⟧\n]{{0,{LENGTH}}}(?:⟧:?|\Z)|\[\[[^\[\]\n]{{0,{LENGTH}}}(?:\]\]:?|\]?\Z))"
    r"[*_]*:?[ \t]*\r?"
)
_OPENING: Final = re.compile(r"⟦|\[\[")
# What may precede a label in its line: the mark of a list or a quote, or a whole sentence.
_MARGIN: Final = re.compile(r"[\s>#*_-]*(?:\d{1,3}[.)][ \t]+[*_]*)?")
_SENTENCE_END: Final = re.compile(r"[.!?…。！？][\"'”’)*_]*[ \t]+[*_]*\Z")
_LINE_LENGTH: Final = 300  # the most characters of a line that decide what it is


def _pattern(forms: Iterable[str], *others: str) -> re.Pattern[str]:
    """Return what matches the words in the brackets of *forms*, with any names in their fields."""
    words = (re.escape(form[1:-1]) for form in forms)
    return re.compile("|".join((*(re.sub(r"\\{.*?\\}", ".+", one) for one in words), *others)))


_FORM: Final = _pattern(FORMS)
_NOTE: Final = _pattern(NOTES)
# Models make labels of their own, with a handle or another verb, perhaps of another language.
_LABEL: Final = _pattern(
    LABELS,
    r".*\(@.*",
    r".*\b(?:wr(?:ites|ote|iting)|says|said|thinks|ask(?:s|ed)|repl(?:ies|ied|ying)"
    r"|answer(?:s|ed|ing)|respon(?:ds|ded|ding)|schreibt|sagt|antwortet|écrit|répond|escribe"
    r"|responde|scrive|risponde|пишет|отвечает)",
    r".+(?:[이가은는] |님의? |의 )(?:작성|씀|쓴 글|씁니다|썼습니다|답변?|답변?합니다"
    r"|말(?:합니다)?)",
    r".+[がは](?:書く|書いた|書きます|書きました|答えます|答えました)|.+(?:写道|回复道|说道)",
)
_HANDLE_LABEL: Final = re.compile(r".+\(@[\w.]+\) (?:writes|wrote earlier;.*)")
# Words of two letters or more: mathematics has shorter ones and other signs.
_PROSE: Final = re.compile(
    r"(?:(?:[^\W\d_\u2070-\u209f]{2,}|[aI\u3041-\ud7a3])(?:[ ,.;:'’-]+|\Z)){2,}"
)


class PromptEchoFilter:
    """Removes echoes of the prompt from an answer that arrives in pieces of any length."""

    def __init__(self) -> None:
        self._pending = ""
        self._is_blank = True  # the answer so far
        self._unread: list[str] = []  # passed on, but not read yet
        self._line = ""  # its beginning
        self._ticks = 0  # in this line
        self._fence = ""  # the open code fence

    def write(self, text: str) -> str:
        """Return the next piece of the answer."""
        may_begin = "⟦" in text or "[[" in text or text.endswith(("*", "_", "["))
        if not self._pending and not may_begin:
            return self._passed(text)
        self._pending += text
        return self._next(is_whole=False)

    def end(self) -> str:
        """Return the rest of the answer."""
        return self._next(is_whole=True)

    def _next(self, *, is_whole: bool) -> str:
        text, at = self._pending, 0
        shown: list[str] = []
        end = len(text)
        while found_opening := _OPENING.search(text, at):
            opening = found_opening.start()
            may_go_on = _MAY_BE_BRACKETS.fullmatch(text, opening) is not None
            if may_go_on and not is_whole:
                end = opening
                break
            start = _before_sign(text, at, opening)
            found = _BRACKETS.match(text, start) or _BRACKETS.match(text, opening)
            start = opening if found is None else found.start()
            shown.append(self._passed(text[at:start]))
            self._read()
            if found is not None:
                is_last = is_whole and found.end() == len(text)
                shown.append(self._passed(self._shown(found, is_last=is_last)))
                at = found.end()
            elif may_go_on and self._begins_line and re.match("⟦.", text[opening:]):
                # The end cut a label.
                at = len(text)
            else:
                shown.append(self._passed(text[opening]))
                at = opening + 1
        if not is_whole:
            is_half = end == len(text) and text.endswith("[")
            end = _before_sign(text, at, max(at, end - is_half))
        shown.append(self._passed(text[at:end]))
        self._pending = text[end:]
        return "".join(shown)

    def _shown(self, found: re.Match[str], *, is_last: bool) -> str:
        """Return the text to show in place of *found*, which follows the text that was read."""
        words, line_end = found["words"], found["end"] or ""
        if words is None:  # in ordinary brackets, in which people write other things
            is_label = _HANDLE_LABEL.fullmatch(found["plain"]) and self._begins_line
            is_removed = is_label and not self._fence and self._ticks % 2 == 0
            return (line_end if self._line.strip() else "") if is_removed else found[0]
        is_own = _FORM.fullmatch(words) is not None
        if self._fence or self._ticks % 2:
            return defused(found[0]) if is_own else found[0]
        is_alone = self._begins_line and (bool(line_end) or is_last)
        is_first = self._is_blank and bool(line_end) and _PROSE.fullmatch(words) is not None
        is_label = self._begins_sentence and _LABEL.fullmatch(words) is not None
        if is_label or (is_alone and (is_own or is_first)):
            return line_end if self._line.strip() else ""
        if _NOTE.fullmatch(words):
            return line_end
        return defused(found[0]) if is_own or "(@" in words else found[0]

    @property
    def _begins_sentence(self) -> bool:
        """Whether the text that was read ends with the beginning of a line or a sentence."""
        return self._begins_line or _SENTENCE_END.search(self._line) is not None

    @property
    def _begins_line(self) -> bool:
        """Whether the text that was read ends with the beginning of a line."""
        return _MARGIN.fullmatch(self._line) is not None

    def _passed(self, text: str) -> str:
        self._is_blank = self._is_blank and not text.strip()
        self._unread.append(text)
        return text

    def _read(self) -> None:
        """Read what was passed on, to know what it leaves open."""
        *lines, last = "".join(self._unread).split("\n")
        self._unread.clear()
        for line in lines:
            whole = self._line + line[:_LINE_LENGTH]
            if self._fence:
                self._fence = "" if closing_fence(whole, self._fence) else self._fence
            else:
                self._fence = opened_fence(whole)
            self._line, self._ticks = "", 0
        self._line = (self._line + last)[:_LINE_LENGTH]
        self._ticks += last.count("`")


def _before_sign(text: str, start: int, end: int) -> int:
    """Return where the signs of emphasis begin that *text* has right before *end*."""
    while end > start and text[end - 1] in "*_":
        end -= 1
    return end


def without_echoes(reply: str) -> str:
    """Return a stored *reply* without echoes: versions before this filter stored them."""
    if "⟦" not in reply:
        return reply
    answer = PromptEchoFilter()
    return answer.write(reply) + answer.end()
