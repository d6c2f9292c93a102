"""The microscope that the settings name: simulated, a measured sample, EPICS, or any other backend."""

from ophyd_devices import AFM
from ophyd_devices.envelope import Envelope
from ophyd_devices.registry import make_backend

envelope = Envelope.model_validate(settings.envelope)
afm = AFM(make_backend(settings.backend.name, **settings.backend.options), name="afm", envelope=envelope)
Finalize(None, afm.close, exitpriority=0)
sd.baseline = afm.baseline
