"""The step profile: its parts are real parts of a step, and its table says what share each takes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from PIL import Image

from tests.tiny import pictures, settings
from vqcodec.training.cuda_graphs import Graphs
from vqcodec.training.trainer import Trainer


@pytest.fixture
def profile(bench: Callable[[str], ModuleType]) -> ModuleType:
    return bench("training_step")


@pytest.fixture
def small_matrices(profile: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of such as fill a processor."""
    monkeypatch.setattr(profile, "matrix_rate", functools.partial(profile.matrix_rate, side=512))


@pytest.mark.parametrize("crop", [64, 96])  # a latent of 6 is padded to 8
@pytest.mark.slow
@pytest.mark.usefixtures("small_matrices")
def test_parts_of_a_step_are_timed_and_bounded_by_what_they_are_parts_of(profile, tmp_path, crop):
    for number, pixels in enumerate(pictures(2)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    config = settings(data=str(tmp_path), out=str(tmp_path / "run"), crop=crop)
    result = profile.measure_step(config, repeats=2)
    assert set(result["parts_s"]) == {"data", "g_a", "prior", "quantiser", "g_s", "optimiser"}
    assert all(value > 0 for name, value in result["parts_s"].items() if name != "prior")
    assert result["rest_s"] == pytest.approx(result["step_s"] - sum(result["parts_s"].values()), abs=1e-3)
    assert result["machine"]["threads"] == torch.get_num_threads()
    json.dumps(result)


@pytest.mark.usefixtures("small_matrices")
def test_a_step_that_is_a_graph_is_timed_as_separate_kernels_too(profile, tmp_path, monkeypatch):
    for number, pixels in enumerate(pictures(2)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")

    class Recording(Graphs):
        """Stands for a card: calls the step, and counts."""

        calls = 0

        def __call__(self, *inputs, mode=None):
            Recording.calls += 1
            return self._call(*inputs)

    class Recorded(Trainer):
        def __init__(self, config):
            super().__init__(config)
            self.graphs = Recording(self._gradients, [])

    def seconds(call, repeats, device):
        before = Recording.calls
        call()
        return 0.25 if Recording.calls > before else 0.75

    monkeypatch.setattr(profile, "Trainer", Recorded)
    monkeypatch.setattr(profile, "seconds", seconds)
    result = profile.measure_step(settings(data=str(tmp_path), out=str(tmp_path / "run")), repeats=2)
    assert (result["step_s"], result[profile.SEPARATE]) == (0.25, 0.75)
    assert "as separate kernels" in profile.step_table(result)


def test_the_table_gives_shares_of_the_step(profile):
    result = {
        "step_s": 0.2,
        "parts_s": {"data": 0.05, "g_a": 0.1},
        "rest_s": 0.05,
        "matrix_gmac_per_s": 400.0,
        "transforms_gmac_per_s": {"g_a": 100.0},
    }
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in profile.step_table(result).splitlines()
    ]
    assert rows[2:] == [
        ["data", "50.0", "25 %", "", ""],
        ["g_a", "100.0", "50 %", "100", "25 %"],
        ["rest", "50.0", "25 %", "", ""],
        ["whole step", "200.0", "100 %", "", ""],
    ]


def test_the_matrix_rate_counts_multiply_accumulates(profile, monkeypatch):
    def one_second(call, repeats, device):
        assert call().shape == (8, 8)
        return 1.0

    monkeypatch.setattr(profile, "seconds", one_second)
    assert profile.matrix_rate(torch.device("cpu"), torch.float32, side=8) == 8**3


def test_a_missing_folder_is_one_line(profile, tmp_path, capsys):
    assert profile.main(["--data", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err.startswith("training_step: ")
