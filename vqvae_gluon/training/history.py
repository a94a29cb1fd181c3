"""The metrics of each epoch: the rows, the best of them, and their CSV file."""
import csv
import io
import math
from pathlib import Path
from typing import Dict, List, Sequence

from ..errors import VQVAEError
from ..files import read_bytes, write_bytes
from .kind import Kind


class History:
    """One row of a kind's columns for each finished epoch."""

    def __init__(self, kind: Kind, rows: Sequence[Dict[str, float]] = ()) -> None:
        self.kind = kind
        self.rows = list(rows)

    def append(self, row: Dict[str, float]) -> None:
        """Add the next epoch."""
        self.rows.append({name: row[name] for name in self.kind.columns})

    def best(self) -> Dict[str, float]:
        """Return the row with the lowest validation value of the kind's selection, the first of equal rows."""
        return min(self.rows, key=lambda row: row[f"validation_{self.kind.selection}"])

    def write_csv(self, path: Path) -> None:
        """Write all rows."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.kind.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(path, text.getvalue().encode())


def read_history(path: Path, kind: Kind) -> History:
    """Read a file of :meth:`History.write_csv`; raise VQVAEError if it is missing, empty or not such a file."""
    text = read_bytes(path).decode("utf-8", "replace")
    rows: List[Dict[str, float]] = []
    try:
        for row in csv.DictReader(io.StringIO(text), strict=True):
            rows.append({name: float(row[name]) for name in kind.columns})
            rows[-1]["epoch"] = int(row["epoch"])
            if not all(map(math.isfinite, rows[-1].values())):
                raise ValueError
    except (csv.Error, KeyError, TypeError, ValueError):
        raise VQVAEError(f"{path}: is damaged or no metrics of this kind") from None
    if not rows:
        raise VQVAEError(f"{path}: holds no epoch")
    return History(kind, rows)
