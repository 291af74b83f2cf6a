#!/bin/bash
#SBATCH --job-name=explore
#SBATCH --array=1-16
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=explore-%a.log
#
# Each task of the array runs one shard of a search; a task that was killed or requeued goes on where it stopped.
#
#   sbatch explore.sh space.yaml shards                        # prints the number of the job
#   sbatch --dependency=afterok:JOB merge.sh shards study
#
# Further arguments are options of `ternforge explore`: sbatch --array=1-64 explore.sh space.yaml shards --budget 1000000
set -euo pipefail
space=$1 shards=$2
shift 2

: "${SLURM_ARRAY_TASK_ID:?must be set: submit this script with sbatch --array=1-N}"
mkdir -p "$shards"
code=0
ternforge explore "$space" --out "$shards/$SLURM_ARRAY_TASK_ID" --quiet \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --workers "${SLURM_CPUS_PER_TASK:-1}" "$@" || code=$?
# Exit code 1 says that no design of this shard is feasible; designs of other shards may be.
[ "$code" -eq 1 ] || exit "$code"
