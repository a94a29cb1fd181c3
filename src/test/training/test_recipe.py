"""Recipes: typed, checked, saved."""
import pytest

from vqvae_gluon import Recipe, VQVAEError, get_recipe


def test_emadl_recipe_is_the_seeds():
    recipe = get_recipe("emadl")
    assert (recipe.optimizer, recipe.learning_rate, recipe.learning_rate_schedule) == ("adam", 1e-4, "constant")
    assert (recipe.batch_size, recipe.num_epoch, recipe.checkpoint_period) == (500, 100, 1)
    assert (recipe.num_embeddings, recipe.embedding_dim, recipe.beta, recipe.update) == (64, 16, 0.25, "gradient")
    assert (recipe.reconstruction_loss, recipe.output_bias) == ("mse", "zero")


def test_json_round_trip():
    recipe = get_recipe("ema").replace(image_size=(8, 12), learning_rate=0.5)
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"lerning_rate": 1.0}, "unknown setting 'lerning_rate'; did you mean 'learning_rate'"),
        ({"batch_size": 0}, "batch_size was given as 0: it must be at least 1"),
        ({"batch_size": 2.5}, "batch_size was given as 2.5: it must be of type int"),
        ({"batch_size": True}, "batch_size was given as True"),
        ({"update": "emma"}, "update 'emma' is unknown: choose one of gradient, ema"),
        ({"ema_decay": 1.0}, r"ema_decay was given as 1.0: it must be in \[0, 1\)"),
        ({"learning_rate": float("nan")}, "learning_rate was given as nan"),
        ({"image_size": (28,)}, "image_size"),
        ({"image_size": "28x28"}, "image_size"),
        ({"channels": 2}, "channels 2 is unknown: choose one of 1, 3"),
        ({"num_epoch": 2**31}, r"num_epoch was given as 2147483648: it must be below 2\^31"),
        ({"batch_size": 10**400}, r"batch_size was given as 10+: it must be below 2\^31"),
        ({"seed": -1}, "seed was given as -1: it must be 0 or more"),
        ({"image_size": (28, 65537)}, r"image_size was given as \(28, 65537\): it must be two sides from 1 to 65536"),
        ({"width": 100_000_000_000}, "width was given as 100000000000: it must be at most 65536"),
        ({"blocks": (1, "2")}, "blocks was given as"),
        ({"mixed_sizes": "crop"}, "mixed_sizes 'crop' is unknown: choose one of refuse, stretch"),
        ({"seed": -1}, "seed was given as -1"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, words):
    with pytest.raises(VQVAEError, match=words):
        get_recipe("ema").replace(**settings)


def test_bad_json_and_names_are_refused():
    with pytest.raises(VQVAEError, match="my.json: is damaged or no JSON"):
        Recipe.from_json("{", "my.json")
    with pytest.raises(VQVAEError, match="holds no JSON object"):
        Recipe.from_json("[1]")
    with pytest.raises(VQVAEError, match="unknown recipe 'best': choose one of"):
        get_recipe("best")


def test_differences_are_named():
    assert get_recipe("ema").differences(get_recipe("ema")) == []
    assert get_recipe("ema").replace(seed=1).differences(get_recipe("ema")) == ["seed: 1, 0"]
