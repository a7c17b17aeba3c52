"""What the parties of functional encryption are told when something must not go on."""


class FunctionalError(ValueError):
    """Functional encryption cannot go on; the message says why, and what to do."""


class MismatchError(FunctionalError):
    """A key, a ciphertext and an instance do not belong together, or a decryption could be wrong."""


class BudgetError(FunctionalError):
    """The authority refuses a key: with it, the trainer would know more of the data than the budget allows."""
