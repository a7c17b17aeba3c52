"""How objects are stored and copied: value objects by what their constructor takes, others not at all."""

from dataclasses import fields
from typing import Any, NoReturn


class ValueObject:
    """A frozen dataclass that `pickle` and `copy` make anew by its constructor.

    Only the constructor's arguments go along. What the constructor proves is proved again, arrays are read-only again,
    and nothing that was derived or compiled on one machine reaches another.
    """

    __slots__ = ()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._arguments()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Run the constructor; other entries, which pickles of earlier versions hold, do not count."""
        vars(self).clear()
        self.__init__(**{name: state[name] for name in self._arguments() if name in state})  # type: ignore[misc]

    def _arguments(self) -> list[str]:
        return [field.name for field in fields(self) if field.init]  # type: ignore[arg-type]  # it is a dataclass


class Unstorable:
    """What holds addresses or code of this process: `pickle` and `copy` refuse it with a TypeError.

    A subclass says what to do ``instead``.
    """

    __slots__ = ()
    _instead: str

    def __init_subclass__(cls, *, instead: str, **others: Any) -> None:
        super().__init_subclass__(**others)
        cls._instead = instead

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} objects cannot be pickled or copied; {self._instead}")
