"""A Ray cluster of this machine, for as long as the standard input is open; prints its address.

python ray_head.py CORES
"""

import sys

import ray

if __name__ == "__main__":
    ray.init(
        address="local", num_cpus=int(sys.argv[1]), include_dashboard=False,
        object_store_memory=80 * 2**20, log_to_driver=False, logging_level="ERROR",
    )  # fmt: skip
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()
