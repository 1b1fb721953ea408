"""Payloads of Discord without the keys that people wrote in them."""

from typing import Any

import pytest

from bot.transport.payload_checks import corrected_interaction, corrected_message
from bot.transport.redaction import PayloadRedaction

ME, MINA = 1, 10
REDACTION = PayloadRedaction(lambda text: text.replace("SECRET", "***"), lambda: ME)
FILE = {"id": "5", "size": 1, "url": "https://x/SECRET", "proxy_url": "https://y/SECRET"}


def a_message(author_id: int = MINA, **more: Any) -> dict[str, Any]:
    author = {"id": str(author_id), "username": "SECRET", "discriminator": "0", "avatar": None}
    return {"id": "7", "channel_id": "8", "author": author, "content": "a SECRET"} | more


PLACES: list[dict[str, Any]] = [
    {"content": "SECRET and SECRET"},
    {"embeds": [{"title": "SECRET", "description": "x SECRET", "footer": {"text": "SECRET"}}]},
    {"embeds": [{"author": {"name": "SECRET"}, "fields": [{"name": "SECRET", "value": "SECRET"}]}]},
    {"embeds": [{"image": {"url": "https://x/SECRET.png"}}]},
    {"components": [{"type": 10, "content": "SECRET"}]},
    {"components": [{"type": 1, "components": [{"type": 2, "label": "SECRET", "url": "SECRET"}]}]},
    {"components": [{"type": 3, "placeholder": "SECRET", "options": [{"label": "SECRET"}]}]},
    {"poll": {"question": {"text": "SECRET"}, "answers": []}},
    {"sticker_items": [{"id": "3", "name": "SECRET", "format_type": 1}]},
    {"message_snapshots": [{"message": {"content": "SECRET", "embeds": [{"title": "SECRET"}]}}]},
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("event", ["MESSAGE_CREATE", "MESSAGE_UPDATE"])
def test_a_secret_is_removed_wherever_people_write(place: dict[str, Any], event: str) -> None:
    message = a_message(content="") | place
    replying = a_message(referenced_message=message)
    for given in (message, replying):
        found = REDACTION.event(event, corrected_message(given))
        found["author"] = {"id": "x"}
        if "referenced_message" in found:
            found["referenced_message"]["author"] = {"id": "x"}
        assert "SECRET" not in repr(found)
        assert "***" in repr(found)


def test_a_file_keeps_its_addresses_and_a_person_their_name() -> None:
    message = a_message(attachments=[FILE | {"filename": "SECRET.txt", "title": "SECRET"}])
    found = REDACTION.message(corrected_message(message))
    assert found["attachments"] == [FILE | {"filename": "***.txt", "title": "***"}]
    assert found["author"]["username"] == "SECRET"


def test_the_bots_own_message_stays_but_not_what_it_replies_to() -> None:
    message = a_message(ME, referenced_message=a_message(MINA))
    found = REDACTION.message(message)
    assert found["content"] == "a SECRET"
    assert found["referenced_message"]["content"] == "a ***"


def test_what_a_command_a_modal_and_their_message_say_is_redacted() -> None:
    option = {"type": 3, "name": "question", "value": "SECRET"}
    data = {"name": "ask", "options": [{"type": 1, "name": "x", "options": [option]}]}
    field = {"type": 18, "component": {"type": 4, "custom_id": "words", "value": "SECRET"}}
    message = a_message(type=0, mentions=[], mention_roles=[])
    about = {"type": 3, "name": "x", "target_id": "7", "resolved": {"messages": {"7": message}}}
    given: list[dict[str, Any]] = [data, {"custom_id": "about", "components": [field]}, about]
    for one in given:
        interaction = {"id": "1", "token": "SECRET", "data": one}
        found = REDACTION.event("INTERACTION_CREATE", corrected_interaction(interaction))
        assert found["token"] == "SECRET"
        assert "***" in repr(found["data"])
    assert "'value': 'SECRET'" not in repr(found)
    assert found["data"]["resolved"]["messages"]["7"]["content"] == "a ***"


@pytest.mark.parametrize("junk", [None, [], "x", 7, {"messages": None}, {"messages": {"1": 2}}])
def test_fields_that_the_bot_does_not_use_may_be_malformed(junk: Any) -> None:
    """Nothing is lost because of them: they pass as they are."""
    data = {"type": 1, "name": "ask", "options": [], "resolved": junk}
    interaction = {"id": "1", "data": data, "message": junk}
    assert REDACTION.event("INTERACTION_CREATE", interaction) == interaction
    message = corrected_message({"id": "7", "author": junk, "content": "a", "poll": junk})
    assert REDACTION.event("MESSAGE_UPDATE", message) == message


def test_other_events_and_a_press_of_a_button_pass() -> None:
    assert REDACTION.event("TYPING_START", {"content": "SECRET"}) == {"content": "SECRET"}
    press = {"id": "1", "data": {"custom_id": "stop"}, "message": a_message()}
    assert REDACTION.event("INTERACTION_CREATE", press) == press
