"""The two kinds of array the simulator passes around."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
#: Open cycles of a stream, repeated for ever; empty is always open.
Mask = npt.NDArray[np.bool_]
