"""The events of a training for TensorBoard, written by TensorBoard's own writer; nothing here reads them."""
import struct
import time
from pathlib import Path
from typing import Any, Dict, Iterable, Optional, Sequence

import numpy as np

from ..errors import VQVAEError

#: The folder of the events within that of their training.
FOLDER = "tensorboard"
_WIDTH_AND_HEIGHT = slice(16, 24)  # of a PNG file
_COLOURS = {0: 1, 2: 3, 4: 2, 6: 4}  # numbers per pixel, by the colour type of a PNG file
_COLOUR_TYPE = 25


class Events:
    """Writes each epoch of a training as a step for TensorBoard.

    The events include the time but do not affect anything else: without them, a training is the same bit for bit.

    Raises VQVAEError if TensorBoard is not installed.
    """

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise VQVAEError("tensorboard is not installed: run pip install 'vqvae-gluon[tensorboard]'") from None
        self._event, self._summary, self._open = event_pb2, summary_pb2, EventFileWriter
        self._writer: Any = None  # an EventFileWriter, from the first epoch on

    def write(
        self,
        folder: Path,
        rows: Sequence[Dict[str, float]],
        pictures: Iterable[Path] = (),
        histograms: Optional[Dict[str, np.ndarray]] = None,
    ) -> None:
        """Write the last epoch of a history to ``<folder>/tensorboard``, and flush it.

        Each column of a history's ``rows`` is a scalar, except the epoch, which is the step. ``pictures`` are PNG files
        called ``<tag>_epoch<...>``; ``histograms`` are counts (K,), by tag, of things numbered from 0.

        The first call marks as void the events of this and later epochs that were written by a process that ended
        before it saved these epochs. If there are no events yet, it writes the earlier epochs, too.

        Raises VQVAEError if the events cannot be written.
        """
        epoch = int(rows[-1]["epoch"])
        try:
            if self._writer is None:
                self._begin(folder / FOLDER, epoch, rows[:-1])
            values = [self._scalar(name, value) for name, value in rows[-1].items() if name != "epoch"]
            values += [self._picture(path) for path in pictures]
            values += [self._histogram(tag, counts) for tag, counts in (histograms or {}).items()]
            self._add(epoch, summary=self._summary.Summary(value=values))
            self._writer.flush()
        except OSError as error:
            raise VQVAEError(f"{folder / FOLDER}: cannot be written ({error.strerror})") from None

    def close(self) -> None:
        """Close the event file; the next epoch starts a new one."""
        if self._writer:
            writer, self._writer = self._writer, None
            writer.close()

    def _begin(self, folder: Path, epoch: int, earlier: Sequence[Dict[str, float]]) -> None:
        missing = () if folder.exists() else earlier
        self._writer = self._open(str(folder))
        for row in missing:
            values = [self._scalar(name, value) for name, value in row.items() if name != "epoch"]
            self._add(int(row["epoch"]), summary=self._summary.Summary(value=values))
        log = self._event.SessionLog
        self._add(epoch, session_log=log(status=log.START))

    def _add(self, step: int, **content: Any) -> None:
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, **content))

    def _scalar(self, tag: str, value: float) -> Any:
        return self._summary.Summary.Value(tag=tag, simple_value=value)

    def _picture(self, path: Path) -> Any:
        content = path.read_bytes()
        width, height = struct.unpack(">II", content[_WIDTH_AND_HEIGHT])
        image = self._summary.Summary.Image(
            width=width, height=height, colorspace=_COLOURS[content[_COLOUR_TYPE]], encoded_image_string=content
        )
        return self._summary.Summary.Value(tag=path.name.partition("_epoch")[0], image=image)

    def _histogram(self, tag: str, counts: np.ndarray) -> Any:
        numbers = np.arange(len(counts))
        histogram = self._summary.HistogramProto(
            min=-0.5,
            max=len(counts) - 0.5,
            num=counts.sum(),
            sum=(numbers * counts).sum(),
            sum_squares=(numbers**2 * counts).sum(),
            bucket_limit=numbers + 0.5,
            bucket=counts,
        )
        return self._summary.Summary.Value(tag=tag, histo=histogram)
