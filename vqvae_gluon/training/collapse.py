"""Collapsed codebooks: how to recognise one, which of the known causes is likely, and what to try."""
from typing import Dict

from ..recipes.autoencoder import Recipe

_COLLAPSED = 3
_ALL_ALIKE = 1.5  # perplexity


def explain_collapse(row: Dict[str, float], vectors: int, recipe: Recipe) -> str:
    """Return a warning that the codebook has collapsed, why, and what to try, or '' if it has not.

    ``row`` has an epoch's metrics, and the validation images have ``vectors`` vectors in all. The codebook has
    collapsed if they use less than a third of the usable codes: of all rows or, if there are fewer vectors, of as many.
    The training images are not asked: their codes are counted while the epoch changes the codebook, so those that it
    loses on the way count as used.
    """
    known = recipe.num_embeddings
    codes_used, perplexity = row["validation_codes_used"], row["validation_perplexity"]
    if codes_used >= min(known, vectors) / _COLLAPSED:
        return ""
    cause = f"the encoder outruns its codebook: try a higher --beta than {recipe.beta:g}"
    if recipe.reduction == "sum":
        cause = f"the loss sums the errors of an image, so a beta of {recipe.beta:g} hardly counts: try --recipe ema"
    elif perplexity < _ALL_ALIKE:
        rate = recipe.highest_learning_rate
        cause = f"all outputs of the encoder are alike: try a lower --learning-rate than {rate:g}"
    elif recipe.freeze_codebook:
        cause = "it is frozen, and other images than these made it: try without --freeze-codebook"
    elif recipe.update == "gradient":
        cause = "rows that no vector chooses get no gradient: try --update ema"
    elif not (recipe.dead_share or recipe.dead_below):
        cause = "rows that no vector chooses are never replaced: try --dead-share 0.1"
    return (
        f"the codebook has collapsed: {codes_used:g} of {known} codes in use, "
        f"perplexity {perplexity:.1f}; {cause}"
    )
