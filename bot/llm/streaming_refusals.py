"""Recognise refusals of a streamed answer, and of an answer that is not streamed.

Imported at the first refusal, to save memory in an idle bot.
"""

import re
from typing import Final

from bot.llm.api_errors import MESSAGE_LENGTH, messages_of

# "upstream" and "stream_options" are other words; a stream that broke is another problem.
_STREAM: Final = (
    r"(?<!non-)(?<!non )(?<!while )(?<!during )"
    r"\b(?:stream(?:s|ed|ing)?|server-sent events|SSE)\b(?!-\w)"
    r"(?!\W+(?:\w+ )?(?:end(?:s|ed)?\b|clos|fail|error|abort|interrupt|disconnect|time|broke))"
)
_NOT: Final = r"(?:\bno\b|\bnot?\b|n't\b|\bcannot\b|\bunable\b|\bneither\b|\bnicht\b|\bpas\b)"
_OFFERED: Final = (
    r"(?:support|allow|accept|permit|enabl|implement|availabl|offer|possibl|provid|handl|valid"
    r"|able to|compatib|soport|supporté|unterstützt|pris en charge)"
)
_REFUSED: Final = (
    r"(?:unsupported|unavailable|unimplemented|disabled|disallowed|forbidden|prohibited"
    r"|unrecogni[sz]ed|unknown|unexpected|invalid|incompatible|rejected)"
)
# "Invalid JSON in stream" is about something else.
_REFUSED_OPTION: Final = (
    rf"\b{_REFUSED}\W+(?:for\W+)?"
    r"(?:(?:\w+\W+){0,2}?(?:parameter|param|argument|option|value|field|key|property|input)s?\b[^.,;\n]{0,30}?)?"
)
_MUST_BE: Final = r"(?:(?:must|should|has to|needs? to) be )"
_GAP: Final = r"[^.,;\n]{0,50}?"  # within one part of a sentence
# In the words of OpenAI, Azure, Bedrock, Hugging Face, FastAPI and many small servers.
_REFUSES: Final = re.compile(
    rf"{_STREAM}{_GAP}{_NOT}{_GAP}{_OFFERED}"
    rf"|{_NOT}{_GAP}{_OFFERED}{_GAP}{_STREAM}"
    rf"|{_STREAM}{_GAP}\b{_REFUSED}|{_REFUSED_OPTION}{_STREAM}"
    rf"|{_STREAM}{_GAP}\bonly (?:\w+ )?{_OFFERED}"
    rf"|(?:\bcannot|n't|\bunable to|\bnot) (?:be )?{_STREAM}|\bno streaming\b"
    rf"|\bverif\w+\b[^.;\n]{{0,60}}{_STREAM}|{_STREAM}[^.;\n]{{0,60}}\bverif"
    r"|\b(?:authori[sz]ed|allowed|permitted|permissions?|entitled|eligible|access) to "
    rf"(?:use )?{_STREAM}|(?:Response|Converse)Stream\b"
    rf"|{_STREAM}\W{{0,4}}(?:\w+ )?{_MUST_BE}?(?:set )?(?:to )?\W{{0,3}}(?:false|off)\b"
    rf"|\b(?:disable|remove|omit|without|turn off|drop)\W+(?:the )?\W{{0,3}}{_STREAM}"
    r"|\b(?:only|must|requires?)\b[^.,;\n]{0,30}\bnon-?stream"
    r"|不支持.{0,8}(?:流式|stream)|(?:流式|stream).{0,8}不(?:支持|可用)|스트리밍.{0,12}(?:않|없)"
    r"|ストリーミング.{0,16}(?:ません|ない)",
    re.IGNORECASE,
)
_REQUIRES: Final = re.compile(
    rf"\bonly (?:supports? |accepts? |allows? |works? (?:with|in) )?(?:the )?\W?{_STREAM}"
    r"(?!\W{0,4}(?:false|off))"
    rf"|{_STREAM}\W{{0,3}}(?:\w+ )?{_MUST_BE}(?:set to )?\W?(?:true|on|enabled|used)\b"
    rf"|{_STREAM}\W{{0,3}}(?:\w+ )?is (?:enabled|required|mandatory)\b"
    rf"|\b(?:enable|requires?|needs) (?:the )?\W?{_STREAM}(?!\W{{0,4}}(?:false|off))"
    rf"|\b(?:use|set) (?:the )?\W?{_STREAM}\W{{0,4}}(?:to )?\W?true"
    r"|[仅只]支持.{0,4}(?:流式|stream)"
    r"|\bnon-?stream\w*[^.;\n]{0,50}(?:not |n't |unsupported|disabled)"
    r"|(?:not |n't |unsupported)[^.;\n]{0,50}\bnon-?stream",
    re.IGNORECASE,
)
# The option that a refusal names: as OpenAI does, and as FastAPI does.
_OPTION: Final = re.compile(
    r'"(?:param|parameter|field|name)"\s*:\s*"(?:body\.)?stream"|"loc"\s*:\s*\[[^\]]*"stream"\s*[\],]'
)
_CODES: Final = re.compile(r'"(?:code|type|error_type)"\s*:\s*"([\w .-]{1,80})"')


def refuses_streaming(body: str) -> bool:
    """Whether a server says that it does not stream the answer, and may give it whole."""
    said = _said(body)
    if _REQUIRES.search(said) is not None and _REFUSES.search(_REQUIRES.sub("", said)) is None:
        return False
    return _OPTION.search(body) is not None or _REFUSES.search(said) is not None


def requires_streaming(body: str) -> bool:
    """Whether a server says that it only gives streamed answers."""
    return _REQUIRES.search(_said(body)) is not None


def _said(body: str) -> str:
    """Return the messages and codes of an error body, each on a line."""
    codes = [code.replace("_", " ") for code in _CODES.findall(body[:MESSAGE_LENGTH])]
    return "\n".join([messages_of(body)[:MESSAGE_LENGTH], *codes])
