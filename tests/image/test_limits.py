"""What is too large, empty or of no meaning is refused, and what is just within the limits is taken."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from tests.image.samples import saved
from vqcodec.errors import UnsupportedImage
from vqcodec.image.picture import load_picture
from vqcodec.types import Limits


def test_large_pictures_are_refused(monkeypatch):
    with pytest.raises(UnsupportedImage, match="limit of 99"):
        load_picture(Image.new("L", (10, 10)), limits=Limits(pixels=99))
    with pytest.raises(UnsupportedImage, match="longer than the limit of 9"):
        load_picture(Image.new("L", (10, 1)), limits=Limits(side=9))
    with pytest.raises(UnsupportedImage, match="longer than the limit of 65535"):
        load_picture(Image.new("L", (70_000, 1)), limits=Limits(0, 0))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert load_picture(saved(Image.new("L", (10, 10)))).width == 10


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 3), np.uint8)])
def test_arrays_are_checked(bad):
    reason = "the picture has no pixels"
    if bad.size:
        reason = "arrays must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4)"
    with pytest.raises(UnsupportedImage, match=f"^{re.escape(reason)}$"):
        load_picture(bad)


def test_arrays_of_every_shape_are_taken():
    gray = load_picture(np.array([[7]], np.uint8))
    assert (gray.mode, gray.pixels.tolist()) == ("L", [[[7, 7, 7]]])
    assert load_picture(np.zeros((2, 3, 3), np.uint8)).mode == "RGB"
    assert load_picture(np.zeros((2, 3, 4), np.uint8)).mode == "RGBA"
    with pytest.raises(UnsupportedImage, match="shape"):
        load_picture(np.zeros((2, 2, 5), np.uint8))


@pytest.mark.parametrize("size", [(0, 1), (1, 0)])
def test_an_image_without_pixels_is_refused(size):
    with pytest.raises(UnsupportedImage, match=r"^the picture has no pixels$"):
        load_picture(Image.new("L", size))


def test_pictures_of_exactly_the_limits_are_taken():
    image = Image.new("L", (10, 9))
    assert load_picture(image, limits=Limits(pixels=90, side=10)).width == 10
