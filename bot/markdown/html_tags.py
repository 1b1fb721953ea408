"""Recognise tags of blocks that are markup, as opposed to tags that an answer talks about.

What follows a tag decides. A tag in doubt stays: an answer with one tag too many can still be read,
an answer that lacks the tag that it explains cannot.
"""

import re
from collections import Counter
from typing import Final

from bot.markdown.inline import TAG_LENGTH, Buffer, Construct

_NAME: Final = "(?:p|div|details|center)"
_NAME_PREFIX: Final = "(?:p|di?|div|de(?:t(?:a(?:i(?:ls?)?)?)?)?|c(?:e(?:n(?:t(?:er?)?)?)?)?)"
_ATTRIBUTES: Final = (
    r"(?: +(?:open|hidden|[a-z-]{1,20}=(?:\"[^\"<>\n]*\"|'[^'<>\n]*'|[^\s\"'<>=]+))(?=[\s/>]))*+"
)
_ATTRIBUTE_PREFIX: Final = (
    r"(?: +(?:[a-z-]{0,20}|[a-z-]{1,20}=(?:\"[^\"<>\n]*\"?|'[^'<>\n]*'?|[^\s\"'<>=]*)))"
)
_OPENING: Final = Construct(
    rf"(?i:<({_NAME}){_ATTRIBUTES} ?/?>)",
    rf"(?i:<(?:{_NAME_PREFIX}|{_NAME}{_ATTRIBUTES}(?:{_ATTRIBUTE_PREFIX}| ?/?))?)",
    TAG_LENGTH,
)
_CLOSING: Final = Construct(rf"(?i:</({_NAME}) ?>)", rf"(?i:<(?:/(?:{_NAME_PREFIX} ?)?)?)", 12)

_LINE_END: Final = r"[ \t\r]*+(?:\\?\n|<br ?/?>|\Z)"
# Words have spaces between them, which tags that are markup need not have.
_TAG: Final = r"(?:<|[ \t]*+</)(?!br ?/?>)[a-z][a-z0-9]{0,9}(?: [^<>\n]*)?>"
# Opening tags in a row are markup if nothing else is in the line,
_OPENINGS: Final = rf"(?i:(?:<(?P<last>{_NAME}){_ATTRIBUTES} ?/?>)++)"
_ALONE: Final = re.compile(rf"(?i:(?:{_TAG})++{_LINE_END})")
# if other markup follows,
_LEADING: Final = re.compile(
    rf"(?i:{_OPENINGS}[ \t]*+(?:<!--|<summary>|\$\$|\\\["
    r"|<(?P<name>[a-z][a-z0-9]{0,9})(?: [^<>\n]*)?>[^\n]*?</(?P=name)>))"
)
# or if there are words up to the closing tag, and no words after it.
_AROUND: Final = re.compile(
    rf"(?i:{_OPENINGS}(?=\S)(?=(?:[^<\w\n]|<[^<>\n]*>)*+\w)(?:(?!</(?P=last) ?>)[^\n])++(?<=\S)"
    rf"</(?P=last) ?>(?:[ \t]*+<[a-z/!]|{_LINE_END}))"
)
# A tag alone in its line is left out if more text follows; in a list item, which may be about the
# tag, only if that text is not the next item.
_ITEM: Final = re.compile(r"[-*+•.)]")
_MORE: Final = Construct(r"[\s>]*+[^\s>]", r"[\s>]*+", TAG_LENGTH)
_MORE_OF_ITEM: Final = Construct(r"[\s>]*+[^\s>\d*+•─-]", r"[\s>]*+", TAG_LENGTH)


class BlockTags:
    """The open blocks whose opening tags were left out."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def match(self, buffer: Buffer, at: int, margin: str | None) -> re.Match[str] | None:
        """Return the tag at *at* if it is markup, None otherwise; raises NeedMore.

        *margin* is what its line begins with, None if words precede the tag.
        """
        if self._open and (closing := _CLOSING.match(buffer, at)):
            return closing if self._open[closing[1].lower()] else None
        if margin is None or (opening := _OPENING.match(buffer, at)) is None:
            return None
        return opening if _is_markup(buffer, at, margin) else None

    def omit(self, tag: re.Match[str]) -> None:
        """Record that *tag* is not shown."""
        name = tag[1].lower()
        if tag[0].startswith("</"):
            self._open -= Counter({name: 1})
        else:
            self._open[name] += 1


def _is_markup(buffer: Buffer, at: int, margin: str) -> bool:
    if buffer.line(at, TAG_LENGTH) is None:
        return _LEADING.match(buffer.text, at, at + TAG_LENGTH) is not None
    if alone := _ALONE.match(buffer.text, at):
        more = _MORE_OF_ITEM if _ITEM.search(margin) else _MORE
        return more.match(buffer, alone.end()) is not None
    return bool(_LEADING.match(buffer.text, at) or _AROUND.match(buffer.text, at))
