"""The microscope: simulated, or a measured sample.

CURIO_SAMPLE         npz file of a measured sample; without it a simulated ferroelectric, imaged with 128×128 px
"""

import os
from multiprocessing.util import Finalize

from ophyd_devices import AFM
from ophyd_devices.registry import make_backend

sample = os.environ.get("CURIO_SAMPLE")
afm = AFM(make_backend("recorded", path=sample) if sample else make_backend("twin", pixels=(128, 128)), name="afm")
Finalize(None, afm.close, exitpriority=0)
sd.baseline = afm.baseline
