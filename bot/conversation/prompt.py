"""Build the prompt: the system prompt, the whole exchanges that fit, and the question."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final

from bot.conversation.context_window import NO_LIMIT
from bot.conversation.exchange import NO_REPLY_CONTEXT, Exchange, ReplyContext
from bot.conversation.image_selection import NO_IMAGES, ImageRoom, ImageSelection, TurnImages
from bot.conversation.images import Image
from bot.conversation.prompt_markup import (
    ANSWERED_EARLIER,
    CUT_MARK,
    GAP_TOKENS,
    GO_ON,
    SPEAKERS_NOTE,
    WRITES,
    defused,
    time_gap,
)
from bot.conversation.token_estimate import (
    MESSAGE_OVERHEAD_TOKENS,
    PROMPT_OVERHEAD_TOKENS,
    estimate_tokens,
    last_part,
    shorten,
)

SYSTEM_TURNS: Final = 1000  # whose cost is kept in mind: each channel has its own
QUOTED_SHARE: Final = 4  # A quoted message yields to the question down to a quarter of the room.
ABOVE_SHARE: Final = 4  # What stands above a quoted message gets a quarter of the room at most.
QUESTION_SHARE: Final = 4  # If a reply is continued, its question gets a quarter at most.
ENDING_TOKENS: Final = 8  # of a reply that is continued, at least: some words
ANSWER_TOKENS: Final = 400  # of an earlier answer that is replied to: enough to know it by


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
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked.

    *tokens* is the estimate for its text without calibration, *exchanges* how many of the history
    are in it and *history_tokens* their part of the estimate. *read_percent* is the share of
    the question that fitted, 100 unless it had to be shortened. *turn_images* says whose images are
    to go with it, the question's first. *reply_tokens* bounds the reply, in the tokens of the
    model, beside the limit that is set.
    """

    turns: tuple[Turn, ...]
    tokens: int
    exchanges: int
    read_percent: int
    turn_images: tuple[TurnImages, ...] = ()
    history_tokens: int = 0
    reply_tokens: int = NO_LIMIT

    @property
    def images(self) -> int:
        """How many pictures are in it."""
        return sum(len(turn.images) for turn in self.turns)

    @property
    def image_count(self) -> int:
        """How many images are to go with it."""
        return sum(one.count for one in self.turn_images)

    def images_for(self, exchange: Exchange) -> int:
        """How many of the pictures of *exchange* are to go with it."""
        return sum(one.count for one in self.turn_images if one.exchange is exchange)

    def images_sent_for(self, exchange: Exchange) -> int:
        """How many of them are there."""
        turns = (self.turns[one.turn] for one in self.turn_images if one.exchange is exchange)
        return sum(len(turn.images) for turn in turns)

    def with_images(self, images: Mapping[int, Sequence[Image]]) -> "Prompt":
        """Return this prompt with *images*, by the number of their turn."""
        turns = [
            replace(turn, images=tuple(images.get(number, ())))
            for number, turn in enumerate(self.turns)
        ]
        return replace(self, turns=tuple(turns))


def end_of(exchange: Exchange, tokens: int) -> Exchange:
    """Return *exchange* with the end of its reply and the beginning of its question that fit.

    It costs at most *tokens*. If hardly a word of the reply fits, *exchange* is returned whole.
    """
    bare = replace(exchange, embedded="", quoted="", files="")
    asked = replace(bare, question=shorten(bare.question, tokens // QUESTION_SHARE))
    room = tokens - exchange_tokens(replace(asked, reply=""))
    if room < ENDING_TOKENS:
        return exchange
    while True:
        ending = replace(asked, reply=last_part(exchange.reply, room))
        ending = replace(ending, tokens=exchange_tokens(ending))
        # Texts may cost a token or two more together than apart.
        if ending.tokens <= tokens or room < 1:
            return ending
        room -= ending.tokens - tokens


def exchange_tokens(exchange: Exchange) -> int:
    """Return the estimate for both turns of *exchange*, without calibration."""
    return sum(_turn_tokens(turn) for turn in _turns(exchange))


def _nothing_more(_number: int, _room: int) -> int:
    return 0


def fit(costs: Sequence[int], budget: int, more: Callable[[int, int], int] = _nothing_more) -> int:
    """Return how many of the last *costs* come to at most *budget* together.

    *more* takes what goes with one of them, by its number, of what it leaves, and says how much.
    """
    start = len(costs)
    while start and costs[start - 1] <= budget:
        start -= 1
        budget -= costs[start]
        budget -= more(start, budget)
    return len(costs) - start


def build_prompt(
    system_prompt: str,
    exchanges: Sequence[Exchange],
    question: Exchange,
    *,
    token_budget: int,
    place: str = "",
    reply_context: ReplyContext = NO_REPLY_CONTEXT,
    image_room: ImageRoom = NO_IMAGES,
) -> Prompt:
    """Return the prompt for *question*, with as many of *exchanges*, oldest first, as fit.

    *place* says where that is, *reply_context* what it is about besides what it quotes; what
    continues the last of *exchanges* (`go_on_with`) gets the end of its reply alone if
    there is no room for more. Costs at most *token_budget*, an
    estimate without calibration, unless the system turn alone leaves no room: it always stays, and
    so does the beginning of the question. The pictures of the question go before all others, as
    many as fit; those of an exchange with it, or not at all.
    """
    named = any(one.author for one in (question, *exchanges))
    system, system_tokens = _system_turn(system_prompt, place, named=named)
    room = token_budget - PROMPT_OVERHEAD_TOKENS - system_tokens
    asked, asked_tokens, read_percent = _fitted_question(question, room)
    most_above = room // ABOVE_SHARE
    room -= asked_tokens
    goes_on = bool(exchanges) and question.quoted == GO_ON
    if goes_on and exchanges[-1].tokens > room:
        exchanges = [*exchanges[:-1], end_of(exchanges[-1], room)]
    # An exchange that is kept lets the next question say how long after it that came.
    gaps = [_gap(before, after) for before, after in pairwise((*exchanges, question))]
    costs = [
        exchange.tokens + (GAP_TOKENS if gap else 0)
        for exchange, gap in zip(exchanges, gaps, strict=True)
    ]
    album = ImageSelection(image_room)
    about = len(exchanges) - (1 if goes_on else 0)
    about_turn = _turns(exchanges[about])[0] if about < len(exchanges) else asked
    spare = room - sum(costs[about:])
    reserved = album.price(question) + (most_above if reply_context.quotations else 0)
    if about and costs[about - 1] + reserved <= spare:
        reply_context = _without(exchanges[about - 1], reply_context)
    below, above_tokens = _below(reply_context, about_turn, min(spare, most_above))
    room -= above_tokens
    kept = fit(
        costs,
        room - album.take_some(question, room),
        lambda number, left: album.take(exchanges[number], left),
    )
    start = len(exchanges) - kept
    turns, gap_before = list(system), ""
    for number in range(start, len(exchanges)):
        said, replied = _turns(exchanges[number])
        turns += (_after(gap_before, below if number == about else said), replied)
        gap_before = gaps[number]
    turns.append(_after(gap_before, below if about == len(exchanges) else asked))
    tokens = token_budget - room + sum(costs[start:])
    turn_images = album.placed(exchanges[start:], question, first_turn=len(system))
    return Prompt(tuple(turns), tokens, kept, read_percent, turn_images, sum(costs[start:]))


def without_system_turn(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Return *turns* with the system prompt moved to the start of the first user turn."""
    if len(turns) < 2 or turns[0].role is not Role.SYSTEM:
        return turns
    system, first, *others = turns
    return [replace(first, text=f"{system.text}\n\n{first.text}"), *others]


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


def _without(exchange: Exchange, reply_context: ReplyContext) -> ReplyContext:
    """Return *reply_context* without *exchange*, which comes right before the question."""
    is_there = (
        reply_context.answer is not None and reply_context.answer.message_id == exchange.message_id
    )
    return replace(reply_context, answer=None) if is_there else reply_context


def _below(reply_context: ReplyContext, turn: Turn, room: int) -> tuple[Turn, int]:
    """Return *turn* below as much of *reply_context* as fits into *room*, and what that costs."""
    tokens = _turn_tokens(turn)
    if reply_context.answer is not None:
        bare = _under((_answered(reply_context.answer, 0), *reply_context.quotations), turn)
        words_room = min(room - (_turn_tokens(bare) - tokens), ANSWER_TOKENS)
        while words_room > 0:
            whole = _under(
                (_answered(reply_context.answer, words_room), *reply_context.quotations), turn
            )
            if (cost := _turn_tokens(whole) - tokens) <= room:
                return whole, cost
            words_room -= cost - room  # Texts may cost a token or two more together than apart.
    for start in range(len(reply_context.quotations)):
        whole = _under(reply_context.quotations[start:], turn)
        if (cost := _turn_tokens(whole) - tokens) <= room:
            return whole, cost
    return turn, 0


def _under(texts: Sequence[str], turn: Turn) -> Turn:
    return replace(turn, text="\n".join((*texts, turn.text)))


def _answered(exchange: Exchange, tokens: int) -> str:
    """Return the beginning of a reply, of that many tokens, as it stands where it is replied to."""
    whole = defused(exchange.reply)
    words = shorten(whole, tokens)
    header = ANSWERED_EARLIER.format(name=exchange.author)
    return f"{header}\n{words}{'…' if len(words) < len(whole) else ''}"


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
