"""Keep secrets, and what people wrote, out of the error messages of chat APIs."""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from bot.conversation.prompt import Prompt
from bot.secret_shapes import redacted_line

# Servers repeat a refused key with stars in it, which has no shape of `secret_shapes` any more.
KEY_PATTERN: Final = re.compile(r"\b(?:sk|key)-[\w.*-]{4,}|(?:Bearer|Basic) \S+", re.IGNORECASE)
DETAIL_LENGTH: Final = 300  # the most characters of a message in the log
ECHO_LENGTH: Final = 16  # characters in a row that an error may share with the conversation
DATA: Final = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")  # base64, in which images are sent


class Redactor:
    """Removes secrets from error messages, and what people wrote if *hides_conversation*.

    Secrets are the API key, "" if there is none, and other *secrets*.
    """

    def __init__(
        self,
        api_key: str,
        prompt: Prompt,
        *,
        secrets: Sequence[str] = (),
        hides_conversation: bool = True,
    ) -> None:
        self._secrets = [secret for secret in (api_key, *secrets) if secret]
        self._turns = [turn.text for turn in prompt.turns] if hides_conversation else []
        self.with_images = prompt.images > 0
        self.tokens = prompt.tokens, prompt.reply_tokens

    def redact(self, message: str) -> str:
        """Return *message* on one line, of bounded length, without private text."""
        line = " ".join(message.split())
        if self.with_images:
            line = DATA.sub("(data)", line)
        for secret in self._secrets:
            line = line.replace(secret, "(key)")
        line = redacted_line(KEY_PATTERN.sub("(key)", line))[:DETAIL_LENGTH]
        plain = line.lower()
        pieces = {plain[at : at + ECHO_LENGTH] for at in range(len(plain) - ECHO_LENGTH + 1)}
        echoes = any(piece in text for text in self._texts for piece in pieces)
        return "(left out, as it repeats the conversation)" if echoes else line

    @cached_property
    def _texts(self) -> set[str]:
        """The texts that a message may repeat, plain or escaped as in JSON."""
        escaped = [json.dumps(text)[1:-1] for text in self._turns]
        return {" ".join(text.split()).lower() for text in (*self._turns, *escaped)}
