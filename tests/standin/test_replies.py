"""Replies of the offline model to people who try the bot without an account."""

from typing import Any

import pytest

from bot.sandbox.model.replies import offline_reply
from bot.sandbox.model.rules import count_prompt_tokens


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("Show me some code please", "```python"),
        ("a table of ports", "|---|"),
        ("한국어로 대답해 줘", "오프라인 대역"),
        ("코드 좀 보여 줘", "```python"),
        ("What do you think?", "`user` 2"),
        ("and?", "“first”"),
        ("and {this}?", "{this}"),
    ],
)
def test_offline_reply_matches_the_request(question: str, shown: str) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": question}]},
    ]
    assert shown in offline_reply(messages, count_prompt_tokens(messages))


@pytest.mark.parametrize("question", ["a long story", "길게 써 줘"])
def test_long_offline_reply_needs_several_messages(question: str) -> None:
    assert len(offline_reply([{"role": "user", "content": question}], 9)) > 2000
