"""Each model keeps its request shape, and a guess about it is tested once."""

import asyncio
from dataclasses import replace

from bot.llm.request_shape import SUSPECTED_SECONDS, RequestShape, RequestShapes
from tests.doubles import run_virtually

FIRST = RequestShape("max_tokens")


def test_a_refusal_that_names_a_part_leaves_it_out() -> None:
    assert FIRST.without("Unsupported parameter: max_tokens") == RequestShape(
        "max_completion_tokens"
    )
    assert FIRST.without("stream_options is unknown") == replace(FIRST, asks_for_usage=False)
    assert FIRST.without("System role not supported") == FIRST.without_system_turn()
    assert FIRST.without("temperature is too high") is None


def test_each_model_keeps_its_own_shape() -> None:
    async def scene() -> None:
        shapes = RequestShapes("max_tokens")
        other = replace(FIRST, asks_for_usage=False)
        shapes.keep("a", other, suspected=False)
        assert (shapes.of("a"), shapes.of("b")) == (other, FIRST)
        may_guess = [shapes.may_guess(model, likely=True) for model in ("a", "b")]
        assert may_guess == [False, True]

    run_virtually(scene())


def test_a_guessed_missing_system_turn_is_tried_again_once() -> None:
    async def scene() -> None:
        shapes, bare = RequestShapes("max_tokens"), FIRST.without_system_turn()
        shapes.keep("a", bare, suspected=True)
        assert shapes.of("a") == bare
        await asyncio.sleep(SUSPECTED_SECONDS)
        assert shapes.of("a") == FIRST
        assert shapes.may_guess("a", likely=False)
        shapes.keep("a", bare, suspected=True)
        await asyncio.sleep(9 * SUSPECTED_SECONDS)
        assert shapes.of("a") == bare, "the second time confirms it"

    run_virtually(scene())


def test_an_accepted_system_turn_ends_the_guess() -> None:
    async def scene() -> None:
        shapes, bare = RequestShapes("max_tokens"), FIRST.without_system_turn()
        shapes.keep("a", bare, suspected=True)
        shapes.keep("a", FIRST, suspected=False)
        shapes.keep("a", bare, suspected=True)
        await asyncio.sleep(SUSPECTED_SECONDS)
        assert shapes.of("a") == FIRST, "the suspicion began anew, so nothing confirms it"

    run_virtually(scene())


def test_a_refusal_to_stream_asks_for_a_whole_answer_and_the_reverse_for_a_stream() -> None:
    whole = replace(FIRST, streams=False)
    refuses, requires = '{"detail": "streaming not supported"}', '{"detail": "stream must be true"}'
    assert FIRST.streaming_changed(refuses) == whole
    assert whole.streaming_changed(requires) == FIRST
    assert FIRST.streaming_changed(requires) is whole.streaming_changed(refuses) is None
    assert FIRST.streaming_changed("System role not supported") is None
