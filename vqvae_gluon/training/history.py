"""The metrics of each epoch: kept, written as CSV, plotted."""
import csv
import io
from pathlib import Path
from typing import Dict, List

from ..files import write_bytes

# Seconds and images/s are left out on purpose: the same command writes the same file.
COLUMNS = (
    "epoch",
    "learning_rate",
    "train_reconstruction",
    "train_commitment",
    "train_codebook",
    "train_mse",
    "train_perplexity",
    "train_codes_used",
    "validation_reconstruction",
    "validation_commitment",
    "validation_codebook",
    "validation_mse",
    "validation_perplexity",
    "validation_codes_used",
)


class History:
    """One row of :data:`COLUMNS` for each finished epoch."""

    def __init__(self, rows: List[Dict[str, float]] = ()) -> None:
        self.rows = list(rows)

    def append(self, row: Dict[str, float]) -> None:
        """Add the next epoch."""
        self.rows.append({name: row[name] for name in COLUMNS})

    def best(self) -> Dict[str, float]:
        """Return the row with the lowest validation reconstruction error; of equals, the first."""
        return min(self.rows, key=lambda row: row["validation_reconstruction"])

    def write_csv(self, path: Path) -> None:
        """Write all rows."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(path, text.getvalue().encode())
