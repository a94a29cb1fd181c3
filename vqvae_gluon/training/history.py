"""The metrics of each epoch: kept, searched for the best, written as CSV."""
import csv
import io
from pathlib import Path
from typing import Dict, Sequence

from ..files import write_bytes
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
        """Return the row with the lowest validation value of the kind's selection; of equals, the first."""
        return min(self.rows, key=lambda row: row[f"validation_{self.kind.selection}"])

    def write_csv(self, path: Path) -> None:
        """Write all rows."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.kind.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(path, text.getvalue().encode())
