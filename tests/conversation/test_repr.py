"""No repr of a value contains what people wrote, so none can bring it into a log."""

from dataclasses import fields, is_dataclass

import pytest

from bot.assistant.answer import Answer, Generation
from bot.conversation.exchange import Attempt, Exchange, Files, OpenQuestion, ReplyContext
from bot.conversation.prompt import Prompt, Turn
from bot.inbox.questions import Question
from bot.inbox.recent_edits import Version
from bot.llm.api_config import ApiConfig
from bot.llm.stream_decoder import Chunk
from bot.replies.parts import Part
from bot.replies.plan import PlannedPart

CARRIERS = [
    *(Answer, ApiConfig, Attempt, Chunk, Exchange, Files, Generation, OpenQuestion),
    *(Part, PlannedPart, Prompt, Question, ReplyContext, Turn, Version),
]


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.__name__)
def test_a_value_with_text_shows_none_of_its_fields(carrier: type) -> None:
    assert is_dataclass(carrier)
    value = object.__new__(carrier)
    for field in fields(carrier):
        object.__setattr__(value, field.name, "what somebody wrote")
    assert "what somebody wrote" not in f"{value!r} {value}"
