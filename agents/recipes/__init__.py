"""Named agents: each recipe is a function from options to an agent, see :mod:`agents.options`."""
