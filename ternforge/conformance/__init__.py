"""Checks that every design of every family, and every search, must pass, inside this distribution and outside it.

Each check returns what is wrong, a sentence each; an empty list is agreement. Nothing here needs a test framework::

    from ternforge.conformance import check_family, check_space

    def test_conformance(tmp_path):
        assert check_family("mine", tmp_path) == []
        assert check_space("space.yaml", tmp_path / "study") == []

``TERNFORGE_FAMILIES`` names the folder of a family outside (:mod:`blueprint.outside`).
"""

from dse.searches.conformance import check_search
from ternforge.conformance.agreement import (
    compare,
    differences,
    jobs,
    netlist_flip_flops,
    netlist_flip_flops_both_ways,
    patterns,
)
from ternforge.conformance.manifest_check import faults
from ternforge.conformance.suite import (
    bits_by_stream,
    check_columns,
    check_design,
    check_estimate,
    check_family,
    check_peak,
    check_places,
    check_ports,
    check_space,
    check_work,
)

__all__ = [
    "bits_by_stream",
    "check_work",
    "check_peak",
    "check_columns",
    "check_design",
    "check_estimate",
    "check_family",
    "check_places",
    "check_ports",
    "check_search",
    "check_space",
    "compare",
    "differences",
    "faults",
    "jobs",
    "netlist_flip_flops",
    "netlist_flip_flops_both_ways",
    "patterns",
]
