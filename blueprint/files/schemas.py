"""Names of the file formats: the first key, ``schema``, of every file of ours."""

from __future__ import annotations

DESIGN = "ternforge/design/v1"
WORKLOAD = "ternforge/workload/v1"
MODEL = "ternforge/model/v1"
SYSTEM = "ternforge/system/v1"
SPACE = "ternforge/space/v1"
TECHNOLOGY = "ternforge/technology/v1"
#: What is exported beside Verilog.
MANIFEST = "ternforge/manifest/v1"
SYSTEM_MANIFEST = "ternforge/system-manifest/v1"
#: The record of the files that a command wrote into a folder.
WRITTEN = "ternforge/written/v1"
#: The database of a study.
STUDY = "ternforge/study/v2"
