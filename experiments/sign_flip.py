"""What the sign-flipped straight-through estimator of the EMADL project costs: 20 epochs of its own recipe.

Usage: .venv/bin/python experiments/sign_flip.py     (about 12 minutes on two cores; goes on if interrupted)

Writes docs/sign_flip.csv and prints the table.
"""
import shutil
import sys
from pathlib import Path

from vqvae_gluon.cli import main

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "runs" / "sign_flip"


def run() -> int:
    """Train with both estimators and copy the figures to docs/."""
    models = ("upright=vqvae_emadl", "flipped=vqvae_emadl_sign_flipped")
    status = main(["compare", *models, "--recipe", "emadl", "--num-epoch", "20", "--seeds", "0", "-o", str(FOLDER)])
    if status == 0:
        shutil.copy(FOLDER / "comparison.csv", ROOT / "docs" / "sign_flip.csv")
    return status


if __name__ == "__main__":
    import variants  # noqa: F401  registers the flipped model

    sys.exit(run())
