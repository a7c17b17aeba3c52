"""A network on every GPU where it is used."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intnn.layers.nodes import Join, Node, Shape
from intnn.machine.cuda.device import DeviceError, device, place_in_use
from intnn.values.domain import IntDomain, Interval

if TYPE_CHECKING:
    from intnn.device.network import DeviceNetwork


class Placements:
    """Places a network on the GPU in use when it is first used there, and again after a failure or in a forked process.

    The arguments are those of `DeviceNetwork`.
    """

    def __init__(
        self,
        input_shape: Shape,
        input_domain: IntDomain,
        layers: Sequence[Node | Join],
        sources: tuple[tuple[int, ...], ...],
        shapes: Sequence[Shape],
        intervals: Sequence[Interval],
        bounds: Sequence[int],
    ) -> None:
        self._network = input_shape, input_domain, layers, sources, shapes, intervals, bounds
        self._placed: dict[tuple[int, int], DeviceNetwork] = {}
        self._lock = threading.Lock()

    @property
    def current(self) -> "DeviceNetwork":
        """The network on the GPU in use; `DeviceNetwork` says what it raises."""
        device()  # says what is missing before anything is loaded
        from intnn.device.network import DeviceNetwork

        where = place_in_use()
        with self._lock:
            if where not in self._placed:
                self._placed[where] = DeviceNetwork(*self._network)
            return self._placed[where]

    def logits(self, x: Any) -> Any:
        """`DeviceNetwork.logits`; if the GPU fails, nothing that was placed is used again."""
        try:
            return self.current.logits(x)
        except DeviceError:
            with self._lock:
                self._placed.clear()  # it may be gone with the GPU
            raise
