"""Maps over places."""

import numpy as np
from matplotlib.figure import Figure

from curio_plans.report.drawing import draw_places


def test_a_map_of_one_row_is_drawn_as_cells_of_equal_sides():
    axes = Figure().subplots()
    draw_places(axes, np.array([[0.0, 5.0], [10.0, 5.0], [20.0, 5.0]]), np.arange(3.0), "spread")
    assert tuple(axes.images[0].get_extent()) == (-5.0, 25.0, 0.0, 10.0)
