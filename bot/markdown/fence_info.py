"""Turn the info string of a code fence into one that Discord accepts.

Discord accepts only the name of a language right after the backticks, up to the end of the line. It
shows anything else as the first line of code. Models write a space before the language, and
attributes after it: titles, line numbers, classes in braces.
"""

import re
from typing import Final

from bot.markdown.masked_links import WORD_JOINER

_LANGUAGE: Final = re.compile(r"[a-z0-9_+\-.#]+", re.IGNORECASE)  # Discord: of a block of code
# {.python .numberLines}, {#id .python}, {r, echo=FALSE}, {lang="js"}
_IN_BRACES: Final = re.compile(
    r"\{[^}]*?(?:(?<=[\s{])\.|\blang(?:uage)?=[\"']?)([\w+#.-]+)|\{\s*([a-z][\w+-]*)",
    re.ASCII | re.IGNORECASE,
)
# A range of lines or a path, with the name of a file: 12:15:src/app.tsx
_PATH: Final = re.compile(
    r"(?![a-z][\w+#-]+:)(?:[\w.+-]*[/\\:])+[\w.+-]*?\.([a-z0-9]{1,10})(?:[:#][\w-]+)?",
    re.ASCII | re.IGNORECASE,
)
_PREFIX: Final = re.compile(r"lang(?:uage)?-(?=.)", re.IGNORECASE)
# Code that would be lost if it were taken for attributes.
_CODE: Final = re.compile(r"[;()$&|<>*!?]|\s[=+-]\s")
_SENTENCE: Final = re.compile(r"\S+(?:\s+[^\W\d]+){2,}[.:,]?")


def fence_info(info: str) -> str:
    """Return the language that the info string *info* names, "" if it names none.

    Code or a sentence in its place is returned as it is, so that Discord shows it.
    """
    text = info.replace("`", "").strip()
    if _LANGUAGE.fullmatch(text) or not text:
        return _PREFIX.sub("", text, count=1)
    if found := _IN_BRACES.match(text):
        return _plain(found[1] or found[2])
    if _CODE.search(text) or _SENTENCE.fullmatch(text):
        return text.replace("](", f"]{WORD_JOINER}(")
    word = text.split()[0]
    if path := _PATH.fullmatch(word):
        return path[1]
    language = _LANGUAGE.match(word)
    return _plain(language[0]) if language is not None else ""


def _plain(language: str) -> str:
    return _PREFIX.sub("", language.strip("."), count=1)
