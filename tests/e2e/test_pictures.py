"""Images with a question: the selection for the model, and the notices."""

from typing import Any

import pytest

from bot.i18n.sentences import ENGLISH
from bot.sandbox.model.rules import images_of, text_of
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.e2e.test_files import a_file, asked_with, fetched
from tests.pictures import a_picture, data_url, png

pytestmark = pytest.mark.asyncio(loop_scope="session")

GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\xff\xd9"
WEBP = b"RIFF\x0c\x00\x00\x00WEBPVP8L\x00\x00\x00\x00"


def urls(turn: dict[str, Any]) -> list[str]:
    """Return the URLs of the images in one message of a prompt."""
    return [part["image_url"]["url"] for part in images_of(turn)]


async def seen(stage: Stage, text: str) -> list[list[str]]:
    """Return the images of each user turn in the prompt with *text*."""
    return [urls(turn) for turn in await stage.prompt_with(text) if turn["role"] == "user"]


async def people_wrote(stage: Stage, text: str) -> str:
    """Return the user turns of the prompt with *text*; the stand-in's answers repeat them."""
    prompt = await stage.prompt_with(text)
    return "\n".join(text_of(turn) for turn in prompt if turn["role"] == "user")


async def fetches(stage: Stage) -> int:
    """Return how often files were fetched."""
    return len(await stage.discord.events(types=["cdn_request"]))


async def test_image_is_sent_to_the_model_with_its_question(stage: Stage, unique: str) -> None:
    question = await asked_with(stage, f"{unique} what is this?", a_picture(png(7)))
    [*_, asked] = await stage.prompt_with(unique)
    assert asked["content"] == [
        {
            "type": "text",
            "text": f"⟦Mina (@mina) writes⟧\n{unique} what is this?\n⟦picture photo.png⟧",
        },
        {"type": "image_url", "image_url": {"url": data_url(png(7))}},
    ]
    assert "\n-#" not in await stage.text_on(question)
    rows = stage.rows("SELECT files FROM exchanges WHERE message_id = ?", question["id"])
    assert rows == [("⟦picture photo.png⟧",)], "the image itself is not stored"


async def test_image_type_is_detected_by_content(stage: Stage, unique: str) -> None:
    kinds = {"image/gif": GIF, "image/jpeg": JPEG, "image/webp": WEBP}
    pictures = [a_picture(data, "x.png") for data in kinds.values()]
    await asked_with(stage, unique, *pictures, a_picture(JPEG, "data", None))
    urls = [data_url(data, kind) for kind, data in kinds.items()]
    assert await seen(stage, unique) == [[*urls, data_url(JPEG, "image/jpeg")]]


async def test_image_without_text_is_the_question(stage: Stage) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    await stage.said(dm, person, "", attachments=[a_picture(png(8), f"{person}.png")])
    assert await seen(stage, f"picture {person}.png") == [[data_url(png(8))]]


async def test_mention_with_only_an_image_opens_a_thread(stage: Stage) -> None:
    person = await stage.person()
    question = await asked_with(stage, "", a_picture(png(9), f"{person}.png"))
    assert await seen(stage, f"picture {person}.png") == [[data_url(png(9))]]
    [thread] = await stage.discord.threads(question["channel_id"])
    assert (thread["id"], thread["name"]) == (question["id"], f"{person}.png")


async def test_images_and_text_files_are_sent_together(stage: Stage, unique: str) -> None:
    files = (a_file("one", "a.txt"), a_picture(png(1)), a_file("two", "b.txt"))
    question = await asked_with(stage, unique, *files)
    [*_, asked] = await stage.prompt_with(unique)
    assert text_of(asked).endswith(
        f"{unique}\n⟦picture photo.png⟧\n⟦file a.txt⟧\none\n⟦file b.txt⟧\ntwo"
    )
    assert urls(asked) == [data_url(png(1))]
    await stage.said(question["id"], "Mina", f"{unique}b")
    assert await seen(stage, f"{unique}b") == [[data_url(png(1))], []]
    assert await fetched(stage, question) == 4, "the text files are stored"


async def test_reply_to_an_image_sends_the_image(stage: Stage, unique: str) -> None:
    """The message contains only the image and a text file; it is quoted, and the file is read."""
    channel = await stage.channel()
    files = [a_picture(png(20)), a_file("The notes.", "notes.txt")]
    shown = await stage.discord.say(channel, "Jun", "", attachments=files)
    text = f"{stage.discord.bot_mention} {unique} what is it?"
    question = await stage.said(channel, "Mina", text, reply_to=shown["id"])
    [*_, asked] = await stage.prompt_with(unique)
    assert text_of(asked) == (
        "⟦Jun (@jun) wrote earlier; the next message replies to it⟧\n"
        "⟦picture photo.png⟧\n⟦file notes.txt⟧\nThe notes.\n"
        f"⟦Mina (@mina) writes⟧\n{unique} what is it?"
    )
    assert urls(asked) == [data_url(png(20))]
    await stage.said(question["id"], "Mina", f"Really, {unique}b?")
    assert await seen(stage, f"{unique}b") == [[data_url(png(20))], []]
    assert "The notes." in await stage.memory_at(f"{unique}b")


async def test_forwarded_image_is_sent_in_a_direct_message(stage: Stage, unique: str) -> None:
    elsewhere = await stage.channel()
    picture = a_picture(png(21), f"{unique}.png")
    source = await stage.discord.say(elsewhere, "Mina", "", attachments=[picture])
    dm = await stage.discord.dm("Mina")
    forward = await stage.discord.forward(dm, "Mina", source)
    await stage.answer_to(forward)
    assert (await seen(stage, f"picture {unique}.png"))[-1] == [data_url(png(21))]
    await stage.said(dm, "Mina", f"{unique} again")
    assert (await seen(stage, f"{unique} again"))[-2:] == [[data_url(png(21))], []]


@pytest.mark.parametrize("replies", [True, False])
async def test_question_about_a_forwarded_image_sends_the_image(
    stage: Stage, unique: str, replies: bool
) -> None:
    """It replies to the forward, or is the comment that the client sends after it."""
    channel, person = await stage.channel(), await stage.person()
    files = [a_picture(png(22)), a_file("The notes.", "notes.txt")]
    source = await stage.discord.say(channel, "Jun", "", attachments=files)
    forward = await stage.discord.forward(channel, person, source)
    text = f"{stage.discord.bot_mention} {unique} what is it?"
    more = {"reply_to": forward["id"]} if replies else {}
    question = await stage.said(channel, person, text, **more)
    [*_, asked] = await stage.prompt_with(unique)
    assert "⟦picture photo.png⟧\n⟦file notes.txt⟧\nThe notes.\n" in text_of(asked)
    assert urls(asked) == [data_url(png(22))]
    await stage.said(question["id"], person, f"Really, {unique}b?")
    assert await seen(stage, f"{unique}b") == [[data_url(png(22))], []]


async def test_pictures_sent_just_before_a_mention_are_sent_with_it(
    stage: Stage, unique: str
) -> None:
    """With one question, not with the next."""
    channel = await stage.channel()
    pictures = [a_picture(png(34), "a.png"), a_picture(png(35), "b.png")]
    await stage.discord.say(channel, "Mina", "", attachments=pictures)
    await stage.asked(f"{unique}a?", channel=channel)
    assert (await seen(stage, f"{unique}a"))[-1] == [data_url(png(34)), data_url(png(35))]
    await stage.asked(f"{unique}b?", channel=channel)
    assert (await seen(stage, f"{unique}b"))[-1] == []


async def test_edit_of_quoted_message_keeps_its_file_text(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    file = a_file("The notes.", "notes.txt")
    shown = await stage.discord.say(channel, "Jun", "Look:", attachments=[file])
    text = f"{stage.discord.bot_mention} {unique}"
    question = await stage.said(channel, "Mina", text, reply_to=shown["id"])
    await stage.discord.edit(channel, shown["id"], "Look here:")
    await stage.said(question["id"], "Mina", f"{unique}b")
    memory = await stage.memory_at(f"{unique}b")
    assert "Look here:\n⟦file notes.txt⟧\nThe notes.\n" in memory
    await stage.discord.edit(channel, shown["id"], "Look there:", attachments=[])
    await stage.said(question["id"], "Mina", f"{unique}c")
    memory = await people_wrote(stage, f"{unique}c")
    assert "Look there:\n⟦Mina" in memory
    assert "The notes." not in memory


async def test_later_prompts_resend_an_image_until_it_is_removed(stage: Stage, unique: str) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    pictures = [a_picture(png(1), "a.png"), a_picture(png(2), "b.png")]
    first = await stage.said(dm, person, f"{unique} one", attachments=pictures)
    await stage.said(dm, person, f"{unique} two")
    assert await seen(stage, f"{unique} two") == [[data_url(png(1)), data_url(png(2))], []]
    assert await fetched(stage, first) == 4, "the image is fetched again"
    kept = [first["attachments"][1]["id"]]
    await stage.discord.edit(dm, first["id"], f"{unique} one", attachments=kept)
    await stage.said(dm, person, f"{unique} three")
    assert await seen(stage, f"{unique} three") == [[data_url(png(2))], [], []]
    assert "a.png" not in await people_wrote(stage, f"{unique} three")


async def test_newest_images_are_resent_and_older_ones_are_named(stage: Stage, unique: str) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    for number in range(4):
        picture = a_picture(png(number), f"{number}.png")
        await stage.said(dm, person, f"{unique} {number}", attachments=[picture])
    shown = await seen(stage, f"{unique} 3")
    assert shown == [[], *([data_url(png(number))] for number in (1, 2, 3))]
    assert f"{unique} 0\n⟦picture 0.png⟧" in await stage.memory_at(f"{unique} 3")


async def test_missing_image_is_named_without_a_notice(stage: Stage, unique: str) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    first = await stage.said(dm, person, unique, attachments=[a_picture(png(3))])
    gone = {"message": "Unknown Message", "code": 10008}
    path = f"/messages/{first['id']}"
    await stage.discord.fault("answer", method="GET", path=path, status=404, body=gone)
    second = await stage.said(dm, person, f"{unique}b")
    assert await seen(stage, f"{unique}b") == [[], []]
    assert "⟦picture photo.png⟧" in await stage.memory_at(f"{unique}b")
    assert "\n-#" not in await stage.text_on(second)


async def test_unsent_images_are_named_with_the_reason(stage: Stage, unique: str) -> None:
    elsewhere = await stage.discord.say(
        await stage.channel(), "Jun", "", attachments=[a_picture(png(4))]
    )
    url = elsewhere["attachments"][0]["url"]
    question = await asked_with(
        stage,
        unique,
        a_picture(b"\0\0\0\x1cftypheic", "phone.heic", "image/heic"),
        a_picture(b"<svg xmlns='x'/>", "drawing.svg", "image/svg+xml"),
        a_picture(b"\0\0\0\x18ftypmp42", "clip.mp4", "video/mp4"),
        a_picture(png(5), "big.png", size=10_000_001),
        a_picture(png(5), "bigger.png", size=100, zeros=10_000_000),
        a_picture(png(5), "moved.png", redirect_to=url),
        a_picture(png(5), "mine.png", url=url.replace("127.0.0.1", "localhost")),
        a_picture(png(6), "seen.png"),
    )
    answer = await stage.text_on(question)
    for sentence in (
        ENGLISH.picture_unsupported.format(name="phone.heic"),
        ENGLISH.picture_unsupported.format(name="drawing.svg"),
        ENGLISH.file_not_text.format(name="clip.mp4"),
        ENGLISH.file_too_large.format(name="big.png", limit=10),
        ENGLISH.file_too_large.format(name="bigger.png", limit=10),
        ENGLISH.file_unreachable.format(name="moved.png"),
        ENGLISH.file_unreachable.format(name="mine.png"),
    ):
        assert f"\n-# {sentence}" in answer
    assert await seen(stage, unique) == [[data_url(png(6))]]
    assert await fetched(stage, elsewhere) == 0


async def test_images_over_the_budget_are_named(stage: Stage, unique: str) -> None:
    """8,000 tokens fit ten images of 765 tokens; here are twelve, six of them quoted."""
    channel = await stage.channel()
    pictures = [a_picture(png(number), f"{number}.png") for number in range(6)]
    shown = await stage.discord.say(channel, "Jun", "", attachments=pictures)
    text = f"{stage.discord.bot_mention} {unique}"
    more = [a_picture(png(number), f"{number}.png") for number in range(6, 12)]
    question = await stage.said(channel, "Mina", text, reply_to=shown["id"], attachments=more)
    [images] = await seen(stage, unique)
    assert images == [data_url(png(number)) for number in range(len(images))]
    assert 8 <= len(images) <= 10
    answer = await stage.text_on(question)
    left_out = [ENGLISH.picture_left_out.format(name=f"{number}.png") for number in range(12)]
    assert [sentence in answer for sentence in left_out] == [
        number >= len(images) for number in range(12)
    ]


REFUSALS = [
    (404, "No endpoints found that support image input", True),
    (500, "Failed to load image or audio file", False),
]


@pytest.mark.parametrize(("status", "message", "for_good"), REFUSALS)
async def test_question_is_retried_without_refused_images(
    own_stage: Stage, unique: str, status: int, message: str, for_good: bool
) -> None:
    """No images follow if the model takes none; after one bad image, others are still sent."""
    stage = own_stage
    body = {"error": {"message": f"{message} {data_url(png(3))}", "code": status}}
    await stage.model.reply_when(unique, Script(status=status, body=body), times=1)
    async with stage.bot():
        dm = await stage.discord.dm(person := await stage.person())
        first = await stage.said(dm, person, f"{unique} a", attachments=[a_picture(png(3))])
        sentence = ENGLISH.model_images_unsupported if for_good else ENGLISH.pictures_refused
        assert (await stage.text_on(first)).endswith(f"\n-# {sentence}")
        requests = await stage.requests_with(f"{unique} a")
        assert [len(urls(one.body["messages"][-1])) for one in requests] == [1, 0]
        assert "⟦picture photo.png⟧" in text_of(requests[-1].body["messages"][-1])
        second = await stage.said(dm, person, f"{unique} b", attachments=[a_picture(png(4))])
        requests = await stage.requests_with(f"{unique} b")
        assert [len(urls(one.body["messages"][-1])) for one in requests] == [1 - for_good]
        assert (ENGLISH.model_images_unsupported in await stage.text_on(second)) == for_good
        third = await stage.said(dm, person, f"{unique} c")
        assert ENGLISH.model_images_unsupported not in await stage.text_on(third)
        assert data_url(png(3))[40:] not in stage.log


@pytest.mark.parametrize(
    "failing",
    [
        Script(text="never", disconnect_after_chunks=0),
        Script(events_before=({"error": {"message": "Overloaded", "code": 503}},)),
    ],
    ids=["cut", "overloaded"],
)
async def test_stream_that_fails_before_its_first_word_is_retried_with_its_images(
    stage: Stage, unique: str, failing: Script
) -> None:
    """The bot freed them when the response began, so it fetches them again."""
    await stage.model.reply_when(unique, failing, times=1)
    question = await asked_with(stage, unique, a_picture(png(3)))
    assert "\n-#" not in await stage.text_on(question)
    asked = [urls(record.body["messages"][-1]) for record in await stage.requests_with(unique)]
    assert asked == [[data_url(png(3))]] * 2


async def test_image_is_sent_again_after_a_restart(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot():
        question = await asked_with(stage, f"{unique} one", a_picture(png(30)))
        await stage.said(question["id"], "Jun", f"{unique} two", attachments=[a_picture(png(31))])
    async with stage.bot():
        await stage.said(question["id"], "Mina", f"{unique} three")
        shown = await seen(stage, f"{unique} three")
    assert shown == [[data_url(png(30))], [data_url(png(31))], []]


async def test_resumed_question_is_asked_with_its_image(own_stage: Stage, unique: str) -> None:
    """The second attempt fetches the files again by the message id."""
    stage = own_stage
    await stage.model.reply_when(unique, Script(text="Slow. " * 90, chunks_per_second=4), times=1)
    channel = await stage.channel()
    async with stage.bot(SHUTDOWN_GRACE="0"):
        text = f"{stage.discord.bot_mention} {unique}"
        question = await stage.discord.say(channel, "Mina", text, attachments=[a_picture(png(32))])
        await stage.first_words_on(question)
    async with stage.bot():
        await stage.answer_to(question)
    requests = await stage.requests_with(unique)
    assert [urls(one.body["messages"][-1]) for one in requests] == [[data_url(png(32))]] * 2


async def test_image_token_cost_is_learned_from_api_usage(own_stage: Stage, unique: str) -> None:
    """At 2,200 tokens each, four images do not fit; before the first answer they seem to."""
    stage = own_stage
    await stage.model.change(image_tokens=2200)
    pictures = [a_picture(png(number), f"{number}.png") for number in range(4)]
    async with stage.bot():
        await asked_with(stage, f"{unique} a", *pictures)
    async with stage.bot():
        await asked_with(stage, f"{unique} b", *pictures)
    counts = [len((await seen(stage, f"{unique} {which}"))[-1]) for which in "ab"]
    assert counts == [4, 3]
    [(factor,)] = stage.rows("SELECT factor FROM calibrations WHERE model = 'stand-in pictures'")
    assert 2.7 < factor < 2.9
    assert stage.rows("SELECT factor FROM calibrations WHERE model = 'stand-in'") == []


async def test_images_are_not_fetched_if_image_turns_is_zero(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot(IMAGE_TURNS="0"):
        before = await fetches(stage)
        question = await asked_with(stage, unique, a_picture(png(1)))
        sentence = ENGLISH.pictures_off.format(name="photo.png")
        assert sentence in await stage.text_on(question)
        assert await seen(stage, unique) == [[]]
        dm = await stage.discord.dm(person := await stage.person())
        await stage.discord.say(dm, person, "", attachments=[a_picture(png(2))])
        await stage.shown(ENGLISH.hint_text_only, dm)
        assert await fetches(stage) == before


async def test_help_and_privacy_mention_images(stage: Stage) -> None:
    channel = await stage.channel()
    shown: list[Message] = [await stage.use(channel, name) for name in ("help", "privacy")]
    assert ENGLISH.help_pictures in shown[0]["content"]
    assert ENGLISH.privacy_pictures in shown[1]["content"]
