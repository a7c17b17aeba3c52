"""What an importer says of a model that it cannot read."""


class ConversionError(ValueError):
    """A model, or a part of it, has no equal among the nodes of a `Graph`.

    Attributes:
        place: The part that is meant: a step, a node, a file.
    """

    def __init__(self, place: str, problem: str, remedy: str = ""):
        super().__init__(f"{place} {problem}{remedy and f'; {remedy}'}")
        self.place = place
