"""Turn the bot's log lines about a question into steps of its line."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from bot.sandbox.page.lines import BAD, GOOD, Line, Step

_ENDS: Final = {"answered": ("done", GOOD), "cancelled": ("stopped", "")}
_Put = Callable[[Line, str, float, re.Match[str]], None]


def _history(line: Line, key: str, at: float, found: re.Match[str]) -> None:
    _, tokens, budget, taken, taken_tokens, left, left_tokens = found.groups()
    history = f"exchanges taken: {taken} ({taken_tokens} tokens)"
    if left != "0":
        history += f", left out: {left} ({left_tokens} tokens) and what is older"
    line.state, line.logged = "open", True
    line.steps.pop("end", None)
    line.put(key, Step(at, "History", f"{history}; prompt {tokens} of {budget} tokens"))


def _done(line: Line, _key: str, at: float, found: re.Match[str]) -> None:
    _, state, first, whole, tokens = found.groups()
    line.state, tone = _ENDS.get(state, ("failed", BAD))
    detail = f"{state}; first words {first}, whole {whole}; {tokens}"
    line.put("end", Step(at, "Done", detail, tone))


def _step(what: str, detail: str = "{}", tone: str = "") -> _Put:
    def put(line: Line, key: str, at: float, found: re.Match[str]) -> None:
        line.put(key, Step(at, what, detail.format(*found.groups()[1:]), tone))

    return put


# By patterns of whole sentences; the question's number comes first in each.
LOG_STEPS: Final[Mapping[str, _Put]] = {
    r"Stored question (\d+)": _step("Inbox", "stored before anything else"),
    (
        r"Built prompt of question (\d+): (\d+) of (\d+) tokens; "
        r"taken (\d+) exchanges of (\d+) tokens, left out (\d+) of (\d+)"
    ): _history,
    r"Send request of question (\d+): (.+)": _step("Request to the model"),
    r"Cannot complete request of question (\d+): (.+)": _step("The request failed", tone=BAD),
    r"Retry question (\d+) in (.+? s): .+": _step("Asking again", "in {}"),
    r"Received first token of answer (\d+)": _step("First token", ""),
    r"Ended request of question (\d+): (.+)": _step("End of the stream"),
    r"Closed request of question (\d+) before its end": _step("The bot closes the stream", ""),
    (
        r"Ended question (\d+) by person \d+ in place \d+: (\w+), first words (.+), whole (.+ s), "
        r"\d+ exchanges in the prompt, (.+)"
    ): _done,
}
