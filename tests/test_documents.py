"""The documents agree with the program."""

import re
import tomllib
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Le
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot.errors import ModelError
from bot.i18n.korean import KOREAN
from bot.i18n.languages import LANGUAGES
from bot.i18n.sentences import ENGLISH
from bot.reload import RELOADED
from bot.settings import Settings
from docs.picture import PICTURE, picture
from tests.i18n.test_sentences import COMMANDS, MODEL_ERRORS, NAMES, OPTIONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
READMES = {"en": README, "ko": (ROOT / "README.ko.md").read_text()}


def in_each_language(name: str) -> dict[str, str]:
    """Return the text of a document in `docs/`, by language."""
    return {
        "en": (ROOT / "docs" / f"{name}.md").read_text(),
        "ko": (ROOT / "docs" / f"{name}.ko.md").read_text(),
    }


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
SETTINGS = in_each_language("settings")
TROUBLESHOOTING = in_each_language("troubleshooting")
USAGE = in_each_language("usage")
KOREAN_DOCUMENTS = {
    path.name: path.read_text() for path in (*ROOT.glob("*.ko.md"), *ROOT.glob("docs/*.ko.md"))
}
TABLE_ROW = re.compile(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? ?\|", re.MULTILINE)
SETTINGS_ROW = re.compile(TABLE_ROW.pattern + r"(.*?)\|", re.MULTILINE)


def written_default(field: str) -> str:
    """Return the default of a setting as README would write it."""
    default = Settings.model_fields[field].default
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str | int | float):
        return str(default)
    return ""


def written_values(field: str) -> str:
    """Return the values of a setting as its table writes them, "" if a table may use any words."""
    info = Settings.model_fields[field]
    options = ("true", "false") if info.annotation is bool else ()
    if get_origin(info.annotation) is Literal:
        options = get_args(info.annotation)
    bounds = [str(bound.ge) for bound in info.metadata if isinstance(bound, Ge)]
    bounds += [str(bound.le) for bound in info.metadata if isinstance(bound, Le)]
    return "–".join(bounds) or ", ".join(f"`{option}`" for option in options)


@pytest.mark.parametrize("language", SETTINGS)
def test_the_settings_are_listed_with_their_defaults_and_values(language: str) -> None:
    rows = SETTINGS_ROW.findall(SETTINGS[language])
    fields = {name.lower(): default for name, default, _ in rows}
    assert fields == {field: written_default(field) for field in Settings.model_fields}
    assert len(rows) == len(fields)
    for name, _, values in rows:
        assert values.strip() == written_values(name.lower()) or not written_values(name.lower())


@pytest.mark.parametrize("language", SETTINGS)
def test_the_settings_that_a_reload_takes_over_are_listed(language: str) -> None:
    [section] = [one for one in SETTINGS[language].split("\n## ") if "kill -HUP" in one]
    _, _, names, *_ = section.split("\n\n")
    assert {name.lower() for name in re.findall(r"`([A-Z_]+)`", names)} == RELOADED


@pytest.mark.parametrize("language", READMES)
def test_readme_shows_some_settings_with_their_defaults(language: str) -> None:
    shown = TABLE_ROW.findall(READMES[language])
    assert {"DISCORD_TOKEN", "OPENAI_API_KEY"} < {name for name, _ in shown}
    assert all(default == written_default(name.lower()) for name, default in shown)


def test_the_example_settings_are_the_defaults() -> None:
    """A setting that is uncommented keeps its value."""
    example = (ROOT / ".env.example").read_text()
    given = dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert given == {field.upper(): written_default(field) for field in Settings.model_fields}


@pytest.mark.parametrize("language", TROUBLESHOOTING)
@pytest.mark.parametrize("error", MODEL_ERRORS, ids=lambda error: error.__name__)
def test_every_model_error_has_a_remedy(error: type[ModelError], language: str) -> None:
    first_sentence = error().explain(LANGUAGES[language]).partition(". ")[0].rstrip(".")
    assert f"| {first_sentence}. |" in TROUBLESHOOTING[language]


def test_both_languages_explain_the_same_sentences() -> None:
    english, korean = (explained_sentences(language) for language in TROUBLESHOOTING)
    assert english == korean
    assert len(english) > len(MODEL_ERRORS)


def explained_sentences(language: str) -> list[str]:
    """Return the names of the sentences that have a remedy, in the order of the document."""
    tables = re.findall(r"(?<=\|---\|---\|\n).*?(?=\n\n)", TROUBLESHOOTING[language], re.DOTALL)
    first = [row[2:].partition(". |")[0] for table in tables for row in table.splitlines()]
    texts = {name: plain(getattr(LANGUAGES[language], name)) for name in NAMES}
    found = [[name for name, text in texts.items() if text.startswith(one)] for one in first]
    assert all(found), [one for one, some in zip(first, found, strict=True) if not some]
    return [some[0] for some in found]


def plain(sentence: str) -> str:
    """Return a sentence without the brackets that contain a value."""
    return re.sub(r" ?\([^()]*\{[^()]*\)", "", sentence)


@pytest.mark.parametrize("text", [*KOREAN_DOCUMENTS.values(), *map(KOREAN.__getattribute__, NAMES)])
def test_korean_particles_after_commands_fit_their_sound(text: str) -> None:
    particles = "은|는|이|가|을|를|과|와|으로|로"
    for name, particle in re.findall(rf"/([가-힣]+?)`?({particles})(?=[\s,.])", text):
        if name in COMMANDS.values():
            end = (ord(name[-1]) - ord("가")) % 28  # Unicode: which final consonant, 0 for none
            pairs = ("은는", "이가", "을를", "과와")
            pair = next((one for one in pairs if particle in one), None)
            assert particle == (pair[not end] if pair else "로" if end in {0, 8} else "으로"), name


def test_every_command_has_a_row() -> None:
    named = re.findall(r"^\| `/([\w-]+)[^|]*` \| [a-z]", USAGE["en"], re.MULTILINE)
    assert set(named) == COMMANDS.keys()


def test_the_korean_table_calls_each_command_and_option_by_both_names() -> None:
    rows = re.findall(r"^\| `/(.+?)` \| `/(.+?)` \|", USAGE["ko"], re.MULTILINE)
    called = {(second.split()[0], first.split()[0]) for first, second in rows}
    assert called == {*COMMANDS.items()}
    names = [re.findall(r"(\w+):", " ".join(row[at] for row in rows)) for at in (1, 0)]
    options = {(getattr(ENGLISH, one), getattr(LANGUAGES["ko"], one)) for one in OPTIONS}
    assert {*zip(*names, strict=True)} <= options


@pytest.mark.parametrize("text", KOREAN_DOCUMENTS.values(), ids=KOREAN_DOCUMENTS)
def test_korean_documents_call_commands_by_their_names(text: str) -> None:
    in_discord = text.partition("## 터미널")[0]
    assert {*re.findall(r"`/([\w-]+)", in_discord)} <= {*COMMANDS, *COMMANDS.values()}


def test_readme_begins_with_the_two_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    commands = [line.split()[0] for line in blocks[0].splitlines()]
    assert commands == ["scripts/run", "scripts/test"]


def test_contributing_or_readme_names_every_script() -> None:
    scripts = {f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir()}
    assert scripts <= set(re.findall(r"scripts/[\w-]+", README + CONTRIBUTING))


def test_links_to_files_exist() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_list_of_decisions_has_the_heading_of_each() -> None:
    decisions = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^\| \[(\d+)\]\((.+)\) \| (.+) \|$", (decisions / "README.md").read_text(), re.MULTILINE
    )
    files = sorted(decisions.glob("[0-9]*.md"))
    headings = [path.read_text().partition("\n")[0] for path in files]
    assert [f"# {number} {title}" for number, _, title in listed] == headings
    assert [name for _, name, _ in listed] == [path.name for path in files]


def test_no_figure_is_a_placeholder() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        assert not re.search(r"@[a-z0-9 ]+@", document.read_text()), document.name


def test_the_tree_names_every_room() -> None:
    tree = re.search(r"```\nbot/\n(.*?)```", CONTRIBUTING, re.DOTALL)
    assert tree is not None
    named = [name for line in tree[1].splitlines() for name in line[:32].split()]
    rooms = {f"{path.parent.name}/" for path in (ROOT / "bot").glob("*/__init__.py")}
    modules = {path.name for path in (ROOT / "bot").glob("*.py")} - {"__init__.py"}
    assert sorted(named) == sorted(rooms | modules)


RECIPES = {
    section.partition("\n")[0]: section
    for section in re.split(r"^## ", CONTRIBUTING, flags=re.MULTILINE)[1:]
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_contributing_names_files_and_definitions_that_exist(recipe: str) -> None:
    """A name in a recipe is in one of the files that the recipe names."""
    prose = re.sub(r"```.*?```", "", recipe, flags=re.DOTALL)
    words = [word for quoted in re.findall(r"`([^`\n]+)`", prose) for word in quoted.split()]
    paths = [ROOT / word for word in words if "/" in word or word.endswith((".md", ".txt"))]
    assert all(path.exists() for path in paths), [path for path in paths if not path.exists()]
    sources = "".join(path.read_text() for path in paths if path.is_file())
    missing = [word for word in words if re.fullmatch(r"\w+", word) and word not in sources]
    assert not missing


def test_every_fault_of_the_list_has_a_test() -> None:
    faults = ROOT / "tests" / "faults"
    listed = re.findall(r"^\| (\d+) \|", (faults / "README.md").read_text(), re.MULTILINE)
    tests = "".join(path.read_text() for path in faults.glob("test_*.py"))
    assert {*map(int, listed)} == {*map(int, re.findall(r"def test_(\d\d)_", tests))}
    assert len(listed) == 30


def pins() -> list[tuple[Requirement, str]]:
    """Return each package of requirements.txt with its hashes."""
    text = (ROOT / "requirements.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line[:1] != "#"]
    return [
        (Requirement(name), hashes) for name, _, hashes in (one.partition(" --") for one in lines)
    ]


def test_requirements_pin_every_dependency() -> None:
    pinned = {canonicalize_name(one.name): str(one.specifier) for one, _ in pins()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["files"], *extras["metrics"], *extras["postgres"]]
    for dependency in map(Requirement, wanted):
        pin = pinned[canonicalize_name(dependency.name)]
        assert dependency.specifier.contains(pin.removeprefix("=="))


def test_every_requirement_has_hashes_or_pip_would_refuse_all() -> None:
    """One hash in the file makes pip demand one of each, also of what another Python needs."""
    assert all("hash=sha256:" in hashes for _, hashes in pins())
    assert "audioop-lts" in {one.name for one, _ in pins()}, "Python 3.13 has no audioop"


def test_the_rendering_picture_shows_the_real_output() -> None:
    """scripts/picture redraws it."""
    assert PICTURE.read_text(encoding="utf-8") == picture()


def test_requirements_name_no_index() -> None:
    assert "://" not in (ROOT / "requirements.txt").read_text()
