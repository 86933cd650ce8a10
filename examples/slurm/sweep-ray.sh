#!/bin/bash
# `genbench sweep` on all nodes of a Slurm allocation: starts Ray on them, sweeps, stops Ray.
#
#   sbatch --nodes=4 --gres=gpu:8 --time=04:00:00 sweep-ray.sh \
#          trainings --task gp-ood-rule --output sweep --gpus-per-job 1 --shards 4
#
# The arguments are those of `genbench sweep`. Its exit code is the job's; where Ray does not start,
# that is 1. A sweep that was cut short goes on when the same is submitted again.
#SBATCH --job-name=genbench-sweep
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --requeue
set -euo pipefail

# Nodes are whole (--exclusive): Ray takes all cores of each, and at the end of the job
# `ray symmetric-run` stops every Ray process on them.
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address="$head:$((20000 + SLURM_JOB_ID % 10000))"
export RAY_USAGE_STATS_ENABLED=0
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT="${RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT:-300}"

# It exits with 0 where Ray does not start, so the sweep leaves its own exit code in a file.
status=$(mktemp "$PWD/.genbench-sweep.XXXXXX")
trap 'rm -f "$status"' EXIT

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpu-bind=none \
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
    bash -c 'status=$1; shift; genbench sweep "$@"; echo $? > "$status"' genbench-sweep \
    "$status" "$@" --ray "$address" || true

code=$(cat "$status")
exit "${code:-1}"
