"""The version of ternforge, used by the package metadata, manifests and studies."""

from __future__ import annotations

VERSION = "0.1.0"
