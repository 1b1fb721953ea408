"""Check components as Discord does: buttons, selects, text inputs, layouts and modals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.sandbox.discord.errors import FormErrors
    from bot.sandbox.discord.world import Json

    Path = tuple[str | int, ...]

ACTION_ROW: Final = 1
BUTTON: Final = 2
TEXT_INPUT: Final = 4
TEXT_DISPLAY: Final = 10
LABEL: Final = 18
SELECTS: Final = frozenset({3, 5, 6, 7, 8})
_V2_TOP: Final = frozenset({1, 9, 10, 12, 13, 14, 17})
# Inputs, selects, file uploads, radio groups, checkbox groups and checkboxes
_IN_LABELS: Final = SELECTS | {TEXT_INPUT, 19, 21, 22, 23}
_MODAL_TOP: Final = frozenset({ACTION_ROW, TEXT_DISPLAY, LABEL})
_LINK_STYLE: Final = 5
_PREMIUM_STYLE: Final = 6
_TEXT_TOTAL: Final = 4000  # Discord: all text displays of one message together
_COUNT_TOTAL: Final = 40


def walk(components: Any) -> Iterator[Json]:
    """Yield every component in a tree of them, outermost first."""
    for item in components if isinstance(components, list) else []:
        if isinstance(item, dict):
            yield item
            yield from walk(item.get("components"))
            yield from walk([item.get("accessory"), item.get("component")])


def check_components(form: FormErrors, path: Path, components: Any, *, v2: bool) -> None:
    """Note in *form* every error in a message's components."""
    if components is None:
        return
    if not isinstance(components, list):
        form.add(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return
    if not v2 and len(components) > 5:
        form.add(path, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    for index, item in enumerate(components):
        kind = item.get("type") if isinstance(item, dict) else None
        if kind not in (_V2_TOP if v2 else {ACTION_ROW}):
            allowed = tuple(sorted(_V2_TOP)) if v2 else (ACTION_ROW,)
            form.add(
                (*path, index, "type"),
                "UNION_TYPE_CHOICES",
                f'Value of field "type" must be one of {allowed}.',
            )
        elif kind == ACTION_ROW:
            _check_row(form, (*path, index), item)
    _check_totals(form, path, components)
    _check_custom_ids(form, path, components)


def _check_row(form: FormErrors, path: Path, row: Json) -> None:
    children = row.get("components") or []
    where = (*path, "components")
    if not 1 <= len(children) <= 5:
        form.add(where, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    kinds = {child.get("type") for child in children}
    if kinds & SELECTS and len(children) > 1:
        form.add(
            where,
            "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
            "The specified component exceeds maximum width",
        )
    for index, child in enumerate(children):
        if child.get("type") == BUTTON:
            _check_button(form, (*where, index), child)
        elif child.get("type") not in SELECTS:
            form.add(
                (*where, index, "type"),
                "UNION_TYPE_CHOICES",
                'Value of field "type" must be one of (2, 3, 5, 6, 7, 8).',
            )


def _check_button(form: FormErrors, path: Path, button: Json) -> None:
    style = button.get("style")
    if style not in range(1, 7):
        form.add((*path, "style"), "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3, 4, 5, 6}.")
    if len(button.get("label") or "") > 80:
        form.add((*path, "label"), "BASE_TYPE_MAX_LENGTH", "Must be 80 or fewer in length.")
    if style == _LINK_STYLE:
        if not button.get("url") or "custom_id" in button:
            form.add(path, "BUTTON_COMPONENT_LINK", "A link button needs a url and no custom id")
    elif style != _PREMIUM_STYLE and "custom_id" not in button:
        form.add(
            (*path, "custom_id"),
            "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED",
            "A custom id is required",
        )
    if style not in {_LINK_STYLE, _PREMIUM_STYLE} and not (
        button.get("label") or button.get("emoji")
    ):
        form.add(path, "BUTTON_COMPONENT_INVALID_LABEL", "A button must have a label or an emoji")


def _check_totals(form: FormErrors, path: Path, components: list[Any]) -> None:
    found = list(walk(components))
    texts = sum(len(item.get("content") or "") for item in found if item["type"] == TEXT_DISPLAY)
    if texts > _TEXT_TOTAL:
        form.add(
            path,
            "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
            f"Total text content must be at most {_TEXT_TOTAL} characters.",
        )
    if len(found) > _COUNT_TOTAL:
        form.add(path, "BASE_TYPE_BAD_LENGTH", "The total number of components is over 40.")


def _check_custom_ids(form: FormErrors, path: Path, components: list[Any]) -> None:
    seen: set[str] = set()
    for item in walk(components):
        if "custom_id" not in item:
            continue
        custom_id = item["custom_id"]
        if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= 100:
            form.add(path, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
        elif custom_id in seen:
            form.add(
                path,
                "COMPONENT_CUSTOM_ID_DUPLICATED",
                "Component custom id cannot be duplicated",
            )
        else:
            seen.add(custom_id)


def check_modal(form: FormErrors, path: Path, modal: Json, *, rows_allowed: bool = False) -> None:
    """Note in *form* every error in a modal.

    Text inputs belong into labels; inputs in rows, an older form, are deprecated.
    """
    tops = _MODAL_TOP if rows_allowed else _MODAL_TOP - {ACTION_ROW}
    for key, limit in (("title", 45), ("custom_id", 100)):
        value = modal.get(key)
        if not isinstance(value, str) or not 1 <= len(value) <= limit:
            form.add(
                (*path, key), "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {limit} in length."
            )
    components = modal.get("components")
    where = (*path, "components")
    if not isinstance(components, list) or not 1 <= len(components) <= 5:
        form.add(where, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        return
    for index, item in enumerate(components):
        if not isinstance(item, dict) or item.get("type") not in tops:
            form.add(
                (*where, index, "type"),
                "UNION_TYPE_CHOICES",
                f'Value of field "type" must be one of {tuple(sorted(tops))}.',
            )
        elif item["type"] == LABEL:
            _check_label(form, (*where, index), item)
    for item in walk(components):
        if item.get("type") == TEXT_INPUT:
            _check_text_input(form, where, item)
    _check_custom_ids(form, where, components)


def _check_label(form: FormErrors, path: Path, label: Json) -> None:
    _check_text(form, (*path, "label"), label.get("label"), 1, 45)
    _check_text(form, (*path, "description"), label.get("description") or "", 0, 100)
    inner = label.get("component")
    if not isinstance(inner, dict) or inner.get("type") not in _IN_LABELS:
        form.add(
            (*path, "component"),
            "UNION_TYPE_CHOICES",
            f'Value of field "type" must be one of {tuple(sorted(_IN_LABELS))}.',
        )


def _check_text_input(form: FormErrors, path: Path, item: Json) -> None:
    where = (*path, str(item.get("custom_id")))
    if item.get("style") not in {1, 2}:
        form.add((*where, "style"), "BASE_TYPE_CHOICES", "Value must be one of {1, 2}.")
    if item.get("label") is not None:
        _check_text(form, (*where, "label"), item["label"], 1, 45)
    _check_text(form, (*where, "placeholder"), item.get("placeholder") or "", 0, 100)
    longest = item.get("max_length", 4000)
    if not 1 <= longest <= 4000:
        form.add((*where, "max_length"), "NUMBER_TYPE_MAX", "int value should be 1 to 4000.")
    if not 0 <= (item.get("min_length") or 0) <= min(longest, 4000):
        form.add((*where, "min_length"), "NUMBER_TYPE_MAX", "int value should be 0 to 4000.")
    _check_text(form, (*where, "value"), item.get("value") or "", 0, min(longest, 4000))


def _check_text(form: FormErrors, path: Path, value: Any, least: int, most: int) -> None:
    if not isinstance(value, str) or not least <= len(value) <= most:
        form.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
