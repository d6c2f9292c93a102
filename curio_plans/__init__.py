"""How a run proceeds, is kept and is read: Bluesky plans for a microscope that decides where to measure."""
