"""Unscripted replies of the stand-in model: an echo for tests, examples for people."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from bot.sandbox.model.rules import last_question, text_of

_QUOTED: Final = 200  # characters of a question in the reply
_WHO_WROTE: Final = re.compile(r"^⟦[^⟧\n]*⟧$", re.MULTILINE)
_HANGUL: Final = re.compile("[\uac00-\ud7a3\u3131-\u318e]")
_ASKS_FOR_CODE: Final = re.compile(r"\bcode\b|\bpython\b|코드|파이썬", re.IGNORECASE)
_ASKS_FOR_TABLE: Final = re.compile(r"\btable\b|표로|표를|표 |테이블", re.IGNORECASE)
_ASKS_FOR_LENGTH: Final = re.compile(r"\blong(er)?\b|길게|긴 ", re.IGNORECASE)

_CODE: Final = '''```python
from collections import Counter


def most_common_words(text: str, count: int = 3) -> list[str]:
    """Return the *count* words that occur most often in *text*."""
    words = Counter(text.lower().split())
    return [word for word, _ in words.most_common(count)]


print(most_common_words("the cat and the dog and the bird"))
```'''
_TABLE: Final = """| Port | Made of | Opened |
|---|---|---|
| Piraeus | limestone | 493 BC |
| Busan | concrete | 1876 |
| Rotterdam | sand and steel | 1872 |"""


def echo(messages: Sequence[dict[str, Any]]) -> str:
    """Return `You said: <last user text> [<number of messages> messages]`."""
    return f"You said: {last_question(messages)} [{len(messages)} messages]"


def offline_reply(messages: Sequence[dict[str, Any]], prompt_tokens: int) -> str:
    """Return an answer that shows the bot's formatting and states that no model wrote it.

    A question that names code, a table or something long gets one; any other gets a summary of
    the prompt. A Korean question gets a Korean answer.
    """
    question = last_question(messages)
    words = _KOREAN if _HANGUL.search(question) else _ENGLISH
    if _ASKS_FOR_CODE.search(question):
        return f"{words['code']}\n\n{_CODE}\n\n{words['label']}"
    if _ASKS_FOR_TABLE.search(question):
        return f"{words['table']}\n\n{_TABLE}\n\n{words['label']}"
    if _ASKS_FOR_LENGTH.search(question):
        return _long(words)
    return f"{words['hello'].format(question=_quoted(question))}\n\n" + _prompt_summary(
        words, messages, prompt_tokens
    )


def _long(words: dict[str, str]) -> str:
    parts = [f"{number}. {words['paragraph']}" for number in range(1, 13)]
    return "\n\n".join([words["long"], *parts[:6], _CODE, *parts[6:], words["label"]])


def _prompt_summary(
    words: dict[str, str], messages: Sequence[dict[str, Any]], prompt_tokens: int
) -> str:
    roles = Counter(message["role"] for message in messages)
    facts = [words["counts"].format(tokens=prompt_tokens, exchanges=roles["assistant"])]
    facts.append(", ".join(f"`{role}` {count}" for role, count in roles.items()))
    facts += [
        words["system"].format(text=_quoted(text_of(message)))
        for message in messages
        if message["role"] in ("system", "developer")
    ]
    earlier = [text_of(message) for message in messages if message["role"] == "user"][:-1]
    if earlier:
        facts.append(words["earlier"].format(question=_quoted(earlier[-1])))
    return "\n".join(f"- {line}" for line in facts) + f"\n\n{words['label']}"


def _quoted(text: str) -> str:
    """Return *text* on one line, without the lines that name its author."""
    line = " ".join(_WHO_WROTE.sub("", text).split())
    return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}…"


_ENGLISH: Final = {
    "hello": "Hello! You asked: “{question}”. This is what a model would have been sent with it:",
    "counts": "about {tokens} tokens; earlier answers of mine: {exchanges}",
    "system": "the system prompt: “{text}”",
    "earlier": "your question before this one: “{question}”",
    "label": "*I am the offline stand-in: no model has seen this. "
    "Ask me for code, a table or something long.*",
    "code": "Here is some code, to show how a code block arrives:",
    "table": "Here is a table, as models write them:",
    "long": "Here is a long answer. It does not fit into one message, so watch where it is cut.",
    "paragraph": "A harbour is a promise made in stone: whoever comes in from the open water finds "
    "the same mole, the same lamp and the same place to tie up, whatever the weather did to the "
    "charts. Ships change, cargoes change, and the people on the quay are never the same for long, "
    "yet every spring somebody scrapes the rust off the same iron rings and paints them again.",
}
_KOREAN: Final = {
    "hello": "안녕하세요! “{question}”라고 하셨네요. 모델이라면 이런 내용을 함께 받았을 거예요:",
    "counts": "약 {tokens}토큰, 그리고 제가 앞서 한 대답 {exchanges}개",
    "system": "시스템 프롬프트: “{text}”",
    "earlier": "바로 앞의 질문: “{question}”",
    "label": "*저는 오프라인 대역입니다. 실제 모델은 이 글을 보지 않았어요. "
    "코드, 표로 정리, 길게 써 달라고 해 보세요.*",
    "code": "코드 블록이 어떻게 보이는지 보여 드릴게요:",
    "table": "모델이 쓰는 방식 그대로 표를 하나 보여 드릴게요:",
    "long": "긴 대답입니다. 메시지 하나에 다 들어가지 않으니 어디서 나뉘는지 보세요.",
    "paragraph": "항구는 돌로 지은 약속입니다. 먼바다에서 돌아오는 배는 날씨가 해도를 어떻게 "
    "바꾸어 놓았든 같은 방파제와 같은 등불, 배를 묶을 같은 자리를 찾게 됩니다. 배도 바뀌고 짐도 "
    "바뀌고 부두에 선 사람들도 오래 머물지 않지만, 봄이 오면 누군가는 같은 쇠고리의 녹을 긁어내고 "
    "다시 칠을 합니다.",
}
