"""What servers say of pictures: whether the model never takes any, without repeating them."""

import base64
import json

import pytest

from bot.errors import (
    ModelBlind,
    ModelBusy,
    ModelContextExceeded,
    ModelError,
    ModelFailed,
    ModelKeyRefused,
    ModelRequestRefused,
    ModelUnknown,
)
from bot.images import Image
from bot.prompt import Prompt, Role, Turn
from bot.refusals import Private, refusal

DATA = bytes(range(256)) * 4
PLAIN = Prompt((Turn(Role.USER, "What is out there?"),), 9, 0, 100)
PICTURED = PLAIN.with_images({0: [Image(DATA, "image/png")]})


def private(prompt: Prompt) -> Private:
    return Private("key", prompt)


@pytest.mark.parametrize(
    ("status", "message", "named", "otherwise"),
    [
        (404, "No endpoints found that support image input", ModelBlind, ModelUnknown),
        (500, "this model is missing data required for image input", ModelBlind, ModelFailed),
        (400, "this model does not support image input (ref: x)", ModelBlind, None),
        (500, "image input is not supported - hint: mmproj", ModelBlind, ModelFailed),
        (400, "At most 0 image(s) may be provided in one prompt.", ModelBlind, None),
        (400, "x/y is not a multimodal model", ModelBlind, None),
        (400, "Model does not support images. Please use a model that does.", ModelBlind, None),
        (400, "image_url is only supported by certain models.", ModelBlind, None),
        (400, "Image input is not enabled for this model", ModelBlind, None),
        (422, "unknown variant `image_url`, expected `text`", ModelBlind, None),
        (400, "'messages.0.content' : value must be a string", ModelBlind, None),
        (400, "messages[1].content must be a string", ModelBlind, None),
        (400, "You uploaded an unsupported image.", ModelRequestRefused, None),
        (400, "Image format not supported", ModelRequestRefused, None),
        (500, "Failed to load image or audio file", ModelRequestRefused, ModelFailed),
        (400, "At most 1 image(s) may be provided in one prompt.", ModelRequestRefused, None),
        (400, "Bad request", ModelRequestRefused, None),
        (500, "Internal server error", ModelFailed, ModelFailed),
        (429, "The vision model does not support so many images", ModelBusy, ModelBusy),
        (401, "Your key may not use vision", ModelKeyRefused, ModelKeyRefused),
        (404, "The model gpt-vision does not exist", ModelUnknown, ModelUnknown),
        (
            400,
            "The context length with images is exceeded",
            ModelContextExceeded,
            ModelContextExceeded,
        ),
    ],
)
def test_what_is_said_of_pictures_counts_where_there_are_some(
    status: int, message: str, named: type[ModelError], otherwise: type[ModelError] | None
) -> None:
    said = json.dumps({"error": {"message": message}})
    assert type(refusal(status, said, private(PICTURED))) is named
    assert type(refusal(status, said, private(PLAIN))) is (otherwise or ModelRequestRefused)


def test_a_picture_that_an_error_repeats_is_left_out() -> None:
    data = base64.b64encode(DATA).decode()
    for at in (0, 1, 400):
        said = json.dumps({"error": {"message": f"Bad: data:image/png;base64,{data[at:]}"}})
        assert str(refusal(400, said, private(PICTURED))) == (
            "400 Bad: data:image/png;base64,(data)"
        )
