import re

from bluesky.preprocessors import SupplementalData

from curio_plans.plans import curiosity


def test_every_number_of_every_stream_has_a_unit(afm, engine, documents, wanderer):
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    engine(curiosity(afm, {"seed": 1}, 6, build=wanderer, stride=6, map_every=3))
    descriptors = [doc for name, doc in documents if name == "descriptor"]
    assert {doc["name"] for doc in descriptors} == {"baseline", "image", "reference", "agent", "primary", "agent_map"}
    units = {}
    for descriptor in descriptors:
        configured = [device["data_keys"] for device in descriptor["configuration"].values()]
        for name, key in ((name, key) for keys in (descriptor["data_keys"], *configured) for name, key in keys.items()):
            if key["dtype"] != "string" and not str(key.get("dtype_numpy", "")).startswith("<U"):
                assert "units" in key, f"{descriptor['name']}: {name}"
                units[name] = key["units"]
    # A pure number has an empty unit; what has a dimension must not.
    pure = {name for name, unit in units.items() if not unit}
    counts = (
        r"candidate|attempt|starts|records|observations|loops|steps_per_cycle|cycles|contact|snr|resonance|saturated"
        r"|score|part_|loss_|map_of_|frame|spectrometer_channels"
    )
    assert not [name for name in pure if not re.search(counts, name)]
    spectrum = units["afm_spectrometer_spectrum"]
    expected = {
        "afm_scanner_x": "nm", "afm_imager_area": "nm", "afm_spectrometer_axis": "V", "afm_tip_setpoint": "nN",
        "afm_imager_line_rate": "Hz", "afm_spectrometer_time": "s", "agent_x": "nm", "agent_think_time": "s",
        "agent_map_prediction": spectrum, "agent_map_mse": f"({spectrum})²",
        "afm_reference_spectra": spectrum,
    }  # fmt: skip
    assert {name: units[name] for name in expected} == expected
