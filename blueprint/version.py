"""The version of ternforge; the package's metadata, manifests and studies all take it from here."""

from __future__ import annotations

VERSION = "0.1.0"
