"""Integer networks on a GPU: weights and activations stay there, between layers and between calls."""

from typing import TYPE_CHECKING

from intnn.device.placements import Placements
from intnn.values.late import late

if TYPE_CHECKING:
    from intnn.device.network import DeviceNetwork

#: Loaded when it is asked for: Numba's CUDA is not there on every machine.
_HOMES = {"DeviceNetwork": "intnn.device.network:DeviceNetwork"}

__all__ = ["DeviceNetwork", "Placements"]

__getattr__ = late(__name__, _HOMES)
