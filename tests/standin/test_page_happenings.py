"""The timeline of a question, built from the stand-in's journal and the bot's log."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.page import log_steps
from bot.sandbox.page.bot_log import BotLog
from bot.sandbox.page.happenings import Happenings
from bot.sandbox.page.log_steps import LOG_STEPS

Json = dict[str, Any]
BOT, MINA = "100000000000000011", "100000000000000012"
CHANNEL, QUESTION, PART, OTHER = (f"10000000000000002{n}" for n in range(4))
MESSAGES = "/channels/{channel_id}/messages"
PAGE_FOLDER = Path(log_steps.__file__).parent
BOT_FOLDER = PAGE_FOLDER.parents[1]


class Names:
    bot_id = BOT

    def place_name(self, channel_id: str) -> str:
        return {CHANNEL: "#general"}.get(channel_id, "a thread")

    def user_name(self, user_id: str) -> str:
        return {MINA: "Mina"}.get(user_id, "somebody")


@pytest.mark.parametrize("pattern", LOG_STEPS)
def test_log_patterns_of_the_page_exist_in_the_bots_code(pattern: str) -> None:
    """Otherwise the page would silently miss a reworded log line."""
    words = pattern.partition("(")[0]
    sources = (path.read_text() for path in BOT_FOLDER.rglob("*.py") if path.parent != PAGE_FOLDER)
    assert any(f'"{words}%d' in source for source in sources)


@pytest.fixture
def happenings() -> Happenings:
    return Happenings(Names(), epoch=1000.0)


def entry(kind: str, at: float, **data: Any) -> Json:
    return {"seq": 1, "type": kind, "at": at, "data": data}


def said(at: float, number: str = QUESTION, author: str = MINA, **more: Any) -> Json:
    message = {
        "id": number,
        "channel_id": CHANNEL,
        "type": 0,
        "author": {"id": author},
        "content": f"<@{BOT}> why?",
    }
    return entry("message_create", at, message=message | more)


def called(at: float, route: str, path: str, method: str = "POST", **more: Any) -> Json:
    call = {
        "seq": round(at * 100),
        "method": method,
        "route": route,
        "path": path,
        "bucket": "message_create",
        "body": None,
        "at": at,
        "status": 200,
        "remaining": 4,
        "faults": [],
    }
    return {"seq": 1, "type": "request", "at": at + 0.1, "data": call | more}


def prompt(number: str = QUESTION, taken: int = 2, left: int = 0) -> str:
    return (
        f"Built prompt of question {number}: 90 of 8000 tokens; "
        f"taken {taken} exchanges of 40 tokens, left out {left} of {left * 20}"
    )


def ended(state: str = "answered") -> str:
    return (
        f"Ended question {QUESTION} by person {MINA} in place {QUESTION}: {state}, "
        "first words 0.46 s, whole 3.06 s, 2 exchanges in the prompt, 213 + 157 tokens"
    )


def steps(line: Json) -> list[str]:
    return [one["what"] for one in line["steps"]]


def test_message_without_an_answer_has_no_timeline(happenings: Happenings) -> None:
    assert happenings.journal(said(1.0)) == []
    assert happenings.snapshot() == []


def test_timeline_has_all_steps_of_a_question(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    happenings.logged(1.01, "DEBUG", f"Stored question {QUESTION}")
    happenings.logged(1.02, "DEBUG", prompt())
    threads = f"{MESSAGES}/{{message_id}}/threads"
    happenings.journal(called(1.03, threads, f"/channels/{CHANNEL}/messages/{QUESTION}/threads"))
    happenings.logged(
        1.04, "DEBUG", f"Send request of question {QUESTION}: 2 messages: system 1, user 1"
    )
    happenings.logged(1.5, "DEBUG", f"Received first token of answer {QUESTION}")
    post: Json = {"body": {"nonce": f"{QUESTION}.0"}}
    happenings.journal(called(1.51, MESSAGES, f"/channels/{QUESTION}/messages", **post))
    happenings.journal(said(1.52, PART, BOT, nonce=f"{QUESTION}.0"))
    edit = f"{MESSAGES}/{{message_id}}"
    happenings.journal(called(2.0, edit, f"/channels/{QUESTION}/messages/{PART}", "PATCH"))
    happenings.logged(2.1, "DEBUG", f"Ended request of question {QUESTION}: stop, 1200 characters")
    [change] = happenings.logged(2.2, "INFO", ended())
    line = change["line"]
    assert steps(line) == [
        "Gateway event",
        "Inbox",
        "History",
        "Make the thread",
        "Request to the model",
        "First token",
        "Post a message",
        "Edit the message",
        "End of the stream",
        "Done",
    ]
    assert (line["title"], line["place"], line["state"]) == ("why?", "Mina in #general", "done")
    assert (line["at"], line["steps"][1]["ms"]) == (1_001_000, 10)
    details = {one["what"]: one["detail"] for one in line["steps"]}
    assert details["History"] == "exchanges taken: 2 (40 tokens); prompt 90 of 8000 tokens"
    assert details["Request to the model"] == "2 messages: system 1, user 1"
    assert details["Post a message"] == "200, bucket message_create, 4 left"
    assert details["End of the stream"] == "stop, 1200 characters"
    assert happenings.snapshot() == [line]


def test_log_lines_of_one_millisecond_keep_their_order(happenings: Happenings) -> None:
    """The log rounds down to milliseconds, so a line may seem earlier than its event."""
    happenings.journal(said(1.0004))
    happenings.logged(1.0, "DEBUG", f"Stored question {QUESTION}")
    [change] = happenings.logged(1.0, "DEBUG", prompt())
    assert steps(change["line"]) == ["Gateway event", "Inbox", "History"]
    assert [one["ms"] for one in change["line"]["steps"]] == [0, 0, 0]


def test_log_lines_before_their_event_are_kept(happenings: Happenings) -> None:
    """On a busy machine, the page may read the log first."""
    assert happenings.logged(1.01, "DEBUG", f"Stored question {QUESTION}") == []
    assert happenings.logged(1.02, "DEBUG", prompt()) == []
    changes = happenings.journal(said(1.0))
    assert steps(changes[-1]["line"]) == ["Gateway event", "Inbox", "History"]


def test_failed_and_repeated_model_requests_are_shown(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    asked = f"Send request of question {QUESTION}: 1 messages: user 1"
    for number, (level, sentence) in enumerate(
        (
            ("DEBUG", asked),
            ("DEBUG", f"Cannot complete request of question {QUESTION}: ModelBusy 429 rate_limit"),
            ("INFO", f"Retry question {QUESTION} in 0.5 s: ModelBusy 429 rate_limit"),
            ("DEBUG", asked),
            ("DEBUG", f"Closed request of question {QUESTION} before its end"),
        )
    ):
        [change] = happenings.logged(1.1 + number / 10, level, sentence)
    shown = [(one["what"], one["detail"], one["tone"]) for one in change["line"]["steps"][1:]]
    assert shown == [
        ("Request to the model", "1 messages: user 1", ""),
        ("The request failed", "ModelBusy 429 rate_limit", "bad"),
        ("Asking again", "in 0.5 s", ""),
        ("Request to the model", "1 messages: user 1", ""),
        ("The bot closes the stream", "", ""),
    ]


def test_history_step_names_dropped_exchanges(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    [change] = happenings.logged(1.1, "DEBUG", prompt(left=3))
    assert "left out: 3 (60 tokens) and what is older" in change["line"]["steps"][-1]["detail"]


def test_regenerated_question_is_open_again(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    happenings.logged(1.1, "INFO", ended())
    [change] = happenings.logged(2.0, "DEBUG", prompt())
    assert (change["line"]["state"], steps(change["line"])[-1]) == ("open", "History")


def test_failed_call_is_marked_bad_and_names_the_switch(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    post: Json = {"body": {"nonce": f"{QUESTION}.0"}, "status": 500, "faults": ["answer"]}
    [change] = happenings.journal(called(1.1, MESSAGES, f"/channels/{CHANNEL}/messages", **post))
    step = change["line"]["steps"][-1]
    assert step["tone"] == "bad"
    assert step["detail"].endswith(", by your switch")
    lookup = called(1.2, "/users/@me", "/users/@me", "GET")
    assert happenings.journal(lookup) == []
    lookup["data"]["status"] = 500
    [change] = happenings.journal(lookup)
    assert (change["line"]["kind"], change["line"]["title"]) == ("note", "GET /users/@me")


def test_failed_question_has_the_state_failed(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    [change] = happenings.logged(1.1, "WARNING", f"Cannot answer question {QUESTION}: ModelBusy")
    assert (change["line"]["steps"][-1]["what"], change["line"]["steps"][-1]["tone"]) == (
        "Bot log",
        "bad",
    )
    [change] = happenings.logged(1.2, "INFO", ended("failed"))
    assert change["line"]["state"] == "failed"


def test_stopped_question_has_the_state_stopped(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    [change] = happenings.logged(1.2, "INFO", ended("cancelled"))
    assert (change["line"]["state"], change["line"]["steps"][-1]["tone"]) == ("stopped", "")


@pytest.mark.parametrize(
    ("used", "title"),
    [
        ({"type": 2, "name": "reset"}, "/reset"),
        ({"type": 2, "name": "Ask about this"}, "Ask about this"),
        ({"type": 3, "name": "stop"}, "the button stop"),
        ({"type": 5, "name": f"system-channel:{CHANNEL}"}, "the form system-channel"),
    ],
)
def test_command_has_its_own_timeline_without_the_token(
    happenings: Happenings, used: Json, title: str
) -> None:
    interaction = {"id": OTHER, "user_id": MINA, "channel_id": CHANNEL, "state": "pending"} | used
    [change] = happenings.journal(entry("interaction_create", 1.0, interaction=interaction))
    assert (change["line"]["title"], change["line"]["state"]) == (title, "open")
    route = "/interactions/{interaction_id}/{interaction_token}/callback"
    [change] = happenings.journal(called(1.1, route, f"/interactions/{OTHER}/secret/callback"))
    assert "secret" not in json.dumps(change)
    hook = "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"
    [change] = happenings.journal(
        called(1.2, hook, "/webhooks/1/secret/messages/@original", "PATCH")
    )
    assert "secret" not in json.dumps(change)
    assert steps(change["line"]) == ["Gateway event", "Answer the interaction", "Edit the answer"]
    answered = interaction | {"state": "answered"}
    [change] = happenings.journal(entry("interaction_response", 1.3, interaction=answered))
    assert change["line"]["state"] == "done"


HOOK = "/webhooks/{webhook_id}/{webhook_token}"
ASK, USAGE, PRESS = (f"10000000000000003{n}" for n in range(3))


def used(number: str, name: str, kind: int = 2, **more: Any) -> Json:
    who = {"user_id": MINA, "channel_id": CHANNEL}
    interaction = {"id": number, "type": kind, "name": name, "state": "pending"} | who
    return entry("interaction_create", 1.0, interaction=interaction | more)


def acknowledged(number: str) -> Json:
    route = "/interactions/{interaction_id}/{interaction_token}/callback"
    return called(1.1, route, f"/interactions/{number}/token-of-{number}/callback")


def by_token(number: str, at: float, method: str = "PATCH", message: str = "@original") -> Json:
    path = f"/webhooks/1/token-of-{number}"
    if method == "POST":
        return called(at, HOOK, path)
    return called(at, f"{HOOK}/messages/{{message_id}}", f"{path}/messages/{message}", method)


def begin_ask(happenings: Happenings, *, private: bool = True) -> None:
    """Let somebody use `/ask`, and let PART be the first message of the answer."""
    happenings.journal(used(ASK, "ask"))
    happenings.journal(acknowledged(ASK))
    answer = {"interaction_metadata": {"id": ASK}, "ephemeral": private}
    happenings.journal(said(1.2, PART, BOT, **answer))
    happenings.logged(1.3, "DEBUG", f"Stored question {ASK}")
    happenings.logged(1.4, "DEBUG", prompt(ASK))


def press(happenings: Happenings, name: str, *, private: bool = True) -> None:
    source = {"message_id": PART, "ephemeral": private}
    happenings.journal(used(PRESS, name, 3, source=source))
    happenings.journal(acknowledged(PRESS))


def shown(happenings: Happenings, title: str) -> list[str]:
    [line] = [one for one in happenings.snapshot() if one["title"] == title]
    return steps(line)


def test_webhook_call_belongs_to_its_tokens_interaction(happenings: Happenings) -> None:
    """Not to the newest interaction."""
    begin_ask(happenings)
    happenings.journal(used(USAGE, "usage"))
    happenings.journal(acknowledged(USAGE))
    happenings.journal(by_token(ASK, 2.0))
    press(happenings, "stop")
    happenings.journal(by_token(ASK, 2.1))
    assert shown(happenings, "/ask").count("Edit the answer") == 2
    for title in ("/usage", "the button stop"):
        assert shown(happenings, title) == ["Gateway event", "Answer the interaction"]


def test_regenerated_private_answer_keeps_one_timeline(happenings: Happenings) -> None:
    begin_ask(happenings)
    happenings.logged(1.5, "INFO", ended().replace(QUESTION, ASK))
    press(happenings, "regenerate")
    happenings.logged(1.9, "DEBUG", prompt(ASK))
    happenings.journal(by_token(PRESS, 2.0))
    happenings.journal(by_token(PRESS, 2.1, "POST"))
    further = {"interaction_metadata": {"id": PRESS}, "ephemeral": True}
    happenings.journal(said(2.2, OTHER, BOT, **further))
    happenings.journal(by_token(PRESS, 2.3, message=OTHER))
    assert shown(happenings, "/ask")[-3:] == [
        "Edit the answer",
        "Post an answer",
        "Edit the answer",
    ]
    assert shown(happenings, "the button regenerate") == ["Gateway event", "Answer the interaction"]


def test_new_parts_of_regenerated_answer_join_its_timeline(
    happenings: Happenings,
) -> None:
    """Their nonces contain the id of the press, so that Discord creates new messages."""
    begin_ask(happenings, private=False)
    press(happenings, "regenerate", private=False)
    post: Json = {"body": {"nonce": f"{PRESS}.1"}}
    happenings.journal(called(2.0, MESSAGES, f"/channels/{CHANNEL}/messages", **post))
    happenings.journal(said(2.1, OTHER, BOT, nonce=f"{PRESS}.1"))
    edit = f"{MESSAGES}/{{message_id}}"
    happenings.journal(called(2.2, edit, f"/channels/{CHANNEL}/messages/{OTHER}", "PATCH"))
    assert shown(happenings, "/ask")[-2:] == ["Post a message", "Edit the message"]


@pytest.mark.parametrize("private", [True, False])
def test_refusal_belongs_to_the_button_press(happenings: Happenings, *, private: bool) -> None:
    begin_ask(happenings, private=private)
    if private:
        happenings.logged(1.5, "INFO", ended().replace(QUESTION, ASK))
    press(happenings, "stop", private=private)
    happenings.journal(by_token(PRESS, 2.0, "POST"))
    assert shown(happenings, "the button stop")[-1] == "Post an answer"


def test_button_without_an_answer_keeps_its_own_calls(happenings: Happenings) -> None:
    happenings.journal(used(ASK, "forget-me"))
    happenings.journal(said(1.2, PART, BOT, interaction_metadata={"id": ASK}, ephemeral=True))
    press(happenings, "forget-me")
    happenings.journal(by_token(PRESS, 2.0))
    assert shown(happenings, "the button forget-me")[-1] == "Edit the answer"


def test_call_with_an_unknown_token_is_ignored(happenings: Happenings) -> None:
    begin_ask(happenings)
    assert happenings.journal(by_token(USAGE, 2.0)) == []


def test_log_decides_when_a_logged_answer_is_done(happenings: Happenings) -> None:
    """For Discord, an interaction is answered with the first words."""
    begin_ask(happenings)
    answered = used(ASK, "ask")["data"]["interaction"] | {"state": "answered"}
    [change] = happenings.journal(entry("interaction_response", 2.0, interaction=answered))
    assert change["line"]["state"] == "open"
    happenings.logged(2.1, "INFO", ended("cancelled").replace(QUESTION, ASK))
    [change] = happenings.journal(entry("interaction_response", 2.2, interaction=answered))
    assert change["line"]["state"] == "stopped"


def test_command_without_a_prompt_is_done_when_answered(happenings: Happenings) -> None:
    happenings.journal(used(ASK, "ask"))
    happenings.logged(1.3, "DEBUG", f"Stored question {ASK}")
    answered = used(ASK, "ask")["data"]["interaction"] | {"state": "answered"}
    [change] = happenings.journal(entry("interaction_response", 2.0, interaction=answered))
    assert change["line"]["state"] == "done"


def test_modal_submit_is_titled_like_its_modal(happenings: Happenings) -> None:
    form = {"modal": {"custom_id": f"about:{CHANNEL}:{PART}", "title": "Ask about this"}}
    opened = used(ASK, "Ask about this")["data"]["interaction"] | {"state": "modal"}
    happenings.journal(entry("interaction_response", 1.0, interaction=opened | {"response": form}))
    [change] = happenings.journal(used(USAGE, f"about:{CHANNEL}:{PART}", 5))
    assert change["line"]["title"] == "the form “Ask about this”"


def test_event_without_a_question_becomes_a_note(happenings: Happenings) -> None:
    [change] = happenings.journal(entry("gateway_disconnect", 1.0, code=4000))
    assert change["line"]["title"] == "The gateway connection closed (code 4000)"
    [change] = happenings.logged(1.1, "WARNING", "The connection failed")
    assert change["line"]["state"] == "bad"
    assert happenings.logged(1.2, "DEBUG", "something small") == []
    assert happenings.journal(entry("typing", 1.3)) == []


def test_only_the_newest_200_timelines_are_kept(happenings: Happenings) -> None:
    for number in range(300):
        happenings.note(float(number), f"note {number}")
    kept = happenings.snapshot()
    assert (len(kept), kept[0]["title"]) == (200, "note 100")


def test_growing_log_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    now = time.strftime("%Y-%m-%dT%H:%M:%S.250Z", time.gmtime())
    first = json.dumps({"time": now, "level": "INFO", "message": "한 줄"}, ensure_ascii=False)
    path.write_text(f"no JSON\n[]\n{{}}\n{first}\n{first[:20]}")
    log = BotLog(path)
    [logged] = log.new()
    assert (logged.level, logged.sentence) == ("INFO", "한 줄")
    assert abs(logged.at - time.monotonic()) < 30
    assert log.new() == []
    with path.open("a") as file:
        file.write(f"{first[20:]}\n{first}\n")
    assert {one.at for one in log.new()} == {logged.at}, "both lines have the same time"
