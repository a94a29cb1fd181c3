"""What the sign-flipped straight-through estimator of the EMADL project costs: 20 epochs of its own recipe.

Usage: .venv/bin/python experiments/sign_flip.py     (about 6 minutes on two cores; resumes if interrupted)

Writes the metrics to docs/sign_flip.csv and prints them beside those of pre-trained/emadl at the same epoch.
"""
import csv
import shutil
from pathlib import Path

from vqvae_gluon.runtime import use_all_cores

use_all_cores()

import variants  # noqa: E402
from vqvae_gluon import Training, get_recipe, load_dataset  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
FOLDER, RESULT = ROOT / "runs" / "sign_flip", ROOT / "docs" / "sign_flip.csv"
EPOCHS = 20


def main() -> None:
    """Train with the flipped estimator and print the metrics of both."""
    variants.register()
    recipe = get_recipe("emadl").replace(model="vqvae_emadl_sign_flipped", num_epoch=EPOCHS)
    Training(recipe, load_dataset("mnist"), FOLDER, resume=True).run()
    shutil.copy(FOLDER / "metrics.csv", RESULT)
    for name, path in (("upright", ROOT / "pre-trained" / "emadl" / "metrics.csv"), ("flipped", RESULT)):
        with open(path, newline="") as file:
            row = list(csv.DictReader(file))[EPOCHS - 1]
        figures = {column: float(row[f"validation_{column}"]) for column in ("mse", "perplexity", "codes_used")}
        print(f"{name}: validation {figures}")


if __name__ == "__main__":
    main()
