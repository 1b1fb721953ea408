"""Every way into the bot is judged by the access lists."""

from pathlib import Path

from bot.commands.base import Use
from bot.commands.privacy import FORGET
from tests.entry_points import ASKING, NOT_ASKING, built


async def test_each_event_is_known_to_ask_or_not_to_ask(tmp_path: Path) -> None:
    """tests/e2e/test_access.py walks those that ask: sort a new handler, and walk it there."""
    async with built(tmp_path) as found:
        assert found.handlers == ASKING | NOT_ASKING


async def test_only_erasing_is_open_to_everybody(tmp_path: Path) -> None:
    async with built(tmp_path) as found:
        uses = {custom_id: view.use for custom_id, view in found.buttons.items()}
    assert {one for one, use in uses.items() if use is Use.OWN_DATA} == {FORGET}
