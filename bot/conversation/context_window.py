"""Decide how large a request to a model may be, from the limits that its server reports."""

import math
from dataclasses import dataclass, field, replace
from typing import Final

NO_LIMIT: Final = 1_000_000_000  # tokens; no context window is near it
SMALLEST: Final = 256  # tokens; smaller numbers are misread, and no conversation fits into them
REPLY_SHARE: Final = 4  # The reply gets a quarter of a window,
LEAST_REPLY_SHARE: Final = 8  # or an eighth if the question would otherwise be cut.
SHORT_SHARE: Final = 8  # An answer with less than this part of the window was cut at once.
# Nobody runs a model with a smaller window. A server that refuses or cuts off a smaller request has
# another reason, so a guess must not go below this.
SMALLEST_GUESS: Final = 512
# Tokens of a request at the last attempt, if the server named no limit: the smallest windows that
# people run have 1024.
LAST_RESORT: Final = 1000
# The estimate of a prompt may be too low: a prompt fills at most this share of its window, and the
# reply gets what is left if the prompt has this many times its estimate.
PROMPT_MARGIN: Final = 0.92
REPLY_MARGIN: Final = 1.15
TEMPLATE_TOKENS: Final = 32  # that a chat template adds
LEAST_REPLY: Final = 16  # tokens; OpenAI: the least that some models take


@dataclass(frozen=True, slots=True)
class ReportedLimits:
    """The token counts that a refusal names; 0 if it does not name one.

    *window* bounds prompt and reply together, *reply* the reply alone; *prompt* is what the server
    counted for the prompt, *requested* for the prompt and the reply limit. *guessed* means that its
    words may mean something else, *filled* that the request was accepted and its answer was cut
    because the window was full.
    """

    window: int = 0
    prompt: int = 0
    reply: int = 0
    requested: int = 0
    guessed: bool = field(default=False, compare=False)
    filled: bool = False

    def explains(self, refused: "RequestSize") -> bool:
        """Whether a request of that size exceeds these counts."""
        if self.reply:
            return self.reply < refused.reply
        largest = max(max(refused.prompt, self.prompt) + refused.reply, self.requested)
        return 0 < self.window < largest

    def window_in_estimate(self, refused: "RequestSize") -> int:
        """Return the window in estimated tokens, by what the server counted of *refused*."""
        by_prompt = in_estimate(self.window, refused.prompt, self.prompt)
        return min(by_prompt, in_estimate(self.window, refused.total, self.requested))


NO_REPORTED_LIMITS: Final = ReportedLimits()


@dataclass(frozen=True, slots=True)
class RequestSize:
    """The size of a request in tokens: *prompt*, including *history*, and *reply*.

    *prompt* and *history* are estimates; history may be left out. *reply* is the limit that was
    sent.
    """

    prompt: int
    history: int
    reply: int

    @property
    def total(self) -> int:
        """Prompt and reply limit together."""
        return self.prompt + self.reply

    def covers(self, other: "RequestSize") -> bool:
        """Whether this request is as large as another."""
        return self.prompt >= other.prompt and self.total >= other.total

    def counted(self, factor: float) -> "RequestSize":
        """Return this size for a model that counts *factor* tokens for each estimated one."""
        return replace(
            self, prompt=math.ceil(self.prompt * factor), history=math.ceil(self.history * factor)
        )


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """The limits of a model's server, in tokens as it counts them.

    *total* bounds the prompt and the reply limit together.
    """

    prompt: int = NO_LIMIT
    total: int = NO_LIMIT
    reply: int = NO_LIMIT

    @classmethod
    def of(cls, tokens: int) -> "ContextWindow":
        """Return the window of *tokens*, of which a reply gets its share."""
        return cls(tokens - tokens // REPLY_SHARE, tokens)

    @classmethod
    def of_prompt(cls, prompt: int, total: int = NO_LIMIT) -> "ContextWindow":
        """Return the window with this *prompt* budget, from which no margin is taken."""
        return cls(int(prompt / PROMPT_MARGIN) + 1, total)

    def within(self, other: "ContextWindow") -> "ContextWindow":
        """Return the window that keeps to both."""
        return ContextWindow(
            min(self.prompt, other.prompt),
            min(self.total, other.total),
            min(self.reply, other.reply),
        )

    @property
    def credible(self) -> "ContextWindow":
        """The window as a guess: no smaller than those that people run."""
        least = ContextWindow.of(SMALLEST_GUESS)
        return replace(
            self, prompt=max(self.prompt, least.prompt), total=max(self.total, least.total)
        )

    def holds(self, size: RequestSize) -> bool:
        """Whether a request of this size is within it."""
        return size.prompt <= self.prompt and size.total <= self.total

    @property
    def prompt_budget(self) -> int:
        """The most tokens that a prompt may have by the estimate."""
        return self.prompt if self.prompt == NO_LIMIT else int(self.prompt * PROMPT_MARGIN)

    @property
    def question_budget(self) -> int:
        """The budget of a prompt if its question is long, which leaves less to the reply."""
        if self.total == NO_LIMIT:
            return self.prompt_budget
        widest = self.total - self.total // LEAST_REPLY_SHARE
        return max(self.prompt_budget, int(widest * PROMPT_MARGIN))

    def reply_limit(self, prompt: int, wanted: int) -> int:
        """Return the reply limit after a *prompt*, in tokens: *wanted*, or what is left."""
        if self.total == NO_LIMIT:
            return min(wanted, self.reply)
        left = self.total - window_with_reply(prompt, 0)
        return max(min(wanted, self.reply, left), min(wanted, LEAST_REPLY))


UNBOUNDED: Final = ContextWindow()


def after_refusal(
    window: ContextWindow, refused: RequestSize, reported: ReportedLimits, *, last_request: bool
) -> ContextWindow:
    """Return the smaller window to keep to after a request was refused as too long.

    If the server *reported* a window, keep to it, or to half of it if the request should have
    fitted. If not, halve the history, then the question. The *last_request* fits into the smallest
    windows.
    """
    if reported.reply:
        # Some servers name the limit that was sent, not their own.
        reply = reported.reply if reported.reply < refused.reply else refused.reply // 2
        return window.within(ContextWindow(reply=max(reply, LEAST_REPLY)))
    smaller = (
        _within_reported(window, refused, reported) if reported.window else _halved(window, refused)
    )
    if not last_request:
        return smaller
    return smaller.within(ContextWindow.of(min(LAST_RESORT, refused.total)))


def after_acceptance(refused: RequestSize, accepted: RequestSize) -> ContextWindow:
    """Return the window to keep to after *refused* and *accepted*, if the server named none.

    If the same prompt was accepted with a lower reply limit, the server counts both together, and
    the prompt may grow at the cost of the reply. Otherwise the prompt stays below the refused one.
    """
    if accepted.prompt >= refused.prompt:
        return ContextWindow.of(accepted.total)
    total = window_with_reply(accepted.prompt, accepted.reply)
    prompt = min(accepted.prompt, refused.prompt - refused.prompt // REPLY_SHARE)
    return ContextWindow.of_prompt(prompt, total)


def window_with_reply(prompt: int, reply: int) -> int:
    """Return the window in which a *prompt* leaves the limit *reply*; see `reply_limit`."""
    return int(prompt * REPLY_MARGIN) + TEMPLATE_TOKENS + reply


def is_full(prompt: int, answer_tokens: int, limit: int, *, thought: bool) -> bool:
    """Whether the window cut an answer of *answer_tokens*, not its *limit*.

    Then it is very short, or it only *thought* and is shorter than its prompt.
    """
    window = prompt + answer_tokens
    return (
        answer_tokens * 2 < limit
        and answer_tokens * (2 if thought else SHORT_SHARE) < window >= SMALLEST_GUESS
    )


def after_filling(window: ContextWindow, accepted: RequestSize, total: int) -> ContextWindow:
    """Return the window to keep to after an *accepted* request and its answer filled the window.

    They had *total* tokens, 0 if unknown.
    """
    fitting = window.within(ContextWindow.of(total)) if total else window
    if fitting.prompt_budget < accepted.prompt:
        return fitting
    prompt = accepted.prompt - accepted.history + accepted.history // 2
    return fitting.within(ContextWindow.of_prompt(prompt))


def in_estimate(window: int, expected: int, counted: int) -> int:
    """Return a *window* in estimated tokens, by a prompt of *expected* and of *counted* tokens.

    *counted* is 0 if unknown. The difference either grows with the prompt or is what a chat
    template adds to each, so the larger result is right.
    """
    if counted <= expected:
        return window
    return max(window - (counted - expected), window * expected // counted, SMALLEST)


def is_smallest(refused: RequestSize) -> bool:
    """Whether a refused request fits into every window, so that a smaller one will not help."""
    return refused.total <= SMALLEST


def _within_reported(
    window: ContextWindow, refused: RequestSize, reported: ReportedLimits
) -> ContextWindow:
    tokens = min(reported.window_in_estimate(refused), window.total)
    while True:
        fitting = window.within(ContextWindow.of(tokens))
        reply_limit = fitting.reply_limit(refused.prompt, refused.reply)
        is_less = fitting.prompt_budget < refused.prompt or reply_limit < refused.reply
        if is_less or tokens <= SMALLEST:
            return fitting
        tokens //= 2


def _halved(window: ContextWindow, refused: RequestSize) -> ContextWindow:
    if refused.history:
        prompt = refused.prompt - refused.history + refused.history // 2
    else:
        prompt = max(refused.prompt // 2, SMALLEST - SMALLEST // REPLY_SHARE)
    # Most windows are powers of two: try the next smaller one, not a size just above it. The reply
    # keeps its share.
    sent = min(prompt, refused.prompt)
    reply = min(refused.reply, sent // (REPLY_SHARE - 1))
    total = max(1 << (refused.total * 3 // 4).bit_length() - 1, window_with_reply(sent, reply))
    return window.within(ContextWindow.of_prompt(prompt, total))
