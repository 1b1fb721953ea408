"""The wanted content of each message of a reply, given its present content."""

from hypothesis import given
from hypothesis import strategies as st

from bot.conversation.reply_actions import NO_ACTIONS, WHILE_STREAMING, ReplyAction, ReplyActions
from bot.replies.parts import Part
from bot.replies.plan import PlannedPart, final_plan, next_change, streaming_plan

STOP = WHILE_STREAMING
ANEW = frozenset({ReplyAction.REGENERATE})


def parts(*shown: tuple[str | None, ReplyActions | None]) -> list[Part]:
    return [Part(number, text, actions) for number, (text, actions) in enumerate(shown)]


def test_only_the_last_message_has_buttons() -> None:
    plan = streaming_plan([], ["full", "full", "grows"], STOP)
    assert [part.actions for part in plan] == [NO_ACTIONS, NO_ACTIONS, STOP]


def test_only_a_part_with_a_successor_shrinks() -> None:
    shown = parts(("full, and how the next begins", STOP))
    assert streaming_plan(shown, ["full"], STOP) == [PlannedPart(None, STOP)]
    assert next_change(shown, streaming_plan(shown, ["full"], STOP)) is None
    plan = streaming_plan(shown, ["full", "how the next begins"], STOP)
    assert plan == [PlannedPart("full", NO_ACTIONS), PlannedPart("how the next begins", STOP)]
    assert next_change(shown, plan) == 0


def test_a_leftover_of_an_earlier_attempt_has_the_button() -> None:
    shown = parts(("old", None), ("old", STOP), ("old", ANEW))
    plan = streaming_plan(shown, ["new"], STOP)
    assert plan == [
        PlannedPart("new", NO_ACTIONS),
        PlannedPart(None, NO_ACTIONS),
        PlannedPart(None, STOP),
    ]
    assert next_change(shown, plan) == 1, "two would be one too many"
    shown[1].actions = NO_ACTIONS
    assert next_change(shown, plan) == 2, "for a button alone nobody waits long"
    shown[2].actions = STOP
    assert next_change(shown, plan) == 0


def test_at_the_end_every_message_shows_its_text() -> None:
    shown = parts(("as long as it was", STOP))
    plan = final_plan([], ["short"], ANEW, "file")
    assert plan == [PlannedPart("short", ANEW, "file")]
    assert next_change(shown, plan) == 0
    shown = [Part(0, "short", ANEW, file="")]
    assert next_change(shown, plan) == 0, "the file is missing"
    shown[0].file = "file"
    assert next_change(shown, plan) is None
    assert final_plan([], [], ANEW) == []


def test_an_early_end_keeps_the_text_and_adds_buttons() -> None:
    shown = parts(("one", STOP), ("two", None), ("three", STOP))
    assert final_plan(shown[:-1], [None], ANEW) == [
        PlannedPart(None, NO_ACTIONS),
        PlannedPart(None, None),
        PlannedPart(None, ANEW),
    ]
    assert final_plan([], ["three", "Sorry."], ANEW) == [
        PlannedPart("three", NO_ACTIONS),
        PlannedPart("Sorry.", ANEW),
    ]


texts = st.text(alphabet="ab", min_size=1, max_size=4)
actions = st.sampled_from((None, NO_ACTIONS, STOP, ANEW))


@given(
    shown=st.lists(st.tuples(st.none() | texts, actions), max_size=4),
    new=st.lists(texts, min_size=1, max_size=4),
    at_end=st.booleans(),
)
def test_single_changes_reach_the_wanted_messages(
    shown: list[tuple[str | None, ReplyActions | None]], new: list[str], at_end: bool
) -> None:
    """In order, and with never more Stop buttons than before."""
    there = parts(*shown)
    stops = [one.actions for one in there].count(STOP)
    for _ in range(2 * len(new) + len(shown)):
        plan = final_plan([], new, ANEW) if at_end else streaming_plan(there, new, STOP)
        number = next_change(there, plan)
        if number is None:
            break
        planned = plan[number]
        if number == len(there):
            there.append(Part(number, planned.text, planned.actions))
        if planned.text is not None:
            assert all(plan[n].text in {None, there[n].text} for n in range(number))
            there[number].text = planned.text
        if planned.actions is not None:
            there[number].actions = planned.actions
        now = [part.actions for part in there].count(STOP)
        assert now <= max(stops, 1)
        stops = now
    else:
        raise AssertionError("it does not come to an end")
    assert [one.text for one in there[: len(new) - 1]] == new[:-1]
    if not at_end:
        assert [one.actions for one in there if one.actions].count(STOP) == 1
        assert there[-1].actions == STOP
