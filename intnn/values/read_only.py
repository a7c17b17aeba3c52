"""Dictionaries and lists of JSON that cannot be changed."""

from typing import Any, NoReturn


def read_only(value: Any) -> Any:
    """A copy of a JSON value in which nothing can be changed; `copy` and `pickle` make plain objects of it again."""
    if isinstance(value, dict):
        return ReadOnlyDict({key: read_only(item) for key, item in value.items()})
    return ReadOnlyList(map(read_only, value)) if isinstance(value, list) else value


def _refuse(self: Any, *_arguments: Any, **_named: Any) -> NoReturn:
    raise TypeError(f"a {type(self).__name__} cannot be changed; change a copy, by copy.deepcopy, and store that")


class ReadOnlyDict(dict[str, Any]):
    """A dictionary, for `json` and all who only read."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class ReadOnlyList(list[Any]):
    """A list, for `json` and all who only read."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = remove = pop = clear = sort = reverse = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)
