"""Build the prompt: the system prompt, the whole exchanges that fit, and the question."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final

from bot.conversation import Exchange
from bot.gaps import GAP_TOKENS, time_gap
from bot.tokens import (
    MESSAGE_OVERHEAD_TOKENS,
    PROMPT_OVERHEAD_TOKENS,
    estimate_tokens,
    shorten,
)

# Double brackets frame what the program says to the model. Nobody can type them: `defused` turns
# them into ordinary ones, so a line in double brackets always tells the truth.
SPEAKERS_NOTE: Final = (
    "Lines in ⟦double brackets⟧ come from the chat program, never from people: they say who wrote "
    "what follows them, when and where. Answer without such lines."
)
WRITES: Final = "⟦{name} writes⟧"
WROTE_EARLIER: Final = "⟦{name} wrote earlier; the next message replies to it⟧"
FORWARDED: Final = "⟦forwarded message⟧"
EMBED: Final = "⟦embed⟧"
FILE: Final = "⟦file {name}⟧"
FILE_LINE: Final = re.compile("^⟦file (.*)⟧$", re.MULTILINE)
PROGRAM_LINE: Final = re.compile("^⟦.*⟧\n?", re.MULTILINE)
CUT_MARK: Final = "⟦this answer was cut short here⟧"
GO_ON: Final = "⟦go on exactly where your answer was cut short; repeat nothing of it⟧"
NAME_LENGTH: Final = 40  # Discord allows 32 characters; other names are cut here.
SYSTEM_TURNS: Final = 1000  # whose cost is kept in mind: each channel has its own
QUOTED_SHARE: Final = 4  # A quoted message yields to the question down to a quarter of the room.
ABOVE_SHARE: Final = 4  # What stands above a quoted message gets a quarter of the room at most.


class Role(StrEnum):
    """Who speaks in a prompt; the API's words."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """One entry of the API's list of messages."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked.

    *tokens* is the estimate without calibration, *exchanges* how many of the history are in it.
    *read_percent* is the share of the question that fitted, 100 unless it had to be shortened.
    """

    turns: tuple[Turn, ...]
    tokens: int
    exchanges: int
    read_percent: int


def speaker_name(display_name: str, user_name: str) -> str:
    """Return a name on one line that only this person can have: user names are unique."""
    shown, handle = _plain_name(display_name), _plain_name(user_name)
    return f"{shown} (@{handle})" if shown and shown != handle else f"@{handle}"


def _plain_name(name: str) -> str:
    words = re.sub(r"[\[\]()@⟦⟧]", " ", name).split()
    return "".join(filter(str.isprintable, " ".join(words)))[:NAME_LENGTH].strip()


def defused(text: str) -> str:
    """Return *text* without the brackets that only the program may write."""
    return text.replace("⟦", "[[").replace("⟧", "]]")


def quote(author: str, text: str, embedded: str = "") -> str:
    """Return an earlier message as it stands before the one that replies to it."""
    return "\n".join(filter(None, (WROTE_EARLIER.format(name=author), defused(text), embedded)))


def without_program_lines(text: str) -> str:
    """Return of *text*, which is ready for the model, what people wrote."""
    return PROGRAM_LINE.sub("", text)


def a_file(name: str, text: str) -> str:
    """Return a file as it stands behind the question that it came with; *text* is defused."""
    return f"{FILE.format(name=name)}\n{text}"


def kept_files(files: str, names: Collection[str]) -> str:
    """Return of *files*, as `a_file` put them, those with one of these names.

    Text without a name is a paste, which goes when nothing is left.
    """
    paste, *named = FILE_LINE.split(files)
    pairs = zip(named[::2], named[1::2], strict=True)
    kept = [a_file(name, text.strip("\n")) for name, text in pairs if name in names]
    return "\n".join(filter(None, (paste.strip("\n") if names else "", *kept)))


def go_on_with(exchange: Exchange) -> Exchange:
    """Return what the model is asked so that it goes on with the cut reply of *exchange*."""
    return replace(exchange, author="", question="", embedded="", quoted=GO_ON, files="")


def exchange_tokens(exchange: Exchange) -> int:
    """Return the estimate for both turns of *exchange*, without calibration."""
    return sum(_turn_tokens(turn) for turn in _turns(exchange))


def fit(costs: Sequence[int], budget: int) -> int:
    """Return how many of the last *costs* come to at most *budget* together."""
    count = 0
    for cost in reversed(costs):
        budget -= cost
        if budget < 0:
            break
        count += 1
    return count


def build_prompt(
    system_prompt: str,
    exchanges: Sequence[Exchange],
    question: Exchange,
    *,
    token_budget: int,
    place: str = "",
    above: Sequence[str] = (),
) -> Prompt:
    """Return the prompt for *question*, with as many of *exchanges*, oldest first, as fit.

    *place* says where that is, *above* is what stands above the message that it replies to, oldest
    first. Costs at most *token_budget*, an estimate without calibration, unless the system turn
    alone leaves no room: it always stays, and so does the beginning of the question.
    """
    named = any(one.author for one in (question, *exchanges))
    system, system_tokens = _system_turn(system_prompt, place, named=named)
    room = token_budget - PROMPT_OVERHEAD_TOKENS - system_tokens
    asked, asked_tokens, read_percent = _fitted_question(question, room)
    asked, asked_tokens = _below(above, asked, asked_tokens, room)
    room -= asked_tokens
    # An exchange that is kept lets the next question say how long after it that came.
    gaps = [_gap(before, after) for before, after in pairwise((*exchanges, question))]
    costs = [
        exchange.tokens + (GAP_TOKENS if gap else 0)
        for exchange, gap in zip(exchanges, gaps, strict=True)
    ]
    kept = fit(costs, room)
    start = len(exchanges) - kept
    turns, gap_before = list(system), ""
    for exchange, gap_behind in zip(exchanges[start:], gaps[start:], strict=True):
        said, replied = _turns(exchange)
        turns += (_after(gap_before, said), replied)
        gap_before = gap_behind
    turns.append(_after(gap_before, asked))
    tokens = token_budget - room + sum(costs[start:])
    return Prompt(tuple(turns), tokens, kept, read_percent)


def halved(exchanges: Sequence[Exchange]) -> Sequence[Exchange]:
    """Return the newer half of *exchanges*, for when the API finds a prompt too long."""
    return exchanges[(len(exchanges) + 1) // 2 :]


def _turn_tokens(turn: Turn) -> int:
    return MESSAGE_OVERHEAD_TOKENS + estimate_tokens(turn.text)


@lru_cache(SYSTEM_TURNS)
def _system_turn(system_prompt: str, place: str, *, named: bool) -> tuple[tuple[Turn, ...], int]:
    """Return the turn, if there is any, and what it costs; the same for question after question."""
    of_program = (SPEAKERS_NOTE, place) if named else ()
    text = "\n\n".join(filter(None, (system_prompt.strip(), *of_program)))
    turns = (Turn(Role.SYSTEM, text),) if text else ()
    return turns, sum(map(_turn_tokens, turns))


def _gap(before: Exchange, after: Exchange) -> str:
    return time_gap(before.message_id, after.message_id) if after.author else ""


def _after(gap: str, turn: Turn) -> Turn:
    return replace(turn, text=f"{gap}\n{turn.text}") if gap else turn


def _below(above: Sequence[str], asked: Turn, tokens: int, room: int) -> tuple[Turn, int]:
    """Return the question below the last of *above* that there is room for, and what both cost."""
    most = min(room, tokens + room // ABOVE_SHARE)
    for start in range(len(above)):
        whole = replace(asked, text="\n".join((*above[start:], asked.text)))
        if (cost := _turn_tokens(whole)) <= most:
            return whole, cost
    return asked, tokens


def _turns(exchange: Exchange) -> tuple[Turn, Turn]:
    reply = f"{exchange.reply}\n{CUT_MARK}" if exchange.cut else exchange.reply
    return _asked(exchange, exchange.quoted, _words(exchange)), Turn(Role.ASSISTANT, reply)


def _words(exchange: Exchange) -> str:
    """Return all that is asked; what it holds beside words comes last, and so yields first."""
    question = defused(exchange.question) if exchange.author else exchange.question
    return "\n".join(filter(None, (question, exchange.embedded, exchange.files)))


def _asked(exchange: Exchange, quoted: str, words: str) -> Turn:
    header = WRITES.format(name=exchange.author) if exchange.author else ""
    return Turn(Role.USER, "\n".join(filter(None, (quoted, header, words))))


def _fitted_question(exchange: Exchange, room: int) -> tuple[Turn, int, int]:
    """Return the question as far as it fits, what it costs, and how much in 100 that is of it."""
    words = _words(exchange)
    whole = _asked(exchange, exchange.quoted, words)
    tokens = _turn_tokens(whole)
    if tokens <= room:
        return whole, tokens, 100
    text_room = room - _turn_tokens(_asked(exchange, "", ""))
    word_tokens = estimate_tokens(words)
    while True:
        quoted_room = max(text_room - word_tokens - 1, text_room // QUOTED_SHARE)
        quoted = shorten(exchange.quoted, quoted_room)
        kept = shorten(words, max(text_room - estimate_tokens(quoted) - 1, 1))
        asked = _asked(exchange, quoted, kept)
        # Texts may cost a token or two more together than apart.
        tokens = _turn_tokens(asked)
        if tokens <= room or text_room < 1:
            break
        text_room -= tokens - room
    percent = 100 * len(kept) // len(words) if words else 100
    return asked, tokens, percent
