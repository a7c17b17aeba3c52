"""Arrays of other libraries on the GPU: taken where they lie, without a copy."""

from typing import Any

from numba import cuda

from intnn.ops.cuda.product import DeviceArray

ON_DEVICE = (2, 13)  # DLPack's numbers of CUDA's memory and of its managed memory
LEGACY_STREAM = 1  # DLPack's and the array interface's number of the stream on which Numba launches


class _Described:
    """Memory on the device, as the CUDA array interface describes it; it keeps its owner."""

    def __init__(self, view: Any) -> None:
        self._owner = view
        strides = view.strides and tuple(stride * view.dtype.itemsize for stride in view.strides)
        self.__cuda_array_interface__ = {
            "shape": tuple(view.shape),
            "typestr": view.dtype.str,
            "data": (view.ptr, view.readonly),
            "strides": strides,
            "version": 3,
        }


def on_device(x: Any) -> DeviceArray | None:
    """Numba's view of an array on the GPU, or None for an array that lies elsewhere.

    What was started before on a stream that the array names is over then, or comes before what is started now.

    Args:
        x: Anything; arrays of Numba, those with a ``__cuda_array_interface__`` (CuPy's, torch's) and those that DLPack
            says are in CUDA's memory lie on the GPU.
    """
    if getattr(x, "__cuda_ndarray__", False) and not x.stream:
        return x
    if hasattr(x, "__cuda_array_interface__"):
        return cuda.as_cuda_array(x)  # waits for the stream
    if hasattr(x, "__dlpack_device__") and x.__dlpack_device__()[0] in ON_DEVICE:
        return cuda.as_cuda_array(_Described(_dlpack(x)))
    return None


def _dlpack(x: Any) -> Any:
    from cuda.core.utils import StridedMemoryView  # type: ignore[import-untyped]  # it comes with numba-cuda

    return StridedMemoryView.from_dlpack(x, stream_ptr=LEGACY_STREAM)
