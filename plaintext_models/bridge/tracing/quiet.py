"""torch's tracer without what it says beside the errors that it raises."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

_LOGGERS = ("torch", "torch.fx.experimental.symbolic_shapes", "torch.export")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's tracer writes to logs and warnings about what is reported as an error here."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
