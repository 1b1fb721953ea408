"""After a fence there is a language that Discord takes, nothing, or code that people should see."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.markdown.fence_info import fence_info
from bot.markdown.renderer import render

# Discord's clients take this for a language; anything else is the first line of code.
LANGUAGE = re.compile(r"[a-z0-9_+\-.#]*", re.IGNORECASE)


@pytest.mark.parametrize(
    ("info", "shown"),
    [
        ("", ""),
        ("js", "js"),
        (" js", "js"),
        ("\tjs ", "js"),
        (" C++\r", "C++"),
        ("c#", "c#"),
        ("objective-c", "objective-c"),
        ("asp.net", "asp.net"),
        ('python title="x.py"', "python"),
        ("python title=x.py linenums", "python"),
        ("js {1,2}", "js"),
        ("js{1,3-5}", "js"),
        ("tsx showLineNumbers {2} /useState/", "tsx"),
        ("js [app.js]", "js"),
        ("rust,ignore", "rust"),
        ("rust,no_run,edition2021", "rust"),
        ("python:src/x.py", "python"),
        ("python src/x.py", "python"),
        ("python # x.py", "python"),
        ("python3 -i", "python3"),
        ("Python 3", "Python"),
        ("ts filename=app.ts", "ts"),
        ("{.python}", "python"),
        ("{.python .numberLines}", "python"),
        (" { #code .python startFrom=1 }", "python"),
        ("{python}", "python"),
        ("{r, echo=FALSE}", "r"),
        ("{lang=js}", "js"),
        ("{.language-js}", "js"),
        ("language-js", "js"),
        ("12:15:src/app.tsx", "tsx"),
        ("src/app.py", "py"),
        ("/etc/nginx/nginx.conf", "conf"),
        ("C:\\code\\app.py", "py"),
        ("파이썬", ""),
        ("{.파이썬}", ""),
        ("`py`", "py"),
    ],
)
def test_the_language_comes_right_after_the_fence(info: str, shown: str) -> None:
    assert fence_info(info) == shown
    assert render(f"~~~{info}\nx\n~~~") == f"```{shown}\nx\n```"


@pytest.mark.parametrize(
    "info",
    [
        "print(1)",
        "const x = 1;",
        "SELECT * FROM users",
        "npm install left pad",
        "Here is the code",
        "안녕하세요 여러분 반갑습니다",
    ],
)
def test_code_on_the_line_of_the_fence_stays(info: str) -> None:
    assert fence_info(info) == info
    assert render(f"```{info}\nx\n```") == f"```{info}\nx\n```"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- ``` js\n  x\n  ```", "- ```js\n  x\n  ```"),
        ("> ``` js\n> x\n> ```", "> ```js\n> x\n> ```"),
        ("```` md\n```\n````", "```md\n``\u200b`\n```"),
        ("``` js", "```js"),
        ("Use ``` js here", "Use ``` js here"),
    ],
)
def test_a_fence_anywhere_has_no_space_before_its_language(text: str, shown: str) -> None:
    assert render(text) == shown


@given(st.text(alphabet="ajs {}.,=:/\\'\"()`~#[]한12-+", max_size=20))
def test_info_that_was_rendered_stays(info: str) -> None:
    assert fence_info(fence_info(info)) == fence_info(info)
