"""Families of accelerators: what every design of one is, a folder each, also in :mod:`blueprint.outside`."""

from blueprint.outside import packages

__path__ += packages("blueprint")
