"""Several GPUs where there is none: what is placed on which, and where kernels are started."""

import threading
from types import SimpleNamespace

from numba import cuda


class Gpus:
    """GPUs, of which every thread uses one; what is placed and started is written down with the number of its GPU.

    Args:
        patch: where the simulator's one GPU is replaced.
        starters: modules with the names of what they start kernels by.
    """

    def __init__(self, patch, *starters):
        self._using, self._all, self.used = threading.local(), [Gpu(self, number) for number in range(2)], []
        patch.setattr(cuda, "gpus", self._all)
        patch.setattr(
            cuda, "current_context", lambda: SimpleNamespace(device=self.current, get_memory_info=memory_info)
        )
        for module, name in ((cuda, "to_device"), (cuda, "device_array"), *starters):
            patch.setattr(module, name, self.written_down(name, getattr(module, name)))

    @property
    def current(self):
        return getattr(self._using, "gpu", self._all[0])

    @current.setter
    def current(self, gpu):
        self._using.gpu = gpu

    def written_down(self, name, call):
        def called(*arguments, **more):
            self.used.append((self.current.id, name))
            return call(*arguments, **more)

        return called


class Gpu:
    """One of several: a context that makes it the one in use, as those of `cuda.gpus` are."""

    def __init__(self, all_of_them, number):
        self._all, self.id, self._before = all_of_them, number, []

    def __enter__(self):
        self._before.append(self._all.current)
        self._all.current = self

    def __exit__(self, *_):
        self._all.current = self._before.pop()


def memory_info():
    return SimpleNamespace(free=1 << 40)
