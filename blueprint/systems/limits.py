"""Limits of the buffers and the memory of a system, for the readers of systems and of spaces of systems."""

from __future__ import annotations

from collections.abc import Mapping

from blueprint.parameters import Parameter

_LARGEST_BUFFER = 1 << 30
#: Widths of an AXI4 port in bits.
WIDTHS = ("32", "64", "128", "256", "512", "1024")


def _bytes(what: str) -> Parameter:
    return Parameter(int, f"bytes of {what}", 1, _LARGEST_BUFFER)


BUFFERS: Mapping[str, Parameter] = {
    "weights": _bytes("weights fetched ahead of the matrix units"),
    "cache": _bytes("keys and values ahead of attention"),
    "activations": _bytes("vectors of a token or of a block of a prompt"),
}
MEMORY: Mapping[str, Parameter] = {
    "size_mib": Parameter(int, "size in MiB", 1, 1 << 20),
    "bandwidth_gb_s": Parameter(float, "1e9 bytes per second that it sustains", 0.001, 1_000_000),
    "ports": Parameter(int, "ports", 1, 64, default=1),
    "width": Parameter(int, "bits of a port", choices=WIDTHS),
    "burst": Parameter(int, "beats of a request", 1, 256),
    "latency_ns": Parameter(float, "from a request to its first beat", 0, 1_000_000),
    "energy_pj_per_bit": Parameter(float, "energy of a bit moved", 0, 1000),
}
#: What a section `model` says beside the sizes of the largest model.
MODEL: Mapping[str, Parameter] = {
    "block": Parameter(int, "tokens of a prompt that go side by side", 1, 4096, default=1),
}
