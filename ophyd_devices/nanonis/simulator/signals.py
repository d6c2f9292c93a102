"""The signals of the simulated controller: 128 names, as a controller lists them, and their ranges."""

CURRENT, DEFLECTION, BIAS, X, Y, Z, SHIFT, LOCK_IN_X, LOCK_IN_Y = 0, 1, 24, 27, 28, 30, 76, 86, 87
"""Indexes into :data:`NAMES`."""
KNOWN = {
    CURRENT: ("Current (A)", 1e-6),
    DEFLECTION: ("Deflection (V)", 10.0),
    BIAS: ("Bias (V)", 10.0),
    X: ("X (m)", 1e-5),
    Y: ("Y (m)", 1e-5),
    Z: ("Z (m)", 1e-6),
    SHIFT: ("OC M1 Freq. Shift (Hz)", 1e3),
    LOCK_IN_X: ("LI Demod 1 X (V)", 10.0),
    LOCK_IN_Y: ("LI Demod 1 Y (V)", 10.0),
}
"""Name and largest value of the signals that are simulated; the others are 0."""
NAMES = [KNOWN[index][0] if index in KNOWN else f"Input {index} (V)" for index in range(128)]
NN_PER_V = 50.0
"""Force for one volt of deflection."""
NN_PER_NA = 20.0
"""A tunnel current of 1 nA is held where the twin has this force: it knows no tunnelling distance."""
V_PER_AU = 0.125
"""Volts of the lock-in for one of the twin's arbitrary units; a power of 2, so that no number is rounded."""
Z_LIMIT = 500e-9
"""Z goes from minus this, m, fully extended, to this, fully retracted."""
M_PER_NM = A_PER_NA = 1e-9
