"""Settings that are typed, checked and saved as JSON beside the weights trained with them."""
import dataclasses
import difflib
import json
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar

from ..errors import VQVAEError
from ..files import parse_json

Self = TypeVar("Self", bound="Settings")


def setting(default: Any, text: str) -> Any:
    """Return the dataclass field of a setting; ``text`` is the help of its flag."""
    return dataclasses.field(default=default, metadata={"help": text})


def require(holds: bool, name: str, value: Any, expected: str) -> None:
    """Raise VQVAEError, naming the setting, unless ``holds``; ``expected`` says what the value must be."""
    if not holds:
        raise VQVAEError(f"{name} was given as {value}: it must be {expected}")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Fields of type str, bool, int, float, Optional[float], Tuple[int, ...] or Dict[str, str], each a :func:`setting`.

    Raises VQVAEError, naming the setting, for a value of the wrong type.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field, getattr(self, field.name))

    def check_choices(self, choices: Dict[str, Tuple[Any, ...]]) -> None:
        """Raise VQVAEError for a setting whose value is not one of its choices."""
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                listed = ", ".join(map(str, allowed))
                raise VQVAEError(f"{name} {getattr(self, name)!r} is unknown: choose one of {listed}")

    def check_counts(self, positive: Sequence[str]) -> Iterator[Tuple[str, int]]:
        """Yield each integer setting's name and value; raise VQVAEError below 0, or below 1 for ``positive`` ones."""
        for name in (field.name for field in dataclasses.fields(self) if field.type is int):
            value, least = getattr(self, name), int(name in positive)
            require(value >= least, name, value, "at least 1" if least else "0 or more")
            yield name, value

    def replace(self: Self, **settings: Any) -> Self:
        """Return a copy with some settings changed; raise VQVAEError for an unknown one."""
        return self.from_dict({**dataclasses.asdict(self), **settings})

    @classmethod
    def from_dict(cls: Type[Self], settings: Dict[str, Any]) -> Self:
        """Build from a dictionary; raise VQVAEError, naming it, for an unknown setting."""
        if not isinstance(settings, dict):
            raise VQVAEError(f"a recipe was given as {type(settings).__name__}: it must be an object of settings")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in settings:
            if name not in fields:
                near = difflib.get_close_matches(name, fields, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f": choose from {', '.join(fields)}"
                raise VQVAEError(f"unknown setting {name!r}{hint}")
        # JSON has no tuples.
        tuples = {
            name: tuple(value)
            for name, value in settings.items()
            if isinstance(value, list) and fields[name].type not in (str, bool, int, float, Optional[float])
        }
        return cls(**{**settings, **tuples})

    def to_json(self) -> str:
        """Return the settings as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def files(self) -> Dict[str, str]:
        """Return the files in which a run's folder keeps the settings, as texts by file name, ``recipe.json`` first."""
        return {"recipe.json": self.to_json()}

    @classmethod
    def from_json(cls: Type[Self], text: str, source: str = "recipe") -> Self:
        """Build from the text of :meth:`to_json`; errors name ``source``."""
        settings = parse_json(source, text)
        if not isinstance(settings, dict):
            raise VQVAEError(f"{source}: holds no JSON object of settings")
        return cls.from_dict(settings)

    def differences(self: Self, other: Self) -> List[str]:
        """Return 'name: ours, theirs' for each setting in which the two differ."""
        theirs = dataclasses.asdict(other)
        return [
            f"{name}: {value!r}, {theirs[name]!r}"
            for name, value in dataclasses.asdict(self).items()
            if value != theirs[name]
        ]


def find_recipe(recipes: Dict[str, Callable[[], Self]], name: str) -> Self:
    """Return the recipe called ``name``; raise VQVAEError, with the list, for an unknown one."""
    if name not in recipes:
        raise VQVAEError(f"unknown recipe {name!r}: choose one of {', '.join(recipes)}")
    return recipes[name]()


def _check_type(field: dataclasses.Field, value: Any) -> None:
    numbers = (int,) if field.type is int else (int, float)
    if field.type in (str, bool):
        fits = isinstance(value, str if field.type is str else bool)
    elif field.type == Optional[float] and value is None:
        fits = True
    elif field.type in (int, float, Optional[float]):
        fits = isinstance(value, numbers) and not isinstance(value, bool)
    elif field.type == Dict[str, str]:
        fits = isinstance(value, dict) and all(isinstance(text, str) for item in value.items() for text in item)
    else:
        fits = isinstance(value, tuple) and all(isinstance(side, int) for side in value)
    if not fits:
        kinds = {str: "str", bool: "bool", int: "int", float: "float", Optional[float]: "float or null"}
        kinds[Dict[str, str]] = "object of texts"
        kind = kinds.get(field.type, "list of integers")
        raise VQVAEError(f"{field.name} was given as {value!r}: it must be of type {kind}")
