"""Configurations: the meaning of each key, the defaults, and what is refused."""
import pytest

from emadl_texts import find_mark
from vqvae_gluon import VQVAEError
from vqvae_gluon.emadl import parse_configuration

SEED = {
    "learning_method": "vae",
    "encoder": "vqvae.Encoder",
    "num_epoch": "100",
    "batch_size": "500",
    "context": "gpu",
    "checkpoint_period": "1",
    "normalize": "false",
    "print_images": "true",
    "kl_loss_weight": "1.0",
    "reconstruction_loss": "mse",
    "optimizer": "adam { learning_rate: 0.0001 }",
}


def configuration(entries="", head="learning_method: vae encoder: p.Encoder"):
    return f"configuration Decoder {{ {head}\n{entries}\n}}\n"


@pytest.mark.parametrize("separator", ["\n", ",", ",\n", " "], ids=["lines", "commas", "both", "spaces"])
@pytest.mark.parametrize("last", ["", ","], ids=["", "last comma"])
def test_the_seeds_configuration(separator, last):
    entries = separator.join(f"{key}: {value}" for key, value in SEED.items())
    found = parse_configuration(f"/* seed */ configuration Decoder {{\n{entries}{last} // end\n}}", "Decoder.conf")
    assert (found.name, found.encoder, found.context) == ("Decoder", "vqvae.Encoder", "gpu")
    assert found.notes == ["kl_loss_weight: a VQ-VAE has no KL term"]
    wanted = {
        "num_epoch": 100,
        "batch_size": 500,
        "checkpoint_period": 1,
        "reconstruction_loss": "mse",
        "optimizer": "adam",
        "learning_rate": 0.0001,
    }
    assert {key: found.settings[key] for key in wanted} == wanted


def test_what_holds_where_the_text_is_silent():
    found = parse_configuration(configuration(), "Decoder.conf")
    assert (found.encoder, found.context, found.notes) == ("p.Encoder", "cpu", [])
    assert found.settings == {
        "num_epoch": 10,
        "batch_size": 64,
        "checkpoint_period": 5,
        "reconstruction_loss": "mse",
        "optimizer": "adam",
        "learning_rate": 0.001,
        "learning_rate_schedule": "constant",
        "update": "gradient",
        "initializer": "normal",
        "output_bias": "zero",
    }


def test_a_configuration_is_a_recipe():
    from vqvae_gluon import get_recipe

    settings = parse_configuration(configuration("optimizer: sgd print_images: false"), "Decoder.conf").settings
    recipe = get_recipe("ema").replace(**settings)
    assert (recipe.optimizer, recipe.pictures, recipe.update) == ("sgd", 0, "gradient")


@pytest.mark.parametrize(
    "entry, settings",
    [
        ("num_epoch: 3", {"num_epoch": 3}),
        ("batch_size: 2", {"batch_size": 2}),
        ("checkpoint_period: 7", {"checkpoint_period": 7}),
        ("reconstruction_loss: bce", {"reconstruction_loss": "bce"}),
        ('reconstruction_loss: "bce"', {"reconstruction_loss": "bce"}),
        ("print_images: false", {"pictures": 0}),
        ("optimizer: adam", {"optimizer": "adam", "learning_rate": 0.001}),
        ("optimizer: sgd", {"optimizer": "sgd", "learning_rate": 0.01}),
        ("optimizer: sgd { }", {"optimizer": "sgd", "learning_rate": 0.01}),
        ("optimizer: sgd { learning_rate: 1 }", {"optimizer": "sgd", "learning_rate": 1}),
        ("optimizer: adam { learning_rate: 1e-4, weight_decay: 0.0 }", {"learning_rate": 0.0001}),
        ("optimizer: adam { learning_rate_policy: fixed learning_rate: +0.5 }", {"learning_rate": 0.5}),
    ],
)
def test_a_key_is_a_setting(entry, settings):
    found = parse_configuration(configuration(entry), "Decoder.conf")
    assert {key: found.settings[key] for key in settings} == settings
    assert found.notes == []


@pytest.mark.parametrize("entry", ["normalize: false", "shuffle_data: true", "load_checkpoint: false", "context: cpu"])
def test_what_is_done_anyway_needs_no_note(entry):
    by_default = parse_configuration(configuration(), "Decoder.conf")
    assert parse_configuration(configuration(entry), "Decoder.conf") == by_default


@pytest.mark.parametrize(
    "entry",
    [
        *("kl_loss_weight: 1.0", "kl_loss_weight: 0", "log_period: 10", "eval_metric: mse", "eval_train: true"),
        "eval_metric: cross_entropy",
    ],
)
def test_a_key_that_means_nothing_is_named_with_the_reason(entry):
    found = parse_configuration(configuration(entry), "Decoder.conf")
    (note,) = found.notes
    key, reason = note.split(": ", 1)
    assert key == entry.split(":")[0]
    assert len(reason) > 10
    assert found.settings == parse_configuration(configuration(), "Decoder.conf").settings


def test_notes_are_in_the_order_of_the_text():
    found = parse_configuration(configuration("log_period: 1 kl_loss_weight: 2 eval_train: false"), "Decoder.conf")
    assert [note.split(":")[0] for note in found.notes] == ["log_period", "kl_loss_weight", "eval_train"]


REFUSED = {
    "a misspelt key": (configuration("§num_epochs: 3"), "unknown key 'num_epochs'; did you mean num_epoch?"),
    "an unknown key": (configuration("§preprocessing: fast"), "unknown key 'preprocessing'"),
    "a misspelt optimizer": (configuration("§optimiser: adam"), "did you mean optimizer?"),
    "a misspelt key of the optimizer": (
        configuration("optimizer: adam { §learning_rat: 1 }"),
        "unknown key 'learning_rat'; did you mean learning_rate?",
    ),
    "a key of the optimizer outside": (configuration("§learning_rate: 0.1"), "unknown key 'learning_rate'"),
    "a key twice": (configuration("num_epoch: 1 §num_epoch: 2"), "num_epoch is given twice"),
    "an optimizer twice": (configuration("optimizer: adam §optimizer: sgd"), "optimizer is given twice"),
    "a key of the optimizer twice": (
        configuration("optimizer: adam { learning_rate: 1 §learning_rate: 2 }"),
        "learning_rate is given twice",
    ),
    "another learning method": (
        configuration(head="learning_method: §supervised encoder: p.Encoder"),
        "learning_method was given as supervised",
    ),
    "no learning method": (
        configuration(head="encoder: p.Encoder").replace("Decoder", "§Decoder"),
        "learning_method is missing",
    ),
    "no encoder": (configuration(head="learning_method: vae").replace("Decoder", "§Decoder"), "encoder is missing"),
    "nothing": ("configuration §Decoder { }", "learning_method is missing"),
    "an encoder that is a number": (configuration(head="learning_method: vae encoder: §5"), "encoder was given as 5"),
    "an encoder that is true": (configuration(head="learning_method: vae encoder: §true"), "encoder was given as true"),
    "no epochs": (configuration("num_epoch: §0"), "num_epoch was given as 0: it must be a whole number of at least 1"),
    "half an epoch": (configuration("num_epoch: §0.5"), "num_epoch was given as 0.5"),
    "a negative batch": (configuration("batch_size: §-1"), "batch_size was given as -1"),
    "a true batch": (configuration("batch_size: §true"), "batch_size was given as true"),
    "a batch in words": (configuration("batch_size: §many"), "batch_size was given as many"),
    "a batch too large": (configuration("batch_size: §99999999999"), "batch_size was given as 99999999999"),
    "a period of zero": (configuration("checkpoint_period: §0"), "checkpoint_period was given as 0"),
    "another context": (configuration("context: §tpu"), "context was given as tpu: it must be cpu or gpu"),
    "normalized images": (configuration("normalize: §true"), "normalize was given as true: it must be false"),
    "unshuffled data": (configuration("shuffle_data: §false"), "shuffle_data was given as false: it must be true"),
    "a loaded checkpoint": (configuration("load_checkpoint: §true"), "--resume"),
    "pictures by number": (configuration("print_images: §1"), "print_images was given as 1: it must be true or false"),
    "another loss": (configuration("reconstruction_loss: §l1"), "it must be mse or bce"),
    "another optimizer": (configuration("optimizer: §rmsprop"), "it must be adam or sgd"),
    "a negative rate": (configuration("optimizer: adam { learning_rate: §-1 }"), "learning_rate was given as -1"),
    "a rate in words": (configuration("optimizer: adam { learning_rate: §fast }"), "learning_rate was given as fast"),
    "a rate beyond numbers": (configuration("optimizer: adam { learning_rate: §1e999 }"), "beyond"),
    "weight decay": (configuration("optimizer: adam { weight_decay: §0.1 }"), "weight_decay was given as 0.1"),
    "a policy": (configuration("optimizer: adam { learning_rate_policy: §step }"), "learning_rate_policy was given as"),
    "a meaningless key's wrong type": (configuration("kl_loss_weight: §high"), "kl_loss_weight was given as high"),
    "a meaningless period of zero": (configuration("log_period: §0"), "log_period was given as 0"),
    "settings of a key that has none": (configuration("context: cpu §{ id: 1 }"), "context takes no settings"),
    "settings of a key of the optimizer": (
        configuration("optimizer: adam { learning_rate_policy: fixed §{ step: 1 } }"),
        "takes no settings",
    ),
    "no colon": (configuration("num_epoch §10"), "unexpected '10'"),
    "two commas": (configuration("num_epoch: 10,§, batch_size: 1"), "unexpected ','"),
    "an equals sign": (configuration("num_epoch §= 10"), "unexpected '='"),
    "a list": (configuration("context: §[cpu]"), "unexpected '['"),
    "no brace": (configuration("num_epoch: 10").rstrip().rstrip("}").rstrip() + "§", "end of the text"),
    "one brace too many": (configuration() + "§}", "unexpected '}'"),
    "a component": ("§package p; component C { }", "expected 'configuration'"),
}


@pytest.mark.parametrize("text, message", REFUSED.values(), ids=REFUSED)
def test_a_wrong_configuration_is_refused_at_its_place(text, message):
    text, line, column = find_mark(text)
    with pytest.raises(VQVAEError) as error:
        parse_configuration(text, "Decoder.conf")
    found = str(error.value)
    assert found.startswith(f"Decoder.conf:{line}:{column}: ")
    assert message in found
    assert "\n" not in found
