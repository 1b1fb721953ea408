"""Build the prompt: the system prompt, the whole exchanges that fit, and the question."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final

from bot.conversation.context_window import NO_LIMIT
from bot.conversation.exchange import NO_REPLY_CONTEXT, Exchange, ReplyContext
from bot.conversation.image_selection import NO_IMAGES, ImageBudget, ImageSelection, TurnImages
from bot.conversation.images import Image
from bot.conversation.prompt_echoes import without_echoes
from bot.conversation.prompt_markup import (
    ANSWERED_EARLIER,
    CONTINUE_NOTE,
    CUT_MARK,
    GAP_TOKENS,
    SPEAKERS_NOTE,
    WRITES,
    defused,
    marked_if_cut,
    time_gap,
)
from bot.conversation.token_estimate import (
    MESSAGE_OVERHEAD_TOKENS,
    PROMPT_OVERHEAD_TOKENS,
    estimate_tokens,
    last_part,
    shorten,
)

SYSTEM_TURNS: Final = 1000  # with their costs in the cache; each channel has its own
QUOTED_SHARE: Final = 4  # A quotation is shortened for the question, to a quarter of the budget.
REPLY_CONTEXT_SHARE: Final = 4  # The reply context gets a quarter of the budget at most.
QUESTION_SHARE: Final = 4  # If a reply is continued, its question gets a quarter at most.
ENDING_TOKENS: Final = 8  # the least of a reply that is continued: some words
ANSWER_TOKENS: Final = 400  # of an earlier answer that is replied to: enough to recognise it


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """The default *system_prompt*, and the *token_budget* of each prompt."""

    system_prompt: str
    token_budget: int


class Role(StrEnum):
    """The author of a turn, in the API's words."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True, repr=False)
class Turn:
    """One entry of the API's list of messages."""

    role: Role
    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Prompt:
    """A request to a model, without the options.

    *tokens* is the estimate for its text without calibration. *exchanges* is how many of the
    history it contains, *history_tokens* their estimate. *read_percent* is the share of the
    question that fitted. *turn_images* are the images that go with its turns, the question's first,
    *image_tokens* their cost. *reply_tokens* limits the reply further than the settings do, in the
    model's own tokens.
    """

    turns: tuple[Turn, ...]
    tokens: int
    exchanges: int
    read_percent: int
    turn_images: tuple[TurnImages, ...] = ()
    image_tokens: int = 0
    history_tokens: int = 0
    reply_tokens: int = NO_LIMIT

    @property
    def images(self) -> int:
        """The number of images that were fetched."""
        return sum(len(turn.images) for turn in self.turns)

    def images_for(self, exchange: Exchange) -> int:
        """Return how many images of *exchange* are to be fetched, or were fetched."""
        return sum(selected.count for selected in self.turn_images if selected.exchange is exchange)

    def with_images(self, images: Mapping[int, Sequence[Image]]) -> "Prompt":
        """Return this prompt with *images*, by the index of their turn, and no others."""
        turns = [
            replace(turn, images=tuple(images.get(number, ())))
            for number, turn in enumerate(self.turns)
        ]
        counts = [replace(one, count=len(turns[one.turn].images)) for one in self.turn_images]
        return replace(self, turns=tuple(turns), turn_images=tuple(counts))


NO_PROMPT: Final = Prompt((), tokens=0, exchanges=0, read_percent=100)


def build_prompt(
    system_prompt: str,
    exchanges: Sequence[Exchange],
    question: Exchange,
    *,
    token_budget: int,
    channel_context: str = "",
    reply_context: ReplyContext = NO_REPLY_CONTEXT,
    image_budget: ImageBudget = NO_IMAGES,
) -> Prompt:
    """Return the prompt for *question*, with as many of *exchanges*, oldest first, as fit.

    *channel_context* describes its place, and *reply_context* belongs to it. If the question
    continues the last exchange, *reply_context* belongs to that, and its reply is shortened if it
    does not fit. The prompt costs at most *token_budget*, without calibration, but the system turn
    and the beginning of the question always stay. The question's images come first, as many as fit;
    an exchange has all of its images or none. The steps are in one function because each takes from
    the budget that is left.
    """
    named = any(exchange.author for exchange in (question, *exchanges))
    system, system_tokens = _system_turn(system_prompt, channel_context, named=named)
    budget = token_budget - PROMPT_OVERHEAD_TOKENS - system_tokens
    asked, asked_tokens, read_percent = _fitted_question(question, budget)
    context_limit = budget // REPLY_CONTEXT_SHARE
    budget -= asked_tokens
    history = _History.before(question, exchanges, budget)
    images = ImageSelection(image_budget)
    reserved = images.price(question) + (context_limit if reply_context.quotations else 0)
    if history.fits_before_question(budget - reserved):
        reply_context = _without(history.exchanges[history.asked_at - 1], reply_context)
    context_budget = min(budget - sum(history.costs[history.asked_at :]), context_limit)
    turn, context_tokens = _with_context(history.asked or asked, reply_context, context_budget)
    budget -= context_tokens
    kept = fit(
        history.costs,
        budget - images.take_some(question, budget),
        lambda index, left: images.take_all(history.exchanges[index], left),
    )
    start = len(history.exchanges) - kept
    turns = history.turns(start, *(turn, asked) if history.asked else (None, turn))
    exchanges = (*history.exchanges[start:], question)
    history_tokens = sum(history.costs[start:])
    return Prompt(
        (*system, *turns),
        tokens=token_budget - budget + history_tokens,
        exchanges=kept,
        read_percent=read_percent,
        turn_images=images.placed(exchanges, first_turn=len(system)),
        image_tokens=images.tokens,
        history_tokens=history_tokens,
    )


@dataclass(frozen=True, slots=True, repr=False)
class _History:
    """The exchanges before a question. Each cost includes the time gap that follows its exchange.

    *asked_at* is the index of the exchange whose reply is continued, else that after the last.
    """

    exchanges: Sequence[Exchange]
    gaps: Sequence[str]
    costs: Sequence[int]
    asked_at: int

    @classmethod
    def before(cls, question: Exchange, exchanges: Sequence[Exchange], budget: int) -> "_History":
        """Return the history of *question*; a reply that it continues is shortened to *budget*."""
        is_continued = bool(exchanges) and question.quoted == CONTINUE_NOTE
        if is_continued and exchanges[-1].tokens > budget:
            exchanges = [*exchanges[:-1], end_of(exchanges[-1], budget)]
        # A gap belongs to the exchange before it: if that is dropped, the gap is.
        gaps = [
            time_gap(before.message_id, after.message_id) if after.author else ""
            for before, after in pairwise((*exchanges, question))
        ]
        costs = [
            exchange.tokens + (GAP_TOKENS if gap else 0)
            for exchange, gap in zip(exchanges, gaps, strict=True)
        ]
        return cls(exchanges, gaps, costs, len(exchanges) - (1 if is_continued else 0))

    @property
    def asked(self) -> Turn | None:
        """The question whose reply is continued, None if there is none."""
        is_continued = self.asked_at < len(self.exchanges)
        return _turns(self.exchanges[self.asked_at])[0] if is_continued else None

    def fits_before_question(self, budget: int) -> bool:
        """Whether the exchange before the question fits into *budget* with all that follows it."""
        return self.asked_at > 0 and sum(self.costs[self.asked_at - 1 :]) <= budget

    def turns(self, start: int, asked: Turn | None, question: Turn) -> Iterator[Turn]:
        """Yield the turns from the exchange *start* on, with *asked* for the continued question."""
        gap = ""
        for index in range(start, len(self.exchanges)):
            turn, reply = _turns(self.exchanges[index])
            yield _after(gap, asked if asked is not None and index == self.asked_at else turn)
            yield reply
            gap = self.gaps[index]
        yield _after(gap, question)


def exchange_tokens(exchange: Exchange) -> int:
    """Return the estimate for both turns of *exchange*, without calibration."""
    return sum(_turn_tokens(turn) for turn in _turns(exchange))


def without_system_turn(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Return *turns* with the system prompt moved to the start of the first user turn."""
    if len(turns) < 2 or turns[0].role is not Role.SYSTEM:
        return turns
    system, first, *others = turns
    return [replace(first, text=f"{system.text}\n\n{first.text}"), *others]


def end_of(exchange: Exchange, budget: int) -> Exchange:
    """Return *exchange* with the end of its reply and the beginning of its question that fit.

    It costs at most *budget*. If hardly a word of the reply fits, *exchange* is returned whole.
    """
    bare = replace(exchange, embedded="", quoted="", files="")
    asked = replace(bare, question=shorten(bare.question, budget // QUESTION_SHARE))
    reply_tokens = budget - exchange_tokens(replace(asked, reply=""))
    if reply_tokens < ENDING_TOKENS:
        return exchange
    while True:
        ending = replace(asked, reply=last_part(exchange.reply, reply_tokens))
        ending = replace(ending, tokens=exchange_tokens(ending))
        # Texts may cost a token or two more together than apart.
        if ending.tokens <= budget or reply_tokens < 1:
            return ending
        reply_tokens -= ending.tokens - budget


def fit(
    costs: Sequence[int], budget: int, extra: Callable[[int, int], int] = lambda _index, _left: 0
) -> int:
    """Return how many of the last *costs* come to at most *budget* together.

    *extra* is called with the index of each cost that fits and with the budget that is left, and
    returns what it takes of that.
    """
    start = len(costs)
    while start and costs[start - 1] <= budget:
        start -= 1
        budget -= costs[start]
        budget -= extra(start, budget)
    return len(costs) - start


def _turn_tokens(turn: Turn) -> int:
    return MESSAGE_OVERHEAD_TOKENS + estimate_tokens(turn.text)


@lru_cache(SYSTEM_TURNS)
def _system_turn(
    system_prompt: str, channel_context: str, *, named: bool
) -> tuple[tuple[Turn, ...], int]:
    """Return the system turn, if there is one, and its cost; cached for the next question."""
    of_program = (SPEAKERS_NOTE, channel_context) if named else ()
    text = "\n\n".join(filter(None, (system_prompt.strip(), *of_program)))
    turns = (Turn(Role.SYSTEM, text),) if text else ()
    return turns, sum(map(_turn_tokens, turns))


def _after(gap: str, turn: Turn) -> Turn:
    return replace(turn, text=f"{gap}\n{turn.text}") if gap else turn


def _without(exchange: Exchange, context: ReplyContext) -> ReplyContext:
    """Return *context* without *exchange*, which comes right before the question anyway."""
    is_there = context.answer is not None and context.answer.message_id == exchange.message_id
    return replace(context, answer=None) if is_there else context


def _with_context(turn: Turn, context: ReplyContext, budget: int) -> tuple[Turn, int]:
    """Return *turn* below as much of *context* as fits into *budget*, and the cost of that."""
    tokens = _turn_tokens(turn)
    if context.answer is not None:
        header = _below((_answered(context.answer, 0), *context.quotations), turn)
        answer_tokens = min(budget - (_turn_tokens(header) - tokens), ANSWER_TOKENS)
        while answer_tokens > 0:
            whole = _below((_answered(context.answer, answer_tokens), *context.quotations), turn)
            if (cost := _turn_tokens(whole) - tokens) <= budget:
                return whole, cost
            answer_tokens -= (
                cost - budget
            )  # Texts may cost a token or two more together than apart.
    for start in range(len(context.quotations)):
        whole = _below(context.quotations[start:], turn)
        if (cost := _turn_tokens(whole) - tokens) <= budget:
            return whole, cost
    return turn, 0


def _below(texts: Sequence[str], turn: Turn) -> Turn:
    return replace(turn, text="\n".join((*texts, turn.text)))


def _answered(exchange: Exchange, tokens: int) -> str:
    """Return the first *tokens* of a reply, under the line that says whose question it answers."""
    whole = defused(without_echoes(exchange.reply))
    words = shorten(whole, tokens)
    header = ANSWERED_EARLIER.format(name=exchange.author)
    return f"{header}\n{words}{'…' if len(words) < len(whole) else ''}"


def _turns(exchange: Exchange) -> tuple[Turn, Turn]:
    reply = without_echoes(exchange.reply)
    reply = f"{reply}\n{CUT_MARK}" if exchange.cut else reply
    return _asked(exchange, exchange.quoted, _words(exchange)), Turn(Role.ASSISTANT, reply)


def _words(exchange: Exchange) -> str:
    """Return the text of a question; its embeds and files come last, so they are cut off first."""
    question = defused(exchange.question) if exchange.author else exchange.question
    return "\n".join(filter(None, (question, exchange.embedded, exchange.files)))


def _asked(exchange: Exchange, quoted: str, words: str) -> Turn:
    header = WRITES.format(name=exchange.author) if exchange.author else ""
    return Turn(Role.USER, "\n".join(filter(None, (quoted, header, words))))


def _fitted_question(exchange: Exchange, budget: int) -> tuple[Turn, int, int]:
    """Return as much of the question as fits into *budget*, its cost, and the percentage of it."""
    words = _words(exchange)
    whole = _asked(exchange, exchange.quoted, words)
    tokens = _turn_tokens(whole)
    if tokens <= budget:
        return whole, tokens, 100
    text_tokens = budget - _turn_tokens(_asked(exchange, "", ""))
    word_tokens = estimate_tokens(words)
    while True:
        quoted_tokens = max(text_tokens - word_tokens - 1, text_tokens // QUOTED_SHARE)
        quoted = shorten(exchange.quoted, quoted_tokens)
        kept = shorten(words, max(text_tokens - estimate_tokens(quoted) - 1, 1))
        asked = _asked(exchange, marked_if_cut(quoted, exchange.quoted), marked_if_cut(kept, words))
        # Texts may cost a token or two more together than apart.
        tokens = _turn_tokens(asked)
        if tokens <= budget or text_tokens < 1:
            break
        text_tokens -= tokens - budget
    percent = 100 * len(kept) // len(words) if words else 100
    return asked, tokens, percent
