"""Recipes are typed, checked and saved."""
import pytest

from vqvae_gluon import Recipe, VQVAEError, get_recipe
from vqvae_gluon.nn.residual import STRIDES


def test_emadl_recipe_is_the_seeds():
    recipe = get_recipe("emadl")
    assert (recipe.optimizer, recipe.learning_rate, recipe.learning_rate_schedule) == ("adam", 1e-4, "constant")
    assert (recipe.batch_size, recipe.num_epoch, recipe.checkpoint_period) == (500, 100, 1)
    assert (recipe.num_embeddings, recipe.embedding_dim, recipe.beta, recipe.update) == (64, 16, 0.25, "gradient")
    assert (recipe.reconstruction_loss, recipe.output_bias) == ("mse", "zero")


def test_json_round_trip():
    recipe = get_recipe("ema").replace(image_size=(8, 12), learning_rate=0.5)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_classes_are_written_where_they_are_asked_for():
    recipe = get_recipe("ema")
    assert recipe.data_settings()["classes"] == "auto" and "classes" not in recipe.to_json()
    for classes in ("none", "folders"):
        changed = recipe.replace(classes=classes)
        assert Recipe.from_json(changed.to_json()) == changed and changed.data_settings()["classes"] == classes
        assert changed.differences(recipe) == [f"classes: {classes!r}, 'auto'"]


def test_stride_is_written_where_it_is_asked_for():
    recipe = get_recipe("ema").replace(model="vqvae_residual")
    assert recipe.stride == 0 and "stride" not in recipe.to_json() and "stride" not in recipe.model_settings()
    for stride in STRIDES:
        changed = recipe.replace(stride=stride)
        assert Recipe.from_json(changed.to_json()) == changed and changed.model_settings()["stride"] == stride
        assert changed.differences(recipe) == [f"stride: {stride}, 0"]


def test_a_start_from_another_model_is_written_where_it_is_asked_for():
    recipe = get_recipe("ema")
    assert "init_from" not in recipe.to_json() and "freeze_codebook" not in recipe.to_json()
    changed = recipe.replace(init_from="runs/first", freeze_codebook=True)
    assert Recipe.from_json(changed.to_json()) == changed and changed.model_settings() == recipe.model_settings()
    assert changed.differences(recipe) == ["freeze_codebook: True, False", "init_from: 'runs/first', ''"]


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
        ({"clip": -1.0}, "clip was given as -1.0: it must be 0 or more"),
        ({"warm_up": 1.0}, r"warm_up was given as 1.0: it must be in \[0, 1\)"),
        ({"dead_share": float("nan")}, "dead_share was given as nan"),
        ({"reduction": "max"}, "reduction 'max' is unknown: choose one of mean, sum"),
        ({"image_size": (28,)}, "image_size"),
        ({"image_size": "28x28"}, "image_size"),
        ({"channels": 2}, "channels 2 is unknown: choose one of 1, 3"),
        ({"num_epoch": 2**31}, r"num_epoch was given as 2147483648: it must be below 2\^31"),
        ({"batch_size": 10**400}, r"batch_size was given as 10+: it must be below 2\^31"),
        ({"seed": -1}, "seed was given as -1: it must be 0 or more"),
        ({"image_size": (28, 65537)}, r"image_size was given as \(28, 65537\): it must be two sides from 1 to 65536"),
        ({"width": 100_000_000_000}, "width was given as 100000000000: it must be at most 65536"),
        ({"blocks": (1, "2")}, "blocks was given as"),
        ({"classes": "some"}, "classes 'some' is unknown: choose one of auto, none, folders"),
        ({"stride": 5}, "stride was given as 5: it must be 4, 8 or 16"),
        ({"stride": -4}, "stride was given as -4: it must be 0 or more"),
        ({"stride": 8.0}, "stride was given as 8.0: it must be of type int"),
        ({"init_from": 3}, "init_from was given as 3: it must be of type str"),
        ({"freeze_codebook": 1, "init_from": "run"}, "freeze_codebook was given as 1: it must be of type bool"),
        ({"freeze_codebook": True}, "freeze_codebook was given without init_from: rows drawn at random would stay"),
        ({"mixed_sizes": "crop"}, "mixed_sizes 'crop' is unknown: choose one of refuse, stretch"),
        ({"seed": -1}, "seed was given as -1"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, words):
    with pytest.raises(VQVAEError, match=words):
        get_recipe("ema").replace(**settings)


@pytest.mark.parametrize("settings", [{"beta": 800.0}, {"beta": 800.0, "dead_below": 2.5, "learning_rate": 0.004}])
def test_a_recipe_of_version_0_1_means_what_it_meant(settings):
    recipe = Recipe.from_dict(settings)
    assert (recipe.reduction, recipe.error_weight) == ("sum", 1)
    assert (recipe.dead_share, recipe.warm_up, recipe.clip) == (0, 0, 0)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_errors_weigh_the_same_at_every_size():
    recipe = get_recipe("ema")
    assert recipe.error_weight == 1 / 784
    assert recipe.replace(channels=3, image_size=(64, 32)).error_weight == 1 / 6144
    assert recipe.replace(beta=2.0).reduction == "mean"
    assert get_recipe("emadl").error_weight == 1


def test_a_learning_rate_may_be_left_to_the_model():
    assert get_recipe("ema").learning_rate is None
    assert get_recipe("ema").replace(learning_rate=0).learning_rate == 0
    with pytest.raises(VQVAEError, match="learning_rate was given as '1e-3': it must be of type float or null"):
        get_recipe("ema").replace(learning_rate="1e-3")


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
