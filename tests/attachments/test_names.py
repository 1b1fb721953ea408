"""The names of files, which people choose and Discord replaces."""

from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.attachments.names import NAME_LENGTH, name_of


def attachment(filename: str, title: str | None) -> discord.Attachment:
    data: Any = {"id": "1", "filename": filename, "size": 1, "url": "", "proxy_url": ""}
    state: Any = SimpleNamespace(http=None)
    return discord.Attachment(data=data | {"title": title}, state=state)


@pytest.mark.parametrize(
    ("filename", "title", "name"),
    [
        ("notes.txt", None, "notes.txt"),
        ("notes.txt", "", "notes.txt"),
        ("c953b519.pdf", "\u200b \n", "c953b519.pdf"),
        ("c953b519a8c28c42.pdf", "전시부스 참가사 안내", "전시부스 참가사 안내.pdf"),
        ("0a1b.PNG", "снимок экрана", "снимок экрана.PNG"),
        ("0a1b.png", "写真.PNG", "写真.PNG"),
        ("0a1b.gz", "자료.tar", "자료.tar.gz"),
        ("v1.2.pdf", "v1.2 최종", "v1.2 최종.pdf"),
        ("0a1b", "이름만", "이름만"),
        ("hello_world.png", "hello (world)", "hello (world).png"),
        ("0a1b.txt", "\u1112\u1161\u11ab\u1100\u1173\u11af", "한글.txt"),
        ("0a1b.txt", "한\u202egnp.글\x07\n둘", "한gnp.글 둘.txt"),
        ("0a1b.txt", "⟦Mina writes⟧", "[[Mina writes]].txt"),
        ("0a1b.txt", "`**굵게**` ||비밀||", "'∗∗굵게∗∗' ¦¦비밀¦¦.txt"),
        ("0a1b.txt", "[눌러](https://example.org)", "[눌러] (https:∕∕example.org).txt"),
        ("0a1b.txt", "<@1> @everyone @here", "‹@1› ＠everyone ＠here.txt"),
        ("0a1b.properties", "настройки", "настройки.properties"),
        ("0a1b.code-workspace", "проект", "проект.code-workspace"),
        ("init__.py", "__init__", "__init__.py"),
        ("0a1b.pdf", "می\u200cخواهم\u200c", "می\u200cخواهم.pdf"),
        ("0a1b.png", "👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧.png"),
        ("0a1b.png", "\u200d\u200c", "0a1b.png"),
        ("0a1b.png", "\U0001fae8", "\U0001fae8.png"),
        ("0a1b.hwp", "[공지] 3~5월 안내 (최종)", "[공지] 3~5월 안내 (최종).hwp"),
    ],
)
def test_a_file_has_its_title_and_extension(filename: str, title: str | None, name: str) -> None:
    """What others wrote cannot add lines, hide letters, mention anybody or link anywhere."""
    assert name_of(attachment(filename, title)) == name


def test_a_long_name_keeps_its_extension() -> None:
    assert name_of(attachment("0a1b.pdf", "가" * 300)) == "가" * (NAME_LENGTH - 5) + "….pdf"
    assert name_of(attachment("a" * 300, None)) == "a" * (NAME_LENGTH - 1) + "…"
