"""Each shape of a key is removed wherever it is in a text, and nothing else is."""

import base64
import random
import string
import time
from collections.abc import Callable

import pytest

from bot.secret_shapes import SecretKind, redacted, redacted_line, removed_kinds

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
WORD = LOWER + UPPER + DIGITS
ODDS = random.Random(17)


def some(count: int, characters: str = WORD) -> str:
    """Return random characters. No key is in this file whole, so no scanner takes it for one."""
    return "".join(ODDS.choices(characters, k=count))


def lines(count: int) -> str:
    return "\n".join(some(64, WORD + "+/") for _ in range(count))


def dashed(words: str) -> str:
    return f"{'-' * 5}{words}{'-' * 5}"


def bot_id(count: int) -> str:
    """Return the id of a bot, of *count* digits, as it is in tokens."""
    return base64.b64encode(f"1{some(count - 1, DIGITS)}".encode()).decode().rstrip("=")


def pem(kind: str, body: str) -> str:
    return f"{dashed(f'BEGIN {kind}')}\n{body}\n{dashed(f'END {kind}')}"


SECRETS: dict[str, tuple[SecretKind, str]] = {
    "anthropic": (SecretKind.ANTHROPIC, f"sk-ant-api03-{some(93, WORD + '-_')}AA"),
    "aws id": (SecretKind.AWS, f"AKIA{some(16, UPPER + '234567')}"),
    "aws session id": (SecretKind.AWS, f"ASIA{some(16, UPPER + '234567')}"),
    "discord bot": (
        SecretKind.DISCORD_TOKEN,
        f"{bot_id(18)}.G{some(5)}.{some(38, WORD + '-_')}",
    ),
    "discord bot of 2016": (SecretKind.DISCORD_TOKEN, f"{bot_id(17)}.C{some(5)}.{some(27)}"),
    "discord bot of 2026": (SecretKind.DISCORD_TOKEN, f"{bot_id(19)}.G{some(5)}.{some(38)}"),
    "discord bot of later": (SecretKind.DISCORD_TOKEN, f"{bot_id(20)}.G{some(5)}.{some(38)}"),
    "discord webhook": (
        SecretKind.DISCORD_WEBHOOK,
        f"https://discord.com/api/webhooks/{some(19, DIGITS)}/{some(68, WORD + '-_')}",
    ),
    "github classic": (SecretKind.GITHUB, f"ghp_{some(36)}"),
    "github app": (SecretKind.GITHUB, f"ghs_{some(36)}"),
    "github fine-grained": (SecretKind.GITHUB, f"github_pat_{some(22)}_{some(59)}"),
    "gitlab": (SecretKind.GITLAB, f"glpat-{some(20)}"),
    "gitlab routable": (SecretKind.GITLAB, f"glpat-{some(27)}.{some(2)}.{some(9)}"),
    "google api": (SecretKind.GOOGLE, f"AIza{some(35)}"),
    "google client": (SecretKind.GOOGLE, f"GOCSPX-{some(28)}"),
    "google access": (SecretKind.GOOGLE, f"ya29.{some(120, WORD + '-_')}"),
    "hugging face": (SecretKind.HUGGING_FACE, f"hf_{some(34, LOWER + UPPER)}"),
    "jwt": (SecretKind.JWT, f"eyJ{some(33)}.eyJ{some(70)}.{some(43, WORD + '-_')}"),
    "npm": (SecretKind.NPM, f"npm_{some(36)}"),
    "openai of 2023": (SecretKind.OPENAI, f"sk-{some(20)}T3BlbkFJ{some(20)}"),
    "openai project": (SecretKind.OPENAI, f"sk-proj-{some(74, WORD + '-_')}T3BlbkFJ{some(74)}"),
    "openai service": (SecretKind.OPENAI, f"sk-svcacct-{some(150)}"),
    "compatible server": (SecretKind.OPENAI, f"sk-{some(32, 'abcdef' + DIGITS)}"),
    "private key": (SecretKind.PRIVATE_KEY, pem("RSA PRIVATE KEY", lines(24))),
    "private key of ssh": (SecretKind.PRIVATE_KEY, pem("OPENSSH PRIVATE KEY", lines(5))),
    "private key in json": (
        SecretKind.PRIVATE_KEY,
        pem("PRIVATE KEY", lines(20)).replace("\n", "\\n"),
    ),
    "private key, its end cut off": (
        SecretKind.PRIVATE_KEY,
        f"{dashed('BEGIN EC PRIVATE KEY')}\n{lines(2)}",
    ),
    "pypi": (SecretKind.PYPI, f"pypi-AgEIcHlwaS5vcmc{some(150, WORD + '-_')}"),
    "slack bot": (SecretKind.SLACK, f"xoxb-{some(12, DIGITS)}-{some(12, DIGITS)}-{some(24)}"),
    "slack app": (SecretKind.SLACK, f"xapp-1-A{some(10, UPPER)}-{some(13, DIGITS)}-{some(64)}"),
    "slack webhook": (
        SecretKind.SLACK,
        f"https://hooks.slack.com/services/T{some(8)}/B{some(8)}/{some(24)}",
    ),
    "stripe": (SecretKind.STRIPE, f"sk_live_{some(24)}"),
    "stripe restricted": (SecretKind.STRIPE, f"rk_test_{some(99)}"),
    "stripe webhook": (SecretKind.STRIPE, f"whsec_{some(32)}"),
    "telegram": (SecretKind.TELEGRAM, f"{some(9, DIGITS)}:AA{some(33, WORD + '-_')}"),
}
AROUND: dict[str, Callable[[str], str]] = {
    "alone": lambda secret: secret,
    "in a sentence": lambda secret: f"Why does {secret} not work?",
    "before a full stop": lambda secret: f"My key is {secret}.",
    "at the end of a line": lambda secret: f"first {secret}\nthen the rest",
    "quoted": lambda secret: f"token = \"{secret}\"  # or '{secret}'",
    "code": lambda secret: f"`{secret}` and\n```sh\nexport KEY={secret}\n```",
    "in brackets": lambda secret: f"[{secret}] ({secret}) <{secret}> {{{secret}}}",
    "in a query": lambda secret: f"curl example.org/v1?key={secret}&page=2",
    "after an escape": lambda secret: f'{{"env": "A=1\\n{secret}\\tB=2", "url": "?q=%20{secret}"}}',
    "json": lambda secret: f'{{"key": "{secret}", "next": null}}',
    "before a Korean particle": lambda secret: f"이 키는 {secret}입니다",
    "after an escape in JavaScript": lambda secret: (
        f"a=1\\u0026key={secret}\\u0026\\u0022{secret}\\u0022"
    ),
    "in lower-case escapes": lambda secret: f"?next=%3fkey%3d{secret}%26b",
    "in color": lambda secret: f"\x1b[0m{secret}\x1b[0m \x1b[31m{secret}\x1b[39m [1;31m{secret}",
    "in bold": lambda secret: f"**{secret}** ||{secret}|| ~~{secret}~~",
    "in a table": lambda secret: f"| name | {secret} |\n|---|---|",
    "several": lambda secret: f"{secret}, {secret}\n{secret}",
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_removed_and_what_is_around_it_stays(name: str, around: str) -> None:
    kind, secret = SECRETS[name]
    assert redacted(AROUND[around](secret)) == AROUND[around](f"[removed: {kind}]")


def test_every_kind_is_tested() -> None:
    tested = {kind for kind, _ in SECRETS.values()}
    assert tested | {SecretKind.URL_PASSWORD} == {*SecretKind}


@pytest.mark.parametrize(
    "address",
    [
        "postgres://app:{}@db.example.org:5432/shop",
        "git clone https://mina:{}@git.example.org/shop.git",
        "redis://:{}@cache:6379",
        '"mongodb+srv://app:{}@cluster0.example.net/?retryWrites=true"',
        "amqp://app:{}@10.0.0.7//",
        "postgres://app:{}@$DB_HOST/shop",
        "postgres://app:{}@{{host}}/shop",
        "postgres://app:{}@<host>/shop",
    ],
)
def test_a_password_in_an_address_is_removed_and_the_rest_stays(address: str) -> None:
    kept = address.format(f"[removed: {SecretKind.URL_PASSWORD}]")
    assert redacted(address.format("hunter2!x%40")) == kept
    assert redacted(address.format("p@hunter2")) == kept, "an @ that should be encoded"
    assert redacted(address.format("hunter@2@x")) == kept


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY=", "aws_secret_access_key = "])
def test_the_secret_beside_the_id_of_an_aws_key_is_removed(name: str) -> None:
    text = f"{name}{some(40, WORD + '/+')}\nregion = eu-west-1"
    assert redacted(text) == f"{name}[removed: AWS key]\nregion = eu-west-1"


def test_keys_of_several_kinds_are_counted_in_their_order_each_once() -> None:
    parts = [SECRETS[name][1] for name in ("npm", "github classic", "github fine-grained", "npm")]
    texts = ["What are these?", redacted(" ".join(parts)), redacted(SECRETS["jwt"][1])]
    assert removed_kinds(*texts) == [SecretKind.NPM, SecretKind.GITHUB, SecretKind.JWT]


def test_a_mark_that_somebody_wrote_counts_as_nothing() -> None:
    text = redacted("What does [removed: GitHub token] mean?")
    assert text == "What does (removed: GitHub token) mean?"
    assert removed_kinds(text) == []


HARMLESS = [
    "how do I undo the last commit?",
    "What does 3f786850e387550fdab836ed7e6dc881de23001b change?",
    "git revert d670460b4b4aece5915caf5c68d12f560a9fe3e4..HEAD",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "id 123e4567-e89b-12d3-a456-426614174000 is taken",
    "Who is <@80351110224678912> in <#103735883630395392>?",
    "message 1124318712345678901 in guild 613425648685547541",
    "https://discord.com/channels/613425648685547541/697138785317814292/1124318712345678901",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD",
    "password = 'correct horse battery staple'",
    'DB_PASSWORD="hunter2"',
    "api_key: 0123456789abcdef0123456789abcdef",
    "the sk-learn docs, or sk- for short",
    "It is a risk-averse task-oriented desk-bound job",
    "Use your key, like sk-... or sk-proj-…",
    "OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "OPENAI_API_KEY=sk-your-key-here",
    "sk-ant-api03-...",
    "export GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "tokens begin with ghp_, gho_, ghu_, ghs_ or github_pat_",
    "ghp_ is followed by 36 characters",
    "glpat-xxxxxxxxxxxxxxxxxxxx",
    "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "How do I rotate an AWS_SECRET_ACCESS_KEY?",
    "xoxo, your friend",
    "slack tokens begin with xoxb-",
    "sk_test_... and pk_live_... in the docs of Stripe",
    "pk_live_51H8s7fKZt2Qw9Lm3Xy is public on purpose",
    "hf_hub_download(repo_id='google/gemma-2b', filename='config.json')",
    "npm_config_registry and npm_package_version",
    "pip install pypi-attestations",
    "eyJ begins every JWT",
    "Header eyJhbGciOiJIUzI1NiJ9 decodes to what?",
    "postgres://user:password@localhost:5432/app",
    "mysql://root:secret@localhost/test",
    "postgresql://app:${DB_PASSWORD}@db/app",
    "http://User:Pass@www.python.org:080/doc/",
    "redis://default:<password>@host:6379",
    "postgresql://odoo:odoo@db/odoo and http://minio:minio123@localhost:9000",
    "https://username:token@github.com/mina/shop.git, https://oauth2:$TOKEN@gitlab.com/mina/shop",
    "postgresql://scott:tiger@localhost/test, postgres://me:mysecretpassword@localhost",
    "postgresql://user:비밀번호@localhost/db, http://proxy:proxypass@proxy:3128, ://u:123456@h",
    "postgres://u:p@h/d",
    "ghp_1234567890abcdefghijklmnopqrstuvwxyz12 and sk-1234567890abcdef1234567890abcdef",
    "sk-proj-your-openai-api-key-goes-here-please-replace-it",
    "sk-ant-api03-your-anthropic-api-key-goes-here-please-replace-it",
    "xoxb-not-a-real-token-this-will-not-work, xoxo-kisses-and-hugs-from-all-of-us",
    "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    f"aws_secret_access_key={'x' * 40}",
    f"sk_test_4eC39{'HqLyjWDarjtT1zdp7dc'} is the one in Stripe's examples",
    f"eyJhbGciOiJIUzI1NiJ9.{'eyJzdWIiOiIxMjM0NTY3ODkwIn0'}.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV",
    "NotificationManagerService.Helper.doSomethingReallyLongMethodNameHere",
    "at OrderServiceIntegrationTest.should.returnNotFoundWhenTheOrderDoesNotExist(A.java:3)",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ...\n-----END PRIVATE KEY-----",
    "'-----BEGIN PRIVATE KEY-----' in a or 'no key is here' in b or '-----END PRIVATE KEY-----'",
    "https://user:***@example.org",
    "http://localhost:8080/@mina",
    "ssh://git@github.com:22/mina/shop.git",
    "git@github.com:mina/shop.git",
    "mina@example.org wrote to jun@example.org at 10:30",
    "See [the docs](https://example.org/a/b?c=d&e=f#g:h@i).",
    "ISBN 978-3-16-148410-0, DOI 10.1000/182",
    "Call +82 2-312-3456 or +1 (555) 010-9999 about IBAN DE89 3704 0044 0532 0130 00",
    "안녕하세요, 이 오류는 무슨 뜻인가요? 비밀번호는 어디에서 바꾸나요?",
    "f(x) = \\int_0^\\infty e^{-x^2} dx, MNO.PQR.STU",
    "com.example.android.Application.onCreate(MainActivity.java:42)",
    "-----BEGIN CERTIFICATE-----\nMIIDXTCCAkWgAwIBAgIJAJC1HiIAZAi\n-----END CERTIFICATE-----",
    "The file begins with -----BEGIN PRIVATE KEY----- and I do not know why.",
    "12:AAPL and 123456789:AAPL are no tickers",
    "https://discord.com/developers/docs/resources/webhook",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPbGzJ4v1iW3oXq8T8Zz5m1n2o3p4q5r6s7t8u9v0w1x mina@desk",
    "Bearer tokens, Bot tokens and Basic authentication: what is the difference?",
    "ghcr.io/mina/shop@sha256:9b2a4c1de0f84b6f8f0f6d6bb7a9f0d6f4a1f6d0d2c1b7a8e9f0a1b2c3d4e5f6",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_is_left_alone(text: str) -> None:
    assert redacted(text) == text
    assert redacted_line(text) == text
    assert removed_kinds(text) == []


def test_there_are_fifty_harmless_texts() -> None:
    assert len({*HARMLESS}) >= 50


@pytest.mark.parametrize("name", SECRETS)
def test_a_line_of_the_log_has_no_secret(name: str) -> None:
    _, secret = SECRETS[name]
    line = redacted_line(f"Cannot do it: {secret} is refused")
    assert secret.rpartition("/")[2][-12:] not in line
    assert line.startswith("Cannot do it: ")
    assert line.endswith("] is refused")


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("POST /interactions/1234567890/{}/callback", "/interactions/1234567890/"),
        ("PATCH https://discord.com/api/v10/webhooks/1234567890/{}/messages/@original", "/@orig"),
        ("Authorization: Bot {}", "Authorization: Bot "),
        ("Authorization: Bearer {}", "Authorization: Bearer "),
        ("'Authorization': 'Basic {}'", "'Basic "),
    ],
)
def test_a_line_of_the_log_has_no_token_of_discord_or_a_header(line: str, kept: str) -> None:
    token = some(40)
    assert token not in redacted_line(line.format(token))
    assert kept in redacted_line(line.format(token))


HOSTILE = [
    *("sk-", "sk-ant-api03-", "ghp_", "github_pat_", "glpat-", "AKIA", "aws_secret_access_key="),
    *(
        "M",
        "MTI4",
        "MTI4.",
        f"{'MTI4' * 6}.",
        "\\u0026",
        "/webhooks/",
        "https://discord.com/api/webhooks/",
    ),
    *("xoxb-", "xapp-1-", "hooks.slack.com", "AIza", "GOCSPX-", "ya29.", "sk_live_", "whsec_"),
    *("eyJ", "eyJxxxxxxxxxx.", "hf_", "npm_", "pypi-AgE", "1:AA", "123456789:AA", "://", "://a:"),
    *(
        "://a:b",
        "://a:bcd@",
        "://a:b@",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIx ",
        "Bot ",
    ),
    *("[removed: ", "/interactions/1/", "PRIVATE KEY -----BEGIN A B C ", "-----", "\\n", "a://"),
]
LONG = 100_000  # characters: as much of the files as a prompt may hold


@pytest.mark.parametrize("beginning", HOSTILE)
@pytest.mark.parametrize("filler", ["", "a", "-_", " ", "aaaaaaab."])
def test_time_grows_with_the_length_and_not_faster(beginning: str, filler: str) -> None:
    """The limit is a hundred times what it takes: a pattern that backtracks takes hours."""
    text = (beginning + filler * 40) * (LONG // (len(beginning) + 40 * len(filler)))
    began = time.perf_counter()
    redacted_line(redacted(text))
    redacted_line(redacted(beginning + (filler or "x") * LONG))
    assert time.perf_counter() - began < 30
