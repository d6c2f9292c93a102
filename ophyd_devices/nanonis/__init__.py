"""Nanonis controllers over their TCP programming interface: a protocol client, a backend, a watchdog, a simulator.

The names are in the modules, so that the watchdog's process loads only what it needs.
"""
