"""Tell the tags of blocks that are markup from those that an answer talks about.

What stands behind a tag tells. One in doubt stays: an answer with a tag too many can be read, one
that lacks what it is about cannot.
"""

import re
from collections import Counter
from typing import Final

from bot.markdown.inline import TAG_LENGTH, Form, Source

_NAME: Final = "(?:p|div|details|center)"
_NAME_BEGUN: Final = "(?:p|di?|div|de(?:t(?:a(?:i(?:ls?)?)?)?)?|c(?:e(?:n(?:t(?:er?)?)?)?)?)"
_ATTRIBUTES: Final = (
    r"(?: +(?:open|hidden|[a-z-]{1,20}=(?:\"[^\"<>\n]*\"|'[^'<>\n]*'|[^\s\"'<>=]+))(?=[\s/>]))*+"
)
_ATTRIBUTE_BEGUN: Final = (
    r"(?: +(?:[a-z-]{0,20}|[a-z-]{1,20}=(?:\"[^\"<>\n]*\"?|'[^'<>\n]*'?|[^\s\"'<>=]*)))"
)
_OPENING: Final = Form.of(
    rf"(?i:<({_NAME}){_ATTRIBUTES} ?/?>)",
    rf"(?i:<(?:{_NAME_BEGUN}|{_NAME}{_ATTRIBUTES}(?:{_ATTRIBUTE_BEGUN}| ?/?))?)",
    TAG_LENGTH,
)
_CLOSING: Final = Form.of(rf"(?i:</({_NAME}) ?>)", rf"(?i:<(?:/(?:{_NAME_BEGUN} ?)?)?)", 12)

_LINE_END: Final = r"[ \t\r]*+(?:\\?\n|<br ?/?>|\Z)"
# Words have blanks between them, which tags that are markup need not have.
_TAG: Final = r"(?:<|[ \t]*+</)(?!br ?/?>)[a-z][a-z0-9]{0,9}(?: [^<>\n]*)?>"
# Blocks that open at once, and what shows that they are no words: nothing else in the line,
_OPENINGS: Final = rf"(?i:(?:<(?P<last>{_NAME}){_ATTRIBUTES} ?/?>)++)"
_ALONE: Final = re.compile(rf"(?i:(?:{_TAG})++{_LINE_END})")
# something else that is markup,
_LEADING: Final = re.compile(
    rf"(?i:{_OPENINGS}[ \t]*+(?:<!--|<summary>|\$\$|\\\["
    r"|<(?P<name>[a-z][a-z0-9]{0,9})(?: [^<>\n]*)?>[^\n]*?</(?P=name)>))"
)
# or words up to the closing tag, behind which there is no more.
_AROUND: Final = re.compile(
    rf"(?i:{_OPENINGS}(?=\S)(?=(?:[^<\w\n]|<[^<>\n]*>)*+\w)(?:(?!</(?P=last) ?>)[^\n])++(?<=\S)"
    rf"</(?P=last) ?>(?:[ \t]*+<[a-z/!]|{_LINE_END}))"
)
# What is alone is left out where there is more: in an item, which may tell of the tag, not another.
_ITEM: Final = re.compile(r"[-*+•.)]")
_MORE: Final = Form.of(r"[\s>]*+[^\s>]", r"[\s>]*+", TAG_LENGTH)
_MORE_OF_ITEM: Final = Form.of(r"[\s>]*+[^\s>\d*+•─-]", r"[\s>]*+", TAG_LENGTH)


class BlockTags:
    """Follows which blocks are open whose tags were left out."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def match(self, source: Source, at: int, margin: str | None) -> re.Match[str] | None:
        """Return the tag at *at* if it is markup, None otherwise; raises Undecided.

        *margin* is what its line begins with, None where words stand in front of it.
        """
        if self._open and (closing := _CLOSING.match(source, at)):
            return closing if self._open[closing[1].lower()] else None
        if margin is None or (opening := _OPENING.match(source, at)) is None:
            return None
        return opening if _is_markup(source, at, margin) else None

    def leave_out(self, tag: re.Match[str]) -> None:
        """Take note that *tag* is not shown."""
        name = tag[1].lower()
        if tag[0].startswith("</"):
            self._open -= Counter({name: 1})
        else:
            self._open[name] += 1


def _is_markup(source: Source, at: int, margin: str) -> bool:
    if source.line(at, TAG_LENGTH) is None:
        return _LEADING.match(source.text, at, at + TAG_LENGTH) is not None
    if alone := _ALONE.match(source.text, at):
        more = _MORE_OF_ITEM if _ITEM.search(margin) else _MORE
        return more.match(source, alone.end()) is not None
    return bool(_LEADING.match(source.text, at) or _AROUND.match(source.text, at))
