"""The microscope that the settings name: the twin, a measured sample, EPICS, or any other backend."""

from curio_plans.run import apply_setup
from ophyd_devices import AFM
from ophyd_devices.dose import DoseLog
from ophyd_devices.registry import make_backend

afm = AFM(
    make_backend(settings.backend.name, **settings.backend.options),
    name="afm",
    envelope=Envelope.model_validate(settings.envelope),
    doses=DoseLog(settings.doses),
)
Finalize(None, afm.close, exitpriority=0)
apply_setup(afm, settings.setup)
sd.baseline = afm.baseline
