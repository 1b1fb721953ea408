"""The straight line of a question, from entries as the stand-ins and the bot's log give them."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.page.bot_log import BotLog
from bot.sandbox.page.happenings import Happenings

Json = dict[str, Any]
BOT, MINA = "100000000000000011", "100000000000000012"
CHANNEL, QUESTION, PART, OTHER = (f"10000000000000002{n}" for n in range(4))
MESSAGES = "/channels/{channel_id}/messages"


class Names:
    bot_id = BOT

    def place_name(self, channel_id: str) -> str:
        return {CHANNEL: "#general"}.get(channel_id, "a thread")

    def user_name(self, user_id: str) -> str:
        return {MINA: "Mina"}.get(user_id, "somebody")


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


def requested(seq: int, at: float, text: str = "why?", **more: Any) -> Json:
    record = {
        "seq": seq,
        "at": at,
        "body": {"messages": [{"role": "system"}, {"role": "user", "content": text}]},
        "first_text_at": None,
        "ended_at": None,
        "outcome": "pending",
        "status": 200,
        "chunks_sent": 0,
    }
    return record | more


def prompt(number: str = QUESTION, taken: int = 2, left: int = 0) -> str:
    return (
        f"Prompt of {number}: 90 of 8000 tokens; "
        f"taken {taken} exchanges of 40 tokens, left out {left} of {left * 20}"
    )


def ended(state: str = "answered") -> str:
    return (
        f"Question {QUESTION} by {MINA} in {QUESTION}: {state}, first words 0.46 s, "
        "whole 3.06 s, 2 exchanges in mind, 213 + 157 tokens"
    )


def steps(line: Json) -> list[str]:
    return [one["what"] for one in line["steps"]]


def test_what_nobody_answers_makes_no_line(happenings: Happenings) -> None:
    assert happenings.journal(said(1.0)) == []
    assert happenings.snapshot() == []


def test_a_question_goes_its_straight_line(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    happenings.logged(1.01, "DEBUG", f"In the inbox: question {QUESTION}")
    happenings.logged(1.02, "DEBUG", prompt())
    threads = f"{MESSAGES}/{{message_id}}/threads"
    happenings.journal(called(1.03, threads, f"/channels/{CHANNEL}/messages/{QUESTION}/threads"))
    happenings.requested(requested(1, 1.04))
    happenings.requested(requested(1, 1.04, first_text_at=1.5))
    post: Json = {"body": {"nonce": f"{QUESTION}.0"}}
    happenings.journal(called(1.51, MESSAGES, f"/channels/{QUESTION}/messages", **post))
    happenings.journal(said(1.52, PART, BOT, nonce=f"{QUESTION}.0"))
    edit = f"{MESSAGES}/{{message_id}}"
    happenings.journal(called(2.0, edit, f"/channels/{QUESTION}/messages/{PART}", "PATCH"))
    over: Json = {"first_text_at": 1.5, "ended_at": 2.1, "outcome": "complete", "chunks_sent": 30}
    happenings.requested(requested(1, 1.04, **over))
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
    assert details["End of the stream"] == "complete, 30 pieces of text"
    assert happenings.snapshot() == [line]


def test_the_request_may_be_seen_before_the_log(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    assert happenings.requested(requested(1, 1.04)) == []
    changes = happenings.logged(1.03, "DEBUG", prompt())
    assert steps(changes[-1]["line"]) == ["Gateway event", "History", "Request to the model"]


def test_requests_of_two_questions_are_told_apart(happenings: Happenings) -> None:
    """Each prompt is followed by its request; what is asked again sends the same."""
    for at, number in ((1.0, QUESTION), (1.1, OTHER)):
        happenings.journal(said(at, number))
        happenings.logged(at + 0.01, "DEBUG", prompt(number))
        failed: Json = {"ended_at": at + 0.03, "outcome": "refused", "status": 429}
        happenings.requested(requested(int(at * 10), at + 0.02, number, **failed))
    happenings.requested(requested(20, 3.0, OTHER))
    happenings.requested(requested(21, 3.1, QUESTION))
    counts = {
        line["id"]: [one["id"] for one in line["steps"] if one["id"].startswith("request")]
        for line in happenings.snapshot()
    }
    assert counts == {QUESTION: ["request-10", "request-21"], OTHER: ["request-11", "request-20"]}


def test_what_is_left_out_is_said(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    [change] = happenings.logged(1.1, "DEBUG", prompt(left=3))
    assert "left out: 3 (60 tokens) and what is older" in change["line"]["steps"][-1]["detail"]


def test_what_is_made_anew_is_open_again(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    happenings.logged(1.1, "INFO", ended())
    [change] = happenings.logged(2.0, "DEBUG", prompt())
    assert (change["line"]["state"], steps(change["line"])[-1]) == ("open", "History")


def test_a_refused_call_is_bad_and_names_the_switch(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    post: Json = {"body": {"nonce": f"{QUESTION}.0"}, "status": 500, "faults": ["answer"]}
    [change] = happenings.journal(called(1.1, MESSAGES, f"/channels/{CHANNEL}/messages", **post))
    step = change["line"]["steps"][-1]
    assert step["tone"] == "bad"
    assert step["detail"].endswith("by your switch: answer")
    lookup = called(1.2, "/users/@me", "/users/@me", "GET")
    assert happenings.journal(lookup) == []
    lookup["data"]["status"] = 500
    [change] = happenings.journal(lookup)
    assert (change["line"]["kind"], change["line"]["title"]) == ("note", "GET /users/@me")


def test_a_failed_question_says_so(happenings: Happenings) -> None:
    happenings.journal(said(1.0))
    [change] = happenings.logged(1.1, "WARNING", f"Question {QUESTION} failed: ModelBusy")
    assert (change["line"]["steps"][-1]["what"], change["line"]["steps"][-1]["tone"]) == (
        "The bot says",
        "bad",
    )
    [change] = happenings.logged(1.2, "INFO", ended("failed"))
    assert change["line"]["state"] == "failed"


@pytest.mark.parametrize(
    ("used", "title"),
    [
        ({"type": 2, "name": "reset"}, "/reset"),
        ({"type": 2, "name": "Ask about this"}, "Ask about this"),
        ({"type": 3, "name": "stop"}, "the button stop"),
        ({"type": 5, "name": "system"}, "the form system"),
    ],
)
def test_a_command_has_a_line_of_its_own(happenings: Happenings, used: Json, title: str) -> None:
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
    assert len(change["line"]["steps"]) == 3
    answered = interaction | {"state": "answered"}
    [change] = happenings.journal(entry("interaction_response", 1.3, interaction=answered))
    assert change["line"]["state"] == "done"


def test_what_belongs_to_no_question_is_a_note(happenings: Happenings) -> None:
    [change] = happenings.journal(entry("gateway_disconnect", 1.0, code=4000))
    assert change["line"]["title"] == "The gateway connection is gone (code 4000)"
    [change] = happenings.logged(1.1, "WARNING", "The connection failed")
    assert change["line"]["state"] == "bad"
    assert happenings.logged(1.2, "DEBUG", "something small") == []
    assert happenings.journal(entry("typing", 1.3)) == []


def test_only_so_many_lines_are_kept(happenings: Happenings) -> None:
    for number in range(300):
        happenings.note(float(number), f"note {number}")
    kept = happenings.snapshot()
    assert (len(kept), kept[0]["title"]) == (200, "note 100")


def test_the_log_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    now = time.strftime("%Y-%m-%d %H:%M:%S,250")
    first = json.dumps({"time": now, "level": "INFO", "message": "한 줄"}, ensure_ascii=False)
    path.write_text(f"no JSON\n[]\n{{}}\n{first}\n{first[:20]}")
    log = BotLog(path)
    [logged] = log.new()
    assert (logged.level, logged.sentence) == ("INFO", "한 줄")
    assert abs(logged.at - time.monotonic()) < 2
    assert log.new() == []
    with path.open("a") as file:
        file.write(first[20:] + "\n")
    assert len(log.new()) == 1
