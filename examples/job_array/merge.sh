#!/bin/bash
#SBATCH --job-name=merge
#SBATCH --mem=2G
#SBATCH --time=00:30:00
#SBATCH --output=merge.log
#
# Merges the shards that explore.sh wrote into one study.
set -euo pipefail
shards=$1 study=$2
shift 2

exec ternforge merge "$shards"/* --out "$study" "$@"
