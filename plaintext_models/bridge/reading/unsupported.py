"""What a graph cannot say, before it is known where in a module it stands."""


class UnsupportedError(Exception):
    """An operator that has no place in a graph.

    Args:
        what: What was found.
        remedy: What to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy
