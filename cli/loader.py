"""Loads models on first use: the one of -m, the default, or the one a file names by fingerprint."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from vqcodec.batch.workers import worker_count
from vqcodec.weights import zoo
from vqcodec_cli.ui import Reporter

if TYPE_CHECKING:
    from vqcodec.codec import Codec


class Codecs:
    """Codecs of one run of a command, each loaded once; survives pickling until the first is."""

    def __init__(
        self,
        model: str | None,
        device: str,
        reporter: Reporter,
        batch_size: int | None = None,
        precision: str = "auto",
    ) -> None:
        self._model = model
        self._batch_size, self._precision = batch_size, precision
        self._wanted = device
        self._device: str | None = None
        self._reporter = reporter
        self._loaded: dict[str, Codec] = {}

    def workers(self, wanted: int, files: int) -> int:
        """Worker processes for `files` files when -j asks for `wanted`; settles on a device if several."""
        count = worker_count(wanted, files)
        if count == 1:
            return 1
        from vqcodec.loading import device_for_workers  # noqa: PLC0415  imports numpy and Pillow

        self._device, note = device_for_workers(self._wanted)
        if note:
            self._reporter.note(None, note)
        return count if self._device == "cpu" else 1

    def for_encoding(self) -> Codec:
        """The model of -m, or the default."""
        return self._load(self._model or zoo.DEFAULT_MODEL)

    def for_file(self, bitstream_id: str) -> Codec:
        """The model of -m, or else an installed one that decodes files with this fingerprint.

        A file never names a path: only models on the search path are considered.

        Raises:
            ModelMismatch: none does.
        """
        if self._model is not None:
            return self._load(self._model)
        return self._load(str(zoo.find_for_file(bytes.fromhex(bitstream_id)).path))

    def _load(self, model: str) -> Codec:
        if model not in self._loaded:
            from vqcodec import loading  # noqa: PLC0415  imports numpy and Pillow; load() imports torch

            if self._device is None:
                self._device, note = loading.resolve_device(self._wanted)
                if note:
                    self._reporter.note(None, note)
            # Pillow's remarks on odd but readable files are of no use to people converting them.
            warnings.filterwarnings("ignore", module="PIL")
            self._loaded[model] = loading.load(
                model, device=self._device, batch_size=self._batch_size, precision=self._precision
            )
        return self._loaded[model]
