"""The hardware of every family, a folder each; also in the folders of :mod:`blueprint.outside`."""

from blueprint.outside import packages

__path__ += packages("generator")
