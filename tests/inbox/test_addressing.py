"""The addressee and the text of messages, with the real objects of discord.py."""

from collections.abc import Callable

import discord
import pytest

from bot.inbox.addressing import (
    from_a_person,
    guild_id_of,
    mentions_me,
    mentions_only_others,
    quotation,
    readable_text,
    replied_to,
    speaker,
)
from bot.inbox.threads import in_place, thread_possible
from tests.world import (
    CHANNEL,
    GUILD,
    JUN,
    ME,
    MEMBER,
    MINA,
    MY_ROLE,
    OTHER_ROLE,
    SPEAK_IN_THREADS,
    Json,
    World,
    user,
)

Say = Callable[..., discord.Message]


@pytest.fixture
def say(world: World) -> Say:
    return world.say


# Who speaks, to whom


@pytest.mark.parametrize(
    ("more", "person"),
    [
        ({}, True),
        ({"type": 19}, True),
        ({"author": user(9, "Robot", bot=True)}, False),
        ({"author": user(ME, "ChatBot", bot=True)}, False),
        ({"webhook_id": "77"}, False),
        ({"type": 7}, False),
        ({"type": 21}, False),
        ({"type": 6}, False),
        ({"type": 20}, False),
        ({"type": 9999}, False),
    ],
)
def test_bots_and_webhooks_are_not_answered(say: Say, more: Json, person: bool) -> None:
    assert from_a_person(say("hi", **more)) is person


@pytest.mark.parametrize(
    ("text", "more", "me", "only_others"),
    [
        ("hi", {}, False, False),
        ("<@1>", {"mentions": [user(ME, "ChatBot")]}, True, False),
        ("<@11>", {"mentions": [user(JUN, "Jun")]}, False, True),
        ("<@11><@1>", {"mentions": [user(JUN, "Jun"), user(ME, "ChatBot")]}, True, False),
        ("", {"mentions": [user(ME, "ChatBot")]}, True, False),
        ("<@&101>", {"mention_roles": [str(MY_ROLE)]}, True, False),
        ("<@&102>", {"mention_roles": [str(OTHER_ROLE)]}, False, True),
        ("@everyone", {"mention_everyone": True}, False, True),
    ],
)
def test_mentions_of_the_bot_are_recognised(
    say: Say, text: str, more: Json, me: bool, only_others: bool
) -> None:
    """@everyone is not the bot; its own managed role is."""
    message = say(text, **more)
    assert mentions_me(message, ME) is me
    assert mentions_only_others(message, ME) is only_others


def test_roles_are_ignored_in_direct_messages(say: Say) -> None:
    message = say("<@&101>", dm=True, mention_roles=[str(MY_ROLE)])
    assert not mentions_me(message, ME)
    assert readable_text(message, ME) == "@unknown-role"


def test_an_uncached_guilds_message_is_not_a_direct_message(
    world: World,
) -> None:
    """As right after connecting: the guild comes later than its message."""
    message = world.say("hi")
    assert guild_id_of(message) == GUILD
    assert guild_id_of(world.say("hi", dm=True)) is None
    message.guild = None
    message.channel = discord.PartialMessageable(world.state, id=CHANNEL, guild_id=GUILD)
    assert guild_id_of(message) == GUILD


def test_a_reply_names_its_message(world: World) -> None:
    quoted = {"id": "900", "channel_id": str(CHANNEL), "guild_id": str(GUILD)}
    target: Json = {
        **quoted,
        "type": 0,
        "content": "before",
        "author": user(JUN, "Jun"),
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "attachments": [],
        "embeds": [],
        "edited_timestamp": None,
        "timestamp": "2026-08-01T00:00:00+00:00",
        "pinned": False,
        "tts": False,
    }
    reference: Json = {"message_id": "900", "channel_id": str(CHANNEL), "type": 0}
    reply: Json = {"type": 19, "message_reference": reference}
    found = replied_to(world.say("why?", **reply, referenced_message=target))
    assert found is not None
    assert found.content == "before"
    assert replied_to(world.say("why?", **reply)) is None, "Discord did not send it along"
    assert replied_to(world.say("why?", **reply, referenced_message=None)) is None, "deleted"
    assert replied_to(world.say("why?")) is None
    pin = world.say("", type=6, message_reference=reference, referenced_message=target)
    assert replied_to(pin) is None, "a system message refers, it does not reply"


# What is said


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("<@1> why?", "why?"),
        ("<@!1> why?", "why?"),
        ("why, <@1>?", "why,?"),
        ("<@&101> why?", "why?"),
        ("<@1>", ""),
        ("<@1> <@1>\n", ""),
        ("ask <@11>", "ask @Jun"),
        ("ask <@!11>", "ask @Jun"),
        ("ask <@12>", "ask @unknown"),
        ("ask <@&102>", "ask @helpers"),
        ("ask <@&999>", "ask @unknown-role"),
        ("in <#200>", "in #general"),
        ("in <#999>", "in #unknown-channel"),
        ("<:wave:123> <a:dance:456>", ":wave: :dance:"),
        ("use </reset:789> or </system set:789>", "use /reset or /system set"),
        ("<@one> <@>", "<@one> <@>"),
        ("<@1> print(`<@11>`)", "print(`<@11>`)"),
        ("<@1> ```\n<@1> <#200>\n```", "```\n<@1> <#200>\n```"),
        ("`a` <@11> `b`", "`a` @Jun `b`"),
        ("``` unclosed <@11>", "``` unclosed @Jun"),
        ("  two  spaces  ", "two  spaces"),
        ("@everyone", "@everyone"),
    ],
)
def test_readable_text(say: Say, text: str, readable: str) -> None:
    """Names for markup, the bot's own mention removed, code as it is."""
    message = say(text, mentions=[user(ME, "ChatBot"), user(JUN, "Jun")])
    assert readable_text(message, ME) == readable


def test_a_quoted_message_keeps_its_mention_of_the_bot(say: Say) -> None:
    assert readable_text(say("<@1> why?", mentions=[user(ME, "ChatBot")])) == "@ChatBot why?"


def test_a_nickname_is_the_display_name(say: Say) -> None:
    nick = user(JUN, "Jun") | {"member": MEMBER | {"nick": "Captain"}}
    assert readable_text(say("ask <@11>", mentions=[nick]), ME) == "ask @Captain"
    message = say("hi", member=MEMBER | {"nick": "Queen"})
    assert speaker(message.author) == "Queen (@mina)"


@pytest.mark.parametrize(
    ("author", "name"),
    [
        (user(MINA, "Mina"), "Mina (@mina)"),
        (user(MINA, "mina"), "@mina"),
        (user(9, "Mina", bot=True, discriminator="1234"), "Mina (@mina#1234)"),
        (user(9, "Mina", discriminator="0000", global_name=None), "mina (@mina#0000)"),
    ],
    ids=["person", "person of one name", "bot", "webhook"],
)
def test_the_bot_is_distinct_from_a_person_of_its_name(say: Say, author: Json, name: str) -> None:
    """User names are unique among people only; others carry their number."""
    message = say("hi", author=author, webhook_id="77")
    assert speaker(message.author) == name


def test_timestamps_become_readable(say: Say) -> None:
    message = say("at <t:1700000000:R> or <t:1700000000>, not <t:999999999999>")
    at = "2023-11-14 22:13 UTC"
    assert readable_text(message) == f"at {at} or {at}, not (some time)"


# Where the answer may appear


def may_have_a_thread(message: discord.Message) -> bool:
    return thread_possible(message, message.channel, ME)


def test_a_thread_needs_both_permissions(world: World, say: Say) -> None:
    assert may_have_a_thread(say("hi"))
    for missing in ("create_public_threads", "send_messages_in_threads"):
        permissions = discord.Permissions(SPEAK_IN_THREADS)
        permissions.update(**{missing: False})
        world.guild.default_role._permissions = permissions.value
        assert not may_have_a_thread(say("hi"))


def test_no_thread_in_direct_messages(say: Say) -> None:
    assert not may_have_a_thread(say("hi", dm=True))


def test_a_thread_is_tried_if_permissions_are_unknown(world: World, say: Say) -> None:
    world.guild._members.clear()
    assert may_have_a_thread(say("hi"))


def test_an_answer_in_the_channel_survives_its_deleted_question(say: Say) -> None:
    destination = in_place(say("hi"))
    assert destination.channel.id == CHANNEL
    assert destination.reference is not None
    assert destination.reference.message_id == 1000
    assert destination.reference.fail_if_not_exists is False


def attached(filename: str, kind: str | None) -> Json:
    address = "https://cdn.discordapp.com/x"
    file: Json = {"id": "1", "filename": filename, "size": 1, "url": address, "proxy_url": address}
    return file if kind is None else file | {"content_type": kind}


def test_a_quote_names_its_attachments(say: Say) -> None:
    files = [
        attached("⟦a⟧.png", "image/png"),
        attached("b.txt", "text/plain; charset=utf-8"),
        attached("c.webp", "image/webp"),
        attached("d.heic", "image/heic"),
        attached("e.png", None),
    ]
    names = "⟦picture [[a]].png⟧\n⟦file b.txt⟧\n⟦picture c.webp⟧\n⟦file d.heic⟧\n⟦file e.png⟧"
    header = "⟦Mina (@mina) wrote earlier; the next message replies to it⟧"
    assert quotation(say("Look!", attachments=files), ME) == f"{header}\nLook!\n{names}"
    assert quotation(say("", attachments=files), ME) == f"{header}\n{names}"
    assert quotation(say("Look!"), ME) == f"{header}\nLook!"
    assert quotation(say(""), ME) == ""
    assert quotation(say("Look!", attachments=files), MINA) == ""
