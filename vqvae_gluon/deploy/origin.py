"""Load the data that a model was trained on."""
from typing import Optional, Sequence

from ..data import Dataset, check_classes, load_dataset
from ..errors import VQVAEError
from ..model_files.folder import ModelFolder
from ..recipes.autoencoder import Recipe
from ..runtime import MEMORY
from .predictor import Predictor


def load_origin(
    folder: ModelFolder,
    predictor: Predictor,
    data: Optional[str] = None,
    background: Optional[str] = None,
    classes: Optional[str] = None,
    learnt: Sequence[str] = (),
    memory: float = MEMORY,
) -> Dataset:
    """Return the data set that a model's manifest names, or ``data`` read in the same way.

    ``background``, ``classes`` and ``memory`` are those of :func:`load_dataset`; the default of the first two is the
    model's recipe. The splits in ``learnt``, whose classes are to be learnt, are checked by :func:`check_classes` if
    the data have classes.

    Raises VQVAEError if the data are missing, have changed since the model was trained, or have classes that do not
    fit together.
    """
    channels, *size = predictor.image_shape
    origin, fingerprint = folder.read_origin()
    recipe = Recipe.from_dict(origin)
    settings = {**recipe.data_settings(), "channels": channels, "image_size": tuple(size)}
    given = {"source": data or None, "background": background, "classes": classes}
    settings.update({name: value for name, value in given.items() if value is not None})
    dataset = load_dataset(**settings, memory=memory)
    if learnt and dataset.train.classes:
        check_classes(settings["source"], recipe.split_seed, learnt)
    if not data and fingerprint not in (None, dataset.fingerprint()):
        raise VQVAEError(
            f"{recipe.data}: has changed since the model was trained on it, so that its splits may mix; "
            "restore it, or name data with --data"
        )
    return dataset
