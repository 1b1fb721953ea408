"""The name of a thread, and the places that allow one."""

import logging
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.inbox import threads
from bot.inbox.threads import THREAD_NAME_LENGTH, thread_name
from bot.markdown.characters import is_boundary
from bot.transport.pacer import Pacer
from tests.world import SPEAK_IN_THREADS, World

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
QUESTIONS = st.one_of(
    st.text(max_size=300),
    st.text(alphabet=" \n\t`*_~|>#-👩\u200d👦🏽한가é\u0301\x00\u3000", max_size=300),
)


@given(QUESTIONS)
def test_every_thread_name_is_valid_for_discord(question: str) -> None:
    """1 to 100 characters, not blank, on one line, nothing invisible at its ends."""
    name = thread_name(question)
    assert 1 <= len(name) <= THREAD_NAME_LENGTH
    assert name == name.strip()
    assert name.strip("\u200c\u200d")
    assert all(char.isprintable() or char in "\u200c\u200d" for char in name)
    name.encode()


@given(QUESTIONS)
def test_only_a_long_question_is_cut(question: str) -> None:
    name = thread_name(question)
    if len(question) <= THREAD_NAME_LENGTH and question.isalnum():
        assert name == question


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What is tea?", "What is tea?"),
        ("What is **bold** and ~~gone~~ and ||hidden||?", "What is bold and gone and hidden?"),
        ("# Title\n> quoted\n- item", "Title quoted item"),
        ("fix this:\n```python\nprint(1)\n```", "fix this: print(1)"),
        ("run `ls -l` now", "run ls -l now"),
        ("see https://example.org/a", "see example.org/a"),
        ("  a \n\n b\t c ", "a b c"),
        ("", "…"),
        ("***", "***"),
        ("What is 2 * 3 + 4 * 5?", "What is 2 * 3 + 4 * 5?"),
        ("*.py vs *.txt", "*.py vs *.txt"),
        ("my_var and _it_ and __this__", "my_var and it and this"),
        ("***~~||so much||~~***", "so much"),
        ("[the docs](https://x.y/z) say <https://a.b/c>", "the docs say a.b/c"),
        ("\x00 \x00", "…"),
        ("\u200d", "…"),
        ("\x00 a \x07 b", "a b"),
        ("a\u00a0b", "a b"),
        ("😀 " + FAMILY, "😀 " + FAMILY),
        ("\ud800a", "a"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 99 + "…"),
        ("word " * 30, "word " * 19 + "word…"),
        ("x" * 60 + " " + "y" * 60, "x" * 60 + "…"),
        ("x" * 20 + " " + "y" * 100, "x" * 20 + " " + "y" * 78 + "…"),
        ("e" + "\u0301" * 200, "…"),
    ],
)
def test_names(question: str, name: str) -> None:
    assert thread_name(question) == name


@given(st.integers(80, 99))
def test_a_cut_splits_no_character(before: int) -> None:
    text = "x" * before + FAMILY * 5
    name = thread_name(text)
    assert is_boundary(text, len(name) - 1)


class Question:
    """A message from which a thread can be made after some *refusals*."""

    def __init__(self, *refusals: tuple[int, int], allowed: int = SPEAK_IN_THREADS) -> None:
        world = World()
        world.guild.default_role._permissions = allowed
        self.id, self.guild, self.channel = 5, world.guild, world.channel
        self.attempts = 0
        self._refusals = refusals

    async def create_thread(self, *, name: str) -> str:
        self.attempts += 1
        if self.attempts > len(self._refusals):
            return name
        status, code = self._refusals[self.attempts - 1]
        headers = {"Content-Type": "application/json"}
        response: Any = SimpleNamespace(status=status, reason="", headers=headers)
        kind = discord.Forbidden if status == 403 else discord.HTTPException
        raise kind(response, {"code": code, "message": "No."})


LOCKED = (423, 0)


@pytest.mark.parametrize(
    ("refusals", "attempts", "logged"),
    [
        ([], 1, ""),
        ([LOCKED, (409, 0)], 3, ""),
        ([LOCKED] * 3, 3, "status 423, code 0"),
        ([(400, 160006)], 1, "status 400, code 160006"),
        ([(403, 50013)], 1, "status 403, code 50013"),
    ],
)
async def test_a_thread_is_tried_again_after_a_transient_refusal(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refusals: list[tuple[int, int]],
    attempts: int,
    logged: str,
) -> None:
    monkeypatch.setattr(threads, "THREAD_RETRY_SECONDS", (0.0, 0.0))
    question: Any = Question(*refusals)
    caplog.set_level(logging.INFO)
    caplog.clear()
    thread: Any = await threads.open_thread(question, "A talk", Pacer())
    assert (thread, question.attempts) == (None if logged else "A talk", attempts)
    lines = [f"Cannot create a thread from question 5: {logged}"] if logged else []
    assert caplog.messages == lines


async def test_the_log_names_the_permission_that_a_thread_needs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    allowed = discord.Permissions(view_channel=True, send_messages_in_threads=True).value
    question: Any = Question((403, 50013), allowed=allowed)
    caplog.set_level(logging.INFO)
    caplog.clear()
    assert await threads.open_thread(question, "A talk", Pacer()) is None
    reason = "the permission Create Public Threads is missing"
    assert caplog.messages == [f"Cannot create a thread from question 5: {reason}"]
