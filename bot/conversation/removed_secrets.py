"""Tell people which keys and tokens were removed from their questions."""

from collections.abc import Iterable, Sequence
from typing import Final

from bot.conversation.exchange import Exchange, FromInteraction
from bot.i18n.sentences import Explain, Sentences
from bot.secret_shapes import SecretKind, removed_kinds

_NAMES: Final[dict[SecretKind, Explain]] = {
    SecretKind.ANTHROPIC: lambda t: t.secret_anthropic,
    SecretKind.AWS: lambda t: t.secret_aws,
    SecretKind.DISCORD_TOKEN: lambda t: t.secret_discord_token,
    SecretKind.DISCORD_WEBHOOK: lambda t: t.secret_discord_webhook,
    SecretKind.GITHUB: lambda t: t.secret_github,
    SecretKind.GITLAB: lambda t: t.secret_gitlab,
    SecretKind.GOOGLE: lambda t: t.secret_google,
    SecretKind.HUGGING_FACE: lambda t: t.secret_hugging_face,
    SecretKind.JWT: lambda t: t.secret_jwt,
    SecretKind.NPM: lambda t: t.secret_npm,
    SecretKind.OPENAI: lambda t: t.secret_openai,
    SecretKind.PRIVATE_KEY: lambda t: t.secret_private_key,
    SecretKind.PYPI: lambda t: t.secret_pypi,
    SecretKind.SLACK: lambda t: t.secret_slack,
    SecretKind.STRIPE: lambda t: t.secret_stripe,
    SecretKind.TELEGRAM: lambda t: t.secret_telegram,
    SecretKind.URL_PASSWORD: lambda t: t.secret_url_password,
}


def removed_from(question: Exchange) -> list[SecretKind]:
    """Return the kinds of secrets removed from a question and its quotation, each once."""
    return removed_kinds(question.question, question.embedded, question.files, question.quoted)


def sentences_about_removed(question: Exchange, strings: Sentences) -> list[str]:
    """Return the sentences that tell people what was removed from *question*."""
    own = removed_kinds(question.question, question.embedded, question.files)
    quoted = [kind for kind in removed_kinds(question.quoted) if kind not in own]
    sentences = []
    if own:
        is_command = isinstance(question.origin, FromInteraction)
        sentence = _by_command(strings, own) if is_command else _by_message(strings, own)
        sentences.append(sentence.format(secrets=listed(own, strings)))
    if quoted:
        sentences.append(strings.secret_in_quote.format(secrets=listed(quoted, strings)))
    return sentences


def listed(kinds: Iterable[SecretKind], strings: Sentences) -> str:
    """Return the names of *kinds*, with "and" before the last."""
    *first, last = [_NAMES[kind](strings) for kind in kinds]
    return strings.secrets_joined.format(first=", ".join(first), last=last) if first else last


def _by_message(strings: Sentences, kinds: Sequence[SecretKind]) -> str:
    return strings.secret_in_message if len(kinds) == 1 else strings.secrets_in_message


def _by_command(strings: Sentences, kinds: Sequence[SecretKind]) -> str:
    return strings.secret_in_command if len(kinds) == 1 else strings.secrets_in_command
