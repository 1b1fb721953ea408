"""The marks that models put around their reasoning and around their answer.

Servers with a parser for the model at hand remove them; many run without one, or strip some of the
marks and leave the text between them. The sources are the reasoning parsers of vLLM, SGLang and
llama.cpp, and Open WebUI's list of tags.
"""

import re
from enum import Enum, auto
from functools import lru_cache
from typing import Final, NamedTuple

# Tags with a name, perhaps of a kind: <think>, <thinking>, <mm:think>, <antThinking>, <reasoning>.
_TAG: Final = re.compile(
    r"<((?:[a-z0-9]+[:|_-])*(?:ant)?"
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|monologue|cot)"
    r"(?:[:_-][a-z]+)?|details(?= type=\"reasoning\"))(?:\s[^<>]{0,80})?>",
    re.IGNORECASE,
)
_MAY_BE_TAG: Final = re.compile(r"<[a-z0-9:|_-]{0,40}(?:\s[^<>]{0,80})?", re.IGNORECASE)
# Within an answer only these, because an answer may show the others to explain a way to prompt.
_TAG_WITHIN: Final = re.compile(r"<((?:[a-z]+[:|_])?think)>", re.IGNORECASE)
_MAY_BE_TAG_WITHIN: Final = re.compile(r"<(?:[a-z]{0,10}[:|_])?[a-z]{0,10}", re.IGNORECASE)

# The channels of gpt-oss: analysis and commentary come before final.
_CHANNELS: Final = (
    "<|channel|>analysis",
    "<|channel|>commentary",
    "analysis<|message|>",
    "commentary<|message|>",
)
_FINAL: Final = r"<\|channel\|>final\b[^<\n]{0,40}(?:<\|constrain\|>[^<\n]{0,20})?<\|message\|>"
_FINAL_HEADER: Final = re.compile(_FINAL)
_MAY_BE_FINAL_HEADER: Final = re.compile(
    r"<\|channel\|>final[^<\n]{0,40}(?:<[a-z|]{0,12}>?[^<\n]{0,20}){0,2}"
)
# The last alternative is an answer that follows without a channel.
_AFTER_ANALYSIS: Final = (
    rf"{_FINAL}|<\|start\|>assistant<\|message\|>|<\|end\|>(?=\s{{0,8}}(?:<[^|]|[^\s<]))"
)
# The same without special tokens: "analysisWe need to answer.assistantfinalHello".
_BARE_CHANNEL: Final = re.compile(
    r"(?:assistant)?(?:analysis|commentary)"
    r"(?=\n{0,3}[\"“]?(?:[A-Za-z][a-z'’]{0,20}[ ,.:]|[\u3041-\ud7a3])"
    r"|assistant(?:final|comm|anal)| to=)"
)
_MAY_BE_BARE_CHANNEL: Final = re.compile(
    r"(?:assistant)?(?:analysis|commentary)(?:\n{0,3}[\"“]?[A-Za-z]?[a-z'’]{0,20}| t?o?)"
)
# Other words after the name may be part of it, as in "analysisResult is a variable".
_SURE_BARE_CHANNEL: Final = re.compile(
    r"(?:assistant)?(?:analysis|commentary)"
    r"(?:assistant|(?:We|The|I|I'm|I'll|Let's|Let|They|There|It's|Okay|Ok|So|Hmm)[ ,.:]| to=)"
)
_BARE_FINAL: Final = "assistantfinal"

# Opening and closing marks.
_PAIRS: Final = {
    "[THINK]": "[/THINK]",  # Mistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",  # Kimi K3
    "<|START_THINKING|>": "<|END_THINKING|>",  # Cohere
    "<|channel>thought": "<channel|>",  # Gemma 4
    "<unused94>thought": "<unused95>",  # MedGemma
    "<|inner_prefix|>": "<|inner_suffix|>",  # Apertus
    "<|content_thinking|>": "<|end_message|>",  # Inkling
    "<|im_start|>think": "<|im_start|>answer",  # s1
    "[unused16]": "[unused17]",  # openPangu
    "to=self<|message|>": "<|eom|>",
}
# Tokens with such a name: <|begin_of_thought|> of Sky-T1, <|think|> of Solar, <|thinking_start|>.
_TOKEN: Final = re.compile(
    r"<[|｜](?:(?:begin|start)[_▁](?:of[_▁])?)?(think(?:ing)?|thought|reasoning)(?:_?start)?[|｜]>"
)
_MAY_BE_TOKEN: Final = re.compile(r"<[|｜]?[a-z_▁]{0,30}[|｜]?")
# What begins the answer itself, or a message in which reasoning or the answer comes.
_FRAMES: Final = (
    "<|start|>assistant",
    "<|begin|>assistant",
    "<|message_model|>",
    "<|channel|>final<|message|>",
    "assistant<|channel|>final<|message|>",
    "final<|message|>",
    _BARE_FINAL,
    "<|message|>",
    "<|content|>",
    "<|content_text|>",
    "<|begin_of_solution|>",
    "<|START_RESPONSE|>",
    "<|START_TEXT|>",
    "<|open|>response<|sep|>",
    "to=user<|message|>",
    "</mm:think>",  # MiniMax puts it before an answer without reasoning.
)
# Right after reasoning, the answer may be in such a tag.
_ANSWER_TAGS: Final = tuple(
    f"<{name}>" for name in ("answer", "output", "response", "solution", "final_answer")
)
_ENDS: Final = (
    *("<|return|>", "<|end|>", "<|call|>", "<|end_of_solution|>", "<|END_RESPONSE|>"),
    *("<|END_TEXT|>", "<|END_OF_TURN_TOKEN|>", "<|close|>response<|sep|>"),
    *("<|close|>message<|sep|>", "<|end_of_msg|>", "<|end_message|>", "<|eom|>", "<|eot|>"),
    *("<|content_model_end_sampling|>", "<turn|>", "<|im_end|>", "<|endoftext|>"),
)
_CLOSINGS: Final = {
    **{opening: re.escape(closing) for opening, closing in _PAIRS.items()},
    **dict.fromkeys(_CHANNELS, _AFTER_ANALYSIS),
}
_FRONT: Final = (*_FRAMES, *_ANSWER_TAGS, "assistantanalysis", "assistantcommentary")
LONGEST_CLOSING: Final = 120  # characters
# Every mark within an answer, or the beginning of one.
MAY_BE_MARK: Final = re.compile(
    r"</?(?:[a-z]*\||[a-z:|_-]{0,40}(?:think|thought|reason|reflection|scratchpad|\Z))",
    re.IGNORECASE,
)

# Closing marks whose opening one was in the prompt. If an answer only mentions a tag, words follow
# it on the line; if it mentions a token, a space or an opening sign precedes it.
_LATE_TAG: Final = re.compile(r"</(?:[a-z]+[:|_])?think(?:ing)?>[ \t]{0,9}\r?\n", re.IGNORECASE)
_LATE_TAG_OF_LINE: Final = re.compile(
    r"</(?:[a-z]+[:|_])?think(?:ing)?>(?=\w)(?!은|는|란|이란|이|가|와|과|을|를|의|에|로|도|태그)",
    re.IGNORECASE,
)
_MAY_BE_LATE_TAG: Final = re.compile(
    r"</?(?:[a-z]{0,10}[:|_])?(?:[a-z]{0,8}|think(?:ing)?>[ \t]{0,9}\r?)", re.IGNORECASE
)
_LATE_TOKENS: Final = (
    *("<|END_THINKING|>", "<|end_of_thought|>", "<|inner_suffix|>", "<channel|>"),
    *("<|channel|>final<|message|>", "<|start|>assistant<|channel|>final<|message|>"),
)
# The last is the beginning of a longer token, which was set apart.
_SETS_APART: Final = re.compile(r"(?:[\s(\[{\"“'‘`|]|\|>assistant)\Z")

# What follows a mark if a sentence is about it, as in "<think> and </think> are tags".
_MENTIONED: Final = re.compile(
    r"[ \t]*(?:…|\.{3}|[/|&,])[ \t]*<|[,;:)]|[.?!](?=\s)|-[A-Za-z]"
    r"|[ \t]+(?:(?:is|are|was|means?|marks?|begins?|starts?|opens?|ends?|closes?"
    r"|has|have|stands?|denotes?|indicates?|wraps?|contains?|signals?|tags?|blocks?|tokens?|and"
    r"|or|to|vs|ist|sind|und|oder|est|sont|et|ou|es|son|y)(?=[^\w=])|태그|블록|토큰)"
    r"|태그|블록|토큰|タグ|标签|標籤"
    r"|(?:은|는|란|이란|와|과|을|를|가|의|에|에서|에는|에는|도|만|로|으로|라는|이라는|라고|이라고"
    r"|부터|까지|처럼|같은|하고|및|や|は|と|の|が|を)(?=[ \t<`])"
)
_MAY_BE_MENTIONED: Final = re.compile(
    r"[ \t]*(?:…|\.{0,3}|[/|&,])[ \t]*|[-?!]|[ \t]+\w{0,8}|\w{1,3}"
)
# How a sentence about a mark may continue. Most reasoning begins with a line end or a capital.
_MAY_GO_ON: Final = re.compile(r"[ \t]+(?:[a-z]|[^\w\s<])")


class Kind(Enum):
    """What a mark does."""

    OPENS = auto()  # Reasoning follows.
    CLOSES = auto()  # All before it was reasoning.
    FRAMES = auto()  # The answer follows, or another mark.
    UNDECIDED = auto()  # More text decides whether it is a mark.


class Mark(NamedTuple):
    """A mark of *length* characters.

    *closing* is the pattern of what ends the reasoning that it opens; if that never comes, the text
    is reasoning only if that *is_sure*. *ends* may stand at the end of the answer.
    """

    kind: Kind
    length: int
    closing: str = ""
    ends: tuple[str, ...] = ()
    is_sure: bool = True


UNDECIDED: Final = Mark(Kind.UNDECIDED, 0)


def front_mark(text: str, *, is_after_reasoning: bool, is_whole: bool = False) -> Mark | None:
    """Return the mark that *text*, the beginning of an answer, begins with; None if it is none.

    If *text* *is_whole*, no mark is undecided.
    """
    mark = opening(text)
    if mark is not None and mark.kind is Kind.OPENS:
        return _unless_mentioned(mark, text, is_whole=is_whole)
    if final := _FINAL_HEADER.match(text):
        return Mark(Kind.FRAMES, final.end(), ends=_ENDS)
    for frame in _FRAMES:
        if text.startswith(frame):
            return Mark(Kind.FRAMES, len(frame), ends=_ENDS)
    for tag in _ANSWER_TAGS if is_after_reasoning else ():
        if text.startswith(tag):
            mark = Mark(Kind.FRAMES, len(tag), ends=(f"</{tag[1:]}",))
            return _unless_mentioned(mark, text, is_whole=is_whole)
    is_begun = any(begun.startswith(text) for begun in _FRONT)
    if mark is None and (is_begun or _MAY_BE_FINAL_HEADER.fullmatch(text)):
        mark = UNDECIDED
    return None if is_whole else mark


def mark_within(text: str, *, before: str, may_begin: bool, may_close: bool) -> Mark | None:
    """Return the mark that *text*, from the middle of an answer, begins with; None if it is none.

    *before* is the end of the text before it, "" at the beginning of a line. Reasoning *may_begin*
    here, or it *may_close*.
    """
    if may_begin and (tag := _TAG_WITHIN.match(text)):
        return _unless_mentioned(_of_tag(tag), text)
    may_be_tag = may_begin and _MAY_BE_TAG_WITHIN.fullmatch(text)
    if not may_close:
        return UNDECIDED if may_be_tag else None
    late = _LATE_TAG.match(text) or (_LATE_TAG_OF_LINE.match(text) if not before else None)
    if late is not None:
        return Mark(Kind.CLOSES, late.end())
    tokens = () if _SETS_APART.search(before) else _LATE_TOKENS
    for token in tokens:
        if text.startswith(token):
            return Mark(Kind.CLOSES, len(token), ends=_ENDS)
    may_be_late = _MAY_BE_LATE_TAG.fullmatch(text) or any(
        token.startswith(text) for token in tokens
    )
    return UNDECIDED if may_be_tag or may_be_late else None


def opening(text: str) -> Mark | None:
    """Return the mark of reasoning that *text* begins with, wherever it is; None if it is none."""
    if tag := _TAG.match(text):
        return _of_tag(tag)
    if named := _TOKEN.match(text):
        return Mark(Kind.OPENS, named.end(), _token_closing(named[1]), _ENDS)
    for token, closing in _CLOSINGS.items():
        if text.startswith(token):
            return Mark(Kind.OPENS, len(token), closing, _ENDS)
    if bare := _BARE_CHANNEL.match(text):
        is_sure = _SURE_BARE_CHANNEL.match(text) is not None
        return Mark(Kind.OPENS, bare.end(), _BARE_FINAL, is_sure=is_sure)
    is_begun = any(token.startswith(text) for token in _CLOSINGS)
    may_be = (_MAY_BE_TAG, _MAY_BE_TOKEN, _MAY_BE_BARE_CHANNEL)
    return UNDECIDED if is_begun or any(one.fullmatch(text) for one in may_be) else None


def ending(text: str, ends: tuple[str, ...], *, is_whole: bool = False) -> Mark | None:
    """Return the *ends* that *text* begins with if nothing but another mark follows them.

    If *text* *is_whole*, part of an end is enough.
    """
    run = re.match(rf"(?:(?:{'|'.join(map(re.escape, ends))})\s{{0,99}})*", text)
    assert run is not None
    rest = text[run.end() :]
    following = front_mark(rest, is_after_reasoning=False) if run.end() else None
    is_cut = bool(text) and any(end.startswith(rest) for end in ends)
    if following is UNDECIDED or is_cut:
        # A lone < is a sign like any other.
        return Mark(Kind.FRAMES, len(text)) if is_whole and text != "<" else UNDECIDED
    return None if following is None else Mark(Kind.FRAMES, run.end())


def _of_tag(tag: re.Match[str]) -> Mark:
    return Mark(Kind.OPENS, tag.end(), rf"(?i:</{re.escape(tag[1])}\s{{0,9}}>)")


def _token_closing(name: str) -> str:
    """Return the pattern of the tokens that may close the opening token of a *name*."""
    return rf"<[|｜](?:(?:/|end[_▁]?(?:of[_▁])?){name}|{name}_?end|end)[|｜]>"


def _unless_mentioned(mark: Mark, text: str, *, is_whole: bool = False) -> Mark | None:
    """Return *mark*, at the beginning of *text*, unless a sentence is about it."""
    if _MENTIONED.match(text, mark.length):
        return None
    if not is_whole and _MAY_BE_MENTIONED.fullmatch(text, mark.length):
        return UNDECIDED
    return mark._replace(is_sure=mark.is_sure and not _MAY_GO_ON.match(text, mark.length))


@lru_cache(8)
def nested_opening(opening: str) -> re.Pattern[str]:
    """Return the pattern of a second *opening* within reasoning, unless a sentence mentions it."""
    tag = rf"(?i:{re.escape(opening)})(?!{_MENTIONED.pattern})(?=[\s\S]{{9}})"
    return re.compile(rf"(?:\n[ \t]*|[^\s\"'“‘`(\[{{]){tag}|\s{tag}(?=\w)")


def late_closing(closing: str, text: str) -> Mark | None:
    """Return the mark that ends the outer reasoning if *text* begins with it; None otherwise."""
    if found := re.match(closing, text):
        return Mark(Kind.CLOSES, found.end())
    is_begun = "</".startswith(text[:2]) and ">" not in text and len(text) < LONGEST_CLOSING
    return UNDECIDED if is_begun else None
