"""Shared fixtures: a codec without weights, pictures, and the command line run in-process."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vqcodec import loading
from vqcodec.codec import Codec
from vqcodec.compress.encoded import Encoded
from vqcodec.errors import CorruptData, ModelNotFound
from vqcodec.files import write_atomic
from vqcodec.types import TileProgress
from vqcodec_cli.main import main

if TYPE_CHECKING:
    from vqcodec.compress.tile_encoder import TileEncoder
    from vqcodec.decompress.tile_decoder import TileDecoder

# Under `pytest -n` a thread for each worker. Here, since conftests of folders that are named import torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    assert "torch" not in sys.modules  # it reads this when it is first imported
    os.environ["OMP_NUM_THREADS"] = "1"

# `benchmarks` is not installed; last, so that the checkout does not hide the installed vqcodec.
sys.path.append(str(Path(__file__).resolve().parents[1]))

Pixels = NDArray[np.uint8]


def pytest_configure(config: pytest.Config) -> None:
    """Under `pytest -n`, files are handed out in our order."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # it would keep files of a few slow tests for the end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that with `pytest -n` all workers end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class FakeModel:
    """Both halves of a codec, and their model, where weights do not matter.

    Layer 0 holds the means of 8x8 blocks, layer 1 the samples divided by a step that shrinks as the level
    grows (64 at level 0, 1 = lossless at 252). Both are zlib streams behind a length, padded to 32 bit words.
    """

    name = "fake"
    bitstream_id = bytes(range(8))
    decoder_id = bytes(range(8, 16))
    realism_id = b""

    def __init__(self, model: FakeModel | None = None, tune: str = "eyes") -> None:
        self.tune: str = tune if model is None else model.tune

    def tuned(self, tune: str) -> FakeModel:
        return FakeModel(tune=tune)

    @property
    def model(self) -> FakeModel:
        return self

    def encode(
        self, pixels: Pixels, level: int, tile: int, effort: int = 1, progress: TileProgress | None = None
    ) -> Encoded:
        assert pixels.dtype == np.uint8
        height, width, channels = pixels.shape
        assert channels == 3
        step = _step(level)
        coded = []
        for top, left, rows, columns in _tiles(width, height, tile):
            part = pixels[top : top + rows, left : left + columns].astype(np.int64)
            coded.append([_pack(_block_means(part)), _pack((part // step).astype(np.uint8))])
            if progress is not None:
                progress(len(coded), sum(1 for _ in _tiles(width, height, tile)))
        return Encoded(level, coded, error=0.0, rate=0.0)

    def decode(
        self,
        segments: Sequence[Sequence[bytes | None]],
        *,
        width: int,
        height: int,
        level: int,
        tile: int,
        realism: float = 0.0,
        progress: TileProgress | None = None,
    ) -> Pixels:
        if realism:
            raise ModelNotFound("the fake has no perceptual decoder")
        step = _step(level)
        pixels = np.full((height, width, 3), 128, np.uint8)
        for (top, left, rows, columns), (coarse, fine) in zip(
            _tiles(width, height, tile), segments, strict=True
        ):
            target = pixels[top : top + rows, left : left + columns]
            if fine is not None:
                values = _unpack(fine, (rows, columns, 3)).astype(np.int64) * step + step // 2
                target[:] = np.minimum(values, 255)
            elif coarse is not None:
                means = _unpack(coarse, (-(-rows // 8), -(-columns // 8), 3))
                target[:] = means.repeat(8, axis=0).repeat(8, axis=1)[:rows, :columns]
            if progress is not None:
                progress(1, 1)
        return pixels

    def parts(
        self,
        segments: Sequence[Sequence[bytes | None]],
        *,
        region: tuple[int, int, int, int] | None = None,
        **options: Any,
    ) -> Iterator[tuple[tuple[slice, slice], Pixels]]:
        pixels = self.decode(segments, **options)
        x, y, wide, tall = region or (0, 0, options["width"], options["height"])
        yield (slice(0, tall), slice(0, wide)), pixels[y : y + tall, x : x + wide]


def _step(level: int) -> int:
    return 1 + (252 - level) // 4


def _tiles(width: int, height: int, tile: int) -> list[tuple[int, int, int, int]]:
    if tile == 0:
        return [(0, 0, height, width)]
    return [
        (top, left, min(tile, height - top), min(tile, width - left))
        for top in range(0, height, tile)
        for left in range(0, width, tile)
    ]


def _block_means(part: NDArray[np.int64]) -> Pixels:
    rows, columns, _ = part.shape
    padded = np.pad(part, ((0, -rows % 8), (0, -columns % 8), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8, 3)
    return blocks.mean(axis=(1, 3)).astype(np.uint8)


def _pack(values: Pixels) -> bytes:
    body = zlib.compress(values.tobytes(), 1)
    packed = struct.pack("<I", len(body)) + body
    return packed + bytes(-len(packed) % 4)


def _unpack(segment: bytes, shape: tuple[int, int, int]) -> Pixels:
    try:
        (length,) = struct.unpack_from("<I", segment)
        raw = zlib.decompress(segment[4 : 4 + length])
        return np.frombuffer(raw, np.uint8).reshape(shape)
    except (struct.error, zlib.error, ValueError) as error:
        raise CorruptData("segment does not decode") from error


def codec_of(fake: Any) -> Codec:
    """A codec whose encoder and decoder are something with the methods of `FakeModel`."""
    return Codec(cast("TileDecoder", fake), cast("TileEncoder", fake))


@pytest.fixture(scope="session")
def codec() -> Codec:
    return codec_of(FakeModel())


@pytest.fixture
def other_codec() -> Codec:
    """A codec whose files `codec` cannot decode."""
    other = FakeModel()
    other.name = "other"
    other.bitstream_id = b"\xff" * 8
    return codec_of(other)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Weights file of a tiny trained model; pytest's cache keeps what took seconds until a source changes."""
    import torch  # noqa: PLC0415  torch and training, for the tests that need them

    from tests.once import shared  # noqa: PLC0415
    from tests.tiny import write_tiny  # noqa: PLC0415

    root = Path(__file__).parents[1]
    sources = [root / "tests" / "tiny.py", *sorted(Path(loading.__file__).parent.rglob("*.py"))]
    key = hashlib.sha256(torch.__version__.encode())
    for source in sources:
        key.update(source.read_bytes())
    kept = request.config.cache.mkdir("tiny") / f"{key.hexdigest()[:16]}.safetensors"

    def make(folder: Path) -> None:
        path = folder / "tiny.safetensors"
        if kept.exists():
            path.write_bytes(kept.read_bytes())
            return
        write_tiny(path)
        write_atomic(kept, path.read_bytes())
        for old in set(kept.parent.glob("*.safetensors")) - {kept}:
            old.unlink(missing_ok=True)

    return shared(tmp_path_factory, "tiny", make) / "tiny.safetensors"


@pytest.fixture(scope="session")
def real_weights(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Path:
    """The tiny model with a perceptual decoder."""
    from tests.once import shared  # noqa: PLC0415  as above
    from tests.tiny import add_random_realism  # noqa: PLC0415

    def make(folder: Path) -> None:
        add_random_realism(tiny_weights, folder / "real.safetensors")

    return shared(tmp_path_factory, "real", make) / "real.safetensors"


@pytest.fixture(scope="session")
def two_tunes_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with two tunes."""
    from tests.once import shared  # noqa: PLC0415  as above
    from tests.tiny import two_tunes, write_tiny  # noqa: PLC0415

    def make(folder: Path) -> None:
        write_tiny(folder / "two.safetensors", two_tunes())

    return shared(tmp_path_factory, "two-tunes", make) / "two.safetensors"


@pytest.fixture(scope="session")
def perceptual_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of random weights for LPIPS and DISTS."""
    from tests.once import shared  # noqa: PLC0415  as above
    from tests.tiny import write_perceptual  # noqa: PLC0415

    return shared(tmp_path_factory, "perceptual", write_perceptual)


@pytest.fixture(scope="session")
def thin_perceptual_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for networks with fewer channels, where their number has no part in what is tried."""
    from tests.once import shared  # noqa: PLC0415  as above
    from tests.tiny import THINNER, write_perceptual  # noqa: PLC0415

    return shared(tmp_path_factory, "thin", lambda folder: write_perceptual(folder, THINNER))


@pytest.fixture
def without_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tile uses class offsets, of which the rate that training estimates knows nothing."""
    from vqcodec.compress.codeword_search import OffsetSearch  # noqa: PLC0415  as above

    def still(self: OffsetSearch, search: object, index: Any, classes: object) -> NDArray[np.int64]:
        return np.full(index.shape[1], self.zero)

    monkeypatch.setattr(OffsetSearch, "__call__", still)


@pytest.fixture(scope="session")
def tiny_codec(tiny_weights: Path) -> Codec:
    """The tiny model, loaded."""
    from tests.tiny import load_codec  # noqa: PLC0415  as above

    return load_codec(tiny_weights)


@pytest.fixture(scope="session")
def pixels() -> Pixels:
    """A smooth colourful picture with some noise, uint8 (48, 72, 3)."""
    rows, columns = np.mgrid[0:48, 0:72]
    noise = np.random.default_rng(1).integers(0, 12, (48, 72, 3))
    base = np.stack([rows * 4, columns * 3, (rows + columns) * 2], axis=2)
    return np.clip(base + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path, pixels: Pixels) -> Path:
    """That picture as a PNG file."""
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def write_model(path: Path, bitstream_id: bytes, decoder_id: bytes = b"\x01" * 8) -> Path:
    """A safetensors file that holds one small tensor and the two ids."""
    notes = {"bitstream_id": bitstream_id.hex(), "decoder_id": decoder_id.hex()}
    header = {"__metadata__": notes, "t": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"abcd")
    return path


@pytest.fixture(autouse=True)
def no_user_models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that whoever runs the tests has installed are out of their sight."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "no-user-models"))


@pytest.fixture
def make_model() -> Callable[..., Path]:
    return write_model


@pytest.fixture
def installed_tiny(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder on the search path that holds the tiny model."""
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(tiny_weights, folder)
    monkeypatch.setenv("VQCODEC_MODELS", str(folder))
    return folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: Codec) -> Path:
    """A model folder on the search path whose only model, "default", loads as the fake codec."""
    folder = tmp_path / "models"
    folder.mkdir()
    path = write_model(folder / "default.safetensors", FakeModel.bitstream_id, FakeModel.decoder_id)
    monkeypatch.setenv("VQCODEC_MODELS", str(folder))

    def load(model: Any = "default", *, device: str = "auto", **_options: Any) -> Codec:
        assert device in ("auto", "cpu", "cuda", "cuda:0")
        if str(model) not in ("default", str(path)):
            raise ModelNotFound(f"no model named {model!r}")
        return codec

    monkeypatch.setattr(loading, "load", load)
    return folder


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    code: int
    out: bytes
    err: str


@pytest.fixture
def vqcodec(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], models: Path
) -> Callable[..., Run]:
    """Run the command line in this process: vqcodec("compress", path, stdin=b"...")."""

    def run(*args: object, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = main([str(arg) for arg in args])
        captured = capsysbinary.readouterr()
        return Run(code, captured.out, captured.err.decode())

    return run


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of benchmarks/, which is not installed and must not hide the installed vqcodec."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).resolve().parents[1])])
    return lambda name: importlib.import_module(f"benchmarks.{name}")
