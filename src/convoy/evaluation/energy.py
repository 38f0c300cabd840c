"""The energy that predictions take, where the machine's own meters can be read.

A processor's is that of Intel's and AMD's running average power limit (RAPL), which Linux shows as
files: of whole processors, with all else that runs on them. A GPU's is that of NVIDIA's management
library. Elsewhere there is a reason instead of a number.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch

POWERCAP = Path("/sys/class/powercap")
SECONDS = 0.3
"""How long a measurement goes on: the meters count in steps of some milliseconds."""

Meter = Callable[[], float]


class NoMeter(Exception):
    """Why energy cannot be read here."""


def joules_per_image(act: Callable[[], int], meter: Meter, seconds: float = SECONDS) -> float:
    """Return the energy of an image: `act` is repeated for so long and says how many it did.

    Raises `NoMeter` where the meter stood still or began anew.
    """
    images, began, before = 0, perf_counter(), meter()
    while not images or perf_counter() - began < seconds:
        images += act()
    spent = meter() - before
    if spent <= 0:
        raise NoMeter("the meter did not move")
    return spent / images


def meter_of(device: torch.device, powercap: Path = POWERCAP) -> Meter:
    """Return what reads the joules that a device has taken so far. Raises `NoMeter`."""
    return _nvml(device) if device.type == "cuda" else _rapl(powercap)


def _rapl(powercap: Path) -> Meter:
    # A processor is intel-rapl:N; what has a second colon is a part of it.
    files = [
        place / "energy_uj"
        for place in sorted(powercap.glob("intel-rapl:*"))
        if place.name.count(":") == 1
    ]
    if not files:
        raise NoMeter(f"this machine shows no energy meter in {powercap}")

    def read() -> float:
        try:
            return sum(int(file.read_text()) for file in files) / 1e6
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise NoMeter(f"cannot read {files[0]} ({reason})") from error

    read()
    return read


def _nvml(device: torch.device) -> Meter:
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        raise NoMeter("NVIDIA's management library is not installed") from error
    handle, bus = ctypes.c_void_p(), torch.cuda.get_device_properties(device)
    # By its place on the bus: which devices PyTorch sees, and so their numbers, may be chosen.
    place = f"{bus.pci_domain_id:08x}:{bus.pci_bus_id:02x}:{bus.pci_device_id:02x}.0".encode()
    for status in (
        nvml.nvmlInit_v2(),
        nvml.nvmlDeviceGetHandleByPciBusId_v2(place, ctypes.byref(handle)),
    ):
        if status:
            raise NoMeter(f"NVIDIA's management library refuses (code {status})")

    def read() -> float:
        millijoules = ctypes.c_ulonglong()
        status = nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))
        if status:
            raise NoMeter(f"this GPU has no energy meter (code {status})")
        return millijoules.value / 1000

    read()
    return read
