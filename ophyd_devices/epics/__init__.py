"""The AFM over Channel Access: a backend that is a client of an IOC, and an IOC that serves any backend."""

from ophyd_devices.epics.client import EpicsBackend

__all__ = ["EpicsBackend"]
