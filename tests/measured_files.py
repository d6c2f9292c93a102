"""Small files in the formats of instruments, written by hand as their makers describe them."""

import struct

import numpy as np


def nanonis_grid(
    path, curves, *, size=(40e-9, 30e-9), angle=0.0, written=None, channels=("Current (A)", "Phase (deg)")
):
    """Write a .3ds file of curves (rows, columns, channels, points); only so many pixels are `written`."""
    rows, columns, count, points = curves.shape
    assert count == len(channels)
    header = "\r\n".join([
        f'Grid dim="{columns} x {rows}"', f"Grid settings=1.0E-7;2.0E-7;{size[0]:.6E};{size[1]:.6E};{angle:.6E}",
        'Filetype="Linear"', 'Sweep Signal="Bias (V)"', 'Fixed parameters="Sweep Start;Sweep End"',
        'Experiment parameters="X (m);Y (m);Z (m)"', "# Parameters (4 byte)=5", f"Points={points}",
        f'Channels="{";".join(channels)}"', "Settling time (s)=1.0E-3", "Integration time (s)=9.0E-3",
        'Experiment="Grid Spectroscopy"', ":HEADER_END:", "",
    ])  # fmt: skip
    table = np.zeros((rows * columns, 5 + count * points), ">f4")
    table[:, 0], table[:, 1] = -1.0, 1.0
    table[:, 2] = np.tile(1e-7 + ((np.arange(columns) + 0.5) / columns - 0.5) * size[0], rows)
    table[:, 3] = np.repeat(2e-7 + ((np.arange(rows) + 0.5) / rows - 0.5) * size[1], columns)
    table[:, 4] = 1e-9 * np.arange(rows * columns)
    table[:, 5:] = curves.reshape(rows * columns, -1)
    if written is not None:
        table[written:] = 0
    path.write_bytes(header.encode() + table.tobytes())
    return path


def nanonis_scan(path, picture, *, size=(80e-9, 60e-9), up=False):
    """Write a .sxm file with one channel (ny, nx) in m, row 0 at the smallest y, around (100, 200) nm."""
    ny, nx = picture.shape
    header = "\n".join([
        ":NANONIS_VERSION:", "2", ":SCAN_PIXELS:", f"{nx} {ny}", ":SCAN_RANGE:", f"{size[0]:.6E} {size[1]:.6E}",
        ":SCAN_OFFSET:", "1.0E-7 2.0E-7", ":SCAN_ANGLE:", "0.0", ":SCAN_DIR:", "up" if up else "down", ":DATA_INFO:",
        "Channel\tName\tUnit\tDirection\tCalibration\tOffset", "14\tZ\tm\tboth\t1.0\t0.0", "", ":SCANIT_END:", "", "",
    ])  # fmt: skip
    rows = picture if up else picture[::-1]
    planes = np.stack([rows, rows[:, ::-1]]).astype(">f4")
    path.write_bytes(header.encode() + b"\x1a\x04" + planes.tobytes())
    return path


def igor_wave(path, values, *, pitch=(1e-9, 2e-9, 0.5), start=(0.0, 0.0, -1.0), units=("m", "m", "V"), names=()):
    """Write a wave of version 5 (x, y, …), float32; `names` are labels of its last dimension."""
    sides = [*values.shape, 0, 0, 0, 0][:4]
    labels = b"".join(name.encode().ljust(32, b"\0") for name in ("", *names)) if names else b""
    sizes = [len(labels) if number == values.ndim - 1 else 0 for number in range(4)]
    wave = struct.pack("<III i hh 6x h 32s i I", 0, 0, 0, values.size, 2, 0, 1, b"wave", 0, 0)
    wave += struct.pack("<4i", *sides)
    for numbers in (pitch, start):
        wave += struct.pack("<4d", *[*numbers, 0.0, 0.0][:4])
    wave += b"\0" * 4 + b"".join(unit.encode().ljust(4, b"\0") for unit in [*units, "", ""][:4])
    wave += b"\0" * (320 - len(wave))
    head = struct.pack("<hHi", 5, 0, 320 + 4 * values.size) + struct.pack("<iii", 0, 0, 0)
    head += struct.pack("<4i", 0, 0, 0, 0) + struct.pack("<4i", *sizes) + struct.pack("<iii", 0, 0, 0)
    checksum = -sum(struct.unpack(f"<{(len(head) + len(wave)) // 2}h", head + wave)) & 0xFFFF
    head = head[:2] + struct.pack("<H", checksum) + head[4:]
    path.write_bytes(head + wave + values.astype("<f4").tobytes("F") + labels)
    return path


def nanosurf_map(path, picture, curves, lengths, *, width=2e-6):
    """Write a .nid file: a scan (ny, nx) in m, and forward curves (rows, columns, points) in N of unequal lengths."""
    rows, columns, points = curves.shape
    scale = 1e-6
    half = width / 2 * (1 - 1 / np.array([columns, rows]))
    table = ";".join(f"{number:.9g}" for number in (-half[0], half[0], -half[1], half[1], columns, rows, 0, 1))
    lines = [
        "[DataSet]", "GroupCount=2", "Gr0-Name=Spec forward", "Gr0-Count=1", "Gr0-Ch0=DataSet-0:0",
        "Gr1-Name=Scan forward", "Gr1-Count=1", "Gr1-Ch0=DataSet-1:0", r"[DataSet\Parameters\Spectroscopy]",
        "FwModTime=D[1]*[s]", "BwModTime=D[0.5]*[s]", r"[DataSet\SpecInfos\SpecMapTable]", "Count=1", f"Map0={table}",
        "[DataSet-0:0]", f"Points={points}", f"Lines={rows * columns}", "Dim0Name=Z-Axis", "Dim0Unit=m", "Dim0Min=0",
        "Dim0Range=1e-7", "Dim1Range=1", "Dim2Name=Deflection", "Dim2Unit=N", f"Dim2Min={-scale / 2}",
        f"Dim2Range={scale}", "SaveBits=32",
    ]  # fmt: skip
    for number, length in enumerate(np.ravel(lengths)):
        lines += [f"LineDim{number}Min=1e-6", f"LineDim{number}Range={1e-9 * (length - 1):.6g}",
                  f"LineDim{number}Points={length}"]  # fmt: skip
    ny, nx = picture.shape
    lines += [
        "[DataSet-1:0]", f"Points={nx}", f"Lines={ny}", "Dim0Name=X*", "Dim0Unit=m", "Dim0Min=0", f"Dim0Range={width}",
        "Dim1Name=Y*", "Dim1Unit=m", "Dim1Min=0", f"Dim1Range={width}", "Dim2Name=Z-Axis", "Dim2Unit=m",
        f"Dim2Min={-scale / 2}", f"Dim2Range={scale}", "SaveBits=16",
    ]  # fmt: skip
    whole = [np.round(data / scale * 2.0**bits).astype(kind).tobytes()
             for data, bits, kind in ((curves, 32, "<i4"), (picture, 16, "<i2"))]  # fmt: skip
    path.write_bytes("\r\n".join(lines).encode() + b"\r\n\r\n#!" + b"".join(whole))
    return path
