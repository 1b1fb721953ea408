"""The size of the next request, given the refused and the accepted ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.conversation.context_window import (
    LAST_RESORT,
    LEAST_REPLY,
    NO_REPORTED_LIMITS,
    SMALLEST,
    UNBOUNDED,
    ContextWindow,
    ReportedLimits,
    RequestSize,
    after_acceptance,
    after_refusal,
    is_smallest,
)


def test_a_reported_window_leaves_tokens_for_the_reply() -> None:
    window = after_refusal(
        UNBOUNDED, RequestSize(3000, 2500, 2000), ReportedLimits(2048), last_request=False
    )
    assert window == ContextWindow(1536, 2048)
    assert window.prompt_budget == 1413
    assert 300 < window.reply_limit(window.prompt_budget, 2000) < 2048 - 1413


def test_a_repeated_refusal_raises_the_estimate() -> None:
    size = RequestSize(1400, 1000, 400)
    window = after_refusal(ContextWindow.of(2048), size, ReportedLimits(2048), last_request=False)
    assert window == ContextWindow.of(1024)


def test_the_servers_count_overrides_the_estimate() -> None:
    size = RequestSize(1000, 500, 400)
    window = after_refusal(UNBOUNDED, size, ReportedLimits(2048, 2500), last_request=False)
    assert window == ContextWindow.of(2048 * 1000 // 2500)


def test_without_numbers_the_history_is_halved_then_the_question() -> None:
    window = after_refusal(
        UNBOUNDED, RequestSize(3000, 2000, 2000), NO_REPORTED_LIMITS, last_request=False
    )
    assert window.prompt_budget == pytest.approx(2000, abs=2)
    window = after_refusal(
        window, RequestSize(1000, 0, 1500), NO_REPORTED_LIMITS, last_request=False
    )
    assert window.prompt_budget == pytest.approx(500, abs=2)


def test_a_reply_limit_alone_leaves_the_prompt_unchanged() -> None:
    size = RequestSize(3000, 2000, 2000)
    assert after_refusal(
        UNBOUNDED, size, ReportedLimits(reply=512), last_request=False
    ) == ContextWindow(reply=512)
    repeated = after_refusal(UNBOUNDED, size, ReportedLimits(reply=2000), last_request=False)
    assert repeated.reply == 1000


sizes = st.builds(
    lambda prompt, share, reply: RequestSize(prompt, int(prompt * share), reply),
    st.integers(SMALLEST, 200_000),
    st.floats(0, 1),
    st.integers(LEAST_REPLY, 32_000),
)
tolds = st.builds(
    ReportedLimits, st.one_of(st.just(0), st.integers(SMALLEST, 200_000)), st.integers(0, 200_000)
)


@given(sizes, tolds)
def test_every_retry_after_a_refusal_is_smaller(
    size: RequestSize, reported: ReportedLimits
) -> None:
    window = after_refusal(UNBOUNDED, size, reported, last_request=False)
    smaller = window.prompt_budget < size.prompt
    assert smaller or window.reply_limit(size.prompt, size.reply) < size.reply or is_smallest(size)


@given(sizes, tolds)
def test_the_last_request_fits_everywhere(size: RequestSize, reported: ReportedLimits) -> None:
    window = after_refusal(UNBOUNDED, size, reported, last_request=True)
    assert window.total <= LAST_RESORT
    assert window.prompt_budget + LEAST_REPLY < LAST_RESORT


def test_an_accepted_size_is_the_bound_without_numbers() -> None:
    window = after_acceptance(RequestSize(4000, 3000, 2000), RequestSize(2500, 1500, 1250))
    assert 2500 <= window.prompt_budget <= 2502
    assert window.reply_limit(2500, 2000) >= 1250
    near = after_acceptance(RequestSize(4000, 3000, 2000), RequestSize(3900, 2900, 2000))
    assert near.prompt_budget == pytest.approx(3000, abs=2)


def test_a_lower_limit_shares_the_window_with_the_reply() -> None:
    window = after_acceptance(RequestSize(500, 0, 2000), RequestSize(500, 0, 1000))
    assert window == ContextWindow.of(1500)
