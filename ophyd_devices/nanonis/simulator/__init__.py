"""A simulated Nanonis controller: the protocol's server over the twin, to try the backend without an instrument."""
