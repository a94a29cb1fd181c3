"""A ``.conf`` file: how EMADL trains a network, as settings of a recipe.

Source: ConfLang's grammar and the schemas of MontiAnna's trainers. The settings that the generator uses for a VQ-VAE
but its text does not give (initializer, learning rate schedule, codebook update) are the generator's own.
"""
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from lark import Token, Tree

from .expressions import is_number
from .syntax import Node, Source, suggestion

Setting = Union[bool, float, int, str]


class Configuration(NamedTuple):
    """The content of a configuration.

    ``encoder`` is the full name of the component that makes the codes, ``context`` is 'cpu' or 'gpu', ``settings`` are
    those of a :class:`~vqvae_gluon.recipes.autoencoder.Recipe`, and ``notes`` name the keys that have no effect here,
    with the reason.
    """

    name: str
    encoder: str
    context: str
    settings: Dict[str, Any]
    notes: List[str]


class _Key(NamedTuple):
    """The values that a key accepts, and the settings they give or the reason why the key has no effect here."""

    expected: str
    fits: Callable[[Any], bool]
    settings: Callable[[Any], Dict[str, Any]] = lambda value: {}
    meaningless: Optional[Callable[[Any], str]] = None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _setting(name: str, expected: str, fits: Callable[[Any], bool]) -> _Key:
    return _Key(expected, fits, lambda value: {name: value})


def _ignored(reason: str, expected: str = "anything", fits: Callable[[Any], bool] = lambda value: True) -> _Key:
    return _Key(expected, fits, meaningless=lambda value: reason)


_FLAG = "true or false"
_COUNT = "a whole number of at least 1"
_KEYS: Dict[str, _Key] = {
    "learning_method": _Key("vae, which trains an autoencoder", lambda value: value == "vae"),
    "encoder": _Key("the name of a component, as in vqvae.Encoder", lambda value: isinstance(value, str)),
    "context": _Key("cpu or gpu", lambda value: value in ("cpu", "gpu")),
    "num_epoch": _setting("num_epoch", _COUNT, _is_count),
    "batch_size": _setting("batch_size", _COUNT, _is_count),
    "checkpoint_period": _setting("checkpoint_period", _COUNT, _is_count),
    "reconstruction_loss": _setting("reconstruction_loss", "mse or bce", lambda value: value in ("mse", "bce")),
    "print_images": _Key(_FLAG, _is_flag, lambda value: {} if value else {"pictures": 0}),
    "normalize": _Key("false: images are bytes / 255 here", lambda value: value is False),
    "shuffle_data": _Key("true: every epoch is shuffled here", lambda value: value is True),
    "load_checkpoint": _Key("false; give --resume to continue a run", lambda value: value is False),
    "kl_loss_weight": _ignored("a VQ-VAE has no KL term", "a number", is_number),
    "log_period": _ignored("figures are given after every epoch", _COUNT, _is_count),
    "eval_metric": _ignored("every epoch is measured by its squared error, perplexity and codes used"),
    "eval_train": _ignored("the training split is measured in every epoch", _FLAG, _is_flag),
}
_OPTIMIZERS = {"adam": 0.001, "sgd": 0.01}  # and their learning rates if the text gives none
_OPTIMIZER_KEYS: Dict[str, _Key] = {
    "learning_rate": _setting("learning_rate", "a number of at least 0", lambda value: is_number(value) and value >= 0),
    "weight_decay": _Key("0: it is not supported", lambda value: is_number(value) and value == 0),
    "learning_rate_policy": _Key("fixed: no other is supported", lambda value: value == "fixed"),
}
#: The defaults of EMADL's trainer, and what its generator always does.
_DEFAULTS: Dict[str, Any] = {
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


def parse_configuration(text: str, name: str) -> Configuration:
    """Return the configuration in the text of a ``.conf``; ``name`` stands for it in errors.

    Raises VQVAEError, with a message that begins with ``NAME:LINE:COLUMN:``, for text that is not a configuration, for
    an unknown or missing key, and for an invalid or unsupported value.
    """
    source = Source(name, text, "configuration")
    title, *entries = source.tree.children
    settings, notes = dict(_DEFAULTS), []
    said: Dict[str, Any] = {}
    for key, value, node, block in _read_entries(source, entries):
        if key == "optimizer":
            said[key] = value
            settings.update(_read_optimizer(source, value, node, block))
            continue
        rule = _rule(source, key, _KEYS, ("optimizer",))
        if block is not None:
            raise source.fault(block, f"{key} takes no settings of its own")
        _check(source, key, value, node, rule)
        said[str(key)] = value
        settings.update(rule.settings(value))
        if rule.meaningless:
            notes.append(f"{key}: {rule.meaningless(value)}")
    for key in ("learning_method", "encoder"):
        if key not in said:
            raise source.fault(title, f"{key} is missing: give {_KEYS[key].expected}")
    return Configuration(str(title), said["encoder"], said.get("context", "cpu"), settings, notes)


def _read_optimizer(source: Source, value: Setting, node: Node, block: Optional[Tree]) -> Dict[str, Any]:
    if value not in _OPTIMIZERS:
        raise source.fault(node, f"optimizer was given as {value}: it must be {' or '.join(_OPTIMIZERS)}")
    settings: Dict[str, Any] = {"optimizer": value, "learning_rate": _OPTIMIZERS[str(value)]}
    for key, setting, place, inner in _read_entries(source, block.children if block else []):
        rule = _rule(source, key, _OPTIMIZER_KEYS, ())
        if inner is not None:
            raise source.fault(inner, f"{key} takes no settings of its own")
        _check(source, key, setting, place, rule)
        settings.update(rule.settings(setting))
    return settings


def _rule(source: Source, key: Token, rules: Dict[str, _Key], others: Tuple[str, ...]) -> _Key:
    if key not in rules:
        raise source.fault(key, f"unknown key {str(key)!r}{suggestion(key, [*rules, *others])}")
    return rules[key]


def _check(source: Source, key: Token, value: Setting, node: Node, rule: _Key) -> None:
    if not rule.fits(value):
        shown = str(value).lower() if isinstance(value, bool) else value
        raise source.fault(node, f"{key} was given as {shown}: it must be {rule.expected}")


def _read_entries(source: Source, entries: List[Tree]) -> List[Tuple[Token, Setting, Node, Optional[Tree]]]:
    """Return for each entry its key, its value, the value's node and the block after it; keys must not repeat."""
    found: List[Tuple[Token, Setting, Node, Optional[Tree]]] = []
    keys = set()
    for entry in entries:
        key, setting = entry.children
        if key in keys:
            raise source.fault(key, f"{key} is given twice")
        keys.add(str(key))
        found.append((key, *_read_setting(source, setting)))
    return found


def _read_setting(source: Source, setting: Tree) -> Tuple[Setting, Node, Optional[Tree]]:
    if setting.data == "numeric":
        sign, number = setting.children
        value = source.number(number)
        return (-value if sign == "-" else value), setting, None
    if setting.data == "text":
        return str(setting.children[0][1:-1]), setting, None
    name, block = setting.children
    word = ".".join(name.children)
    return {"true": True, "false": False}.get(word, word), setting, block
