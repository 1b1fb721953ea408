"""How Markdown of the model is shown in Discord."""

import pytest

from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

WRITTEN = r"""#### The harbours of {unique}

| Port | Depth |
|:-----|------:|
| **부산** | $d_1 = 17$ |
| Piraeus | 13 |

Ships need \(d \geq \frac{{h}}{{2}}\), says [the list](https://ports.test/all).
"""
SHOWN = """**The harbours of {unique}**

```
Port       Depth
-------  -------
부산     d₁ = 17
Piraeus       13
```

Ships need d ≥ h/2, says [the list](https://ports.test/all) (ports.test)."""


@pytest.mark.parametrize("chunk_size", [2, 10_000], ids=["streamed", "at-once"])
async def test_model_markdown_is_converted_to_discord_markdown(
    stage: Stage, unique: str, chunk_size: int
) -> None:
    """Streamed or at once; the history contains the original Markdown."""
    written = WRITTEN.format(unique=unique).strip()
    script = Script(text=written, chunk_size=chunk_size, chunks_per_second=200)
    await stage.model.reply_when(unique, script)
    question = await stage.asked(unique)
    [answer] = await stage.parts_of(question)
    assert answer["content"] == SHOWN.format(unique=unique)
    [(stored,)] = stage.rows(
        "SELECT reply FROM exchanges WHERE message_id = ?", int(question["id"])
    )
    assert stored == written
    again = f"And now, {unique}?"
    await stage.said(question["id"], "Mina", again)
    assert {"role": "assistant", "content": written} in await stage.prompt_with(again)


async def test_streamed_table_appears_only_when_complete(stage: Stage, unique: str) -> None:
    text = f"Here it is, {unique}:\n\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 40 + "\nDone."
    await stage.model.reply_when(unique, Script(text=text, chunk_size=4, chunks_per_second=50))
    question = await stage.asked(unique)
    [answer] = await stage.parts_of(question)
    versions = [one["content"] for one in answer["revisions"]]
    assert versions[0].startswith("Here")
    assert not any("|" in version for version in versions)
    assert versions[-1].count("\n1  2") == 40
