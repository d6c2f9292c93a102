"""The networks. Each takes patches (n, C, h, w) scaled to −1…1 and is initialised from an explicit generator."""
