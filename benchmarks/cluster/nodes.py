"""Several Ray nodes on this machine, and what can happen to them. Linux."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_worker_niceness": "0"}
"""For Ray: no reports, no remarks, and workers that count as much as other processes."""
STORE = 80 * 2**20
"""Bytes of a node's object store: only names and results pass through it."""


@contextlib.contextmanager
def cluster(cores: Sequence[int]) -> Iterator[tuple[Any, list[Any]]]:
    """A head node that does no work, and a node for each number of cores; this process is their driver.

    Yields:
        The `ray.cluster_utils.Cluster`, and its working nodes.
    """
    os.environ.update(QUIET)
    import ray  # noqa: PLC0415  reads the environment
    import ray.data  # noqa: PLC0415
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    options = {"object_store_memory": STORE, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    try:
        nodes = [made.add_node(num_cpus=count, object_store_memory=STORE) for count in cores]
        ray.init(address=made.address, log_to_driver=False, configure_logging=False)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it tells of every block that is lost
        yield made, nodes
    finally:
        ray.shutdown()
        made.shutdown()


@contextlib.contextmanager
def node_with_full_disk(address: str, folder: Path) -> Iterator[None]:
    """One more node, which has a full disk of its own where all others have `folder`; needs root."""
    ray = str(Path(sys.executable).parent / "ray")
    script = (
        f"mount -t tmpfs -o size=64k none {folder} && (dd if=/dev/zero of={folder}/.full bs=1k 2>/dev/null; "
        f"exec {ray} start --address={address} --num-cpus=1 --object-store-memory={STORE} --block)"
    )
    with subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script],
        env={**os.environ, **QUIET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield
        finally:
            kill([process.pid, *children(process.pid)])


def kill_worker(node: Any) -> int:
    """Kill a working process of a node; its number."""
    for number in children(raylet(node)):
        if "MapWorker" in _command(number):
            kill([number])
            return number
    raise RuntimeError("the node has no working process")


def kill_node(node: Any) -> None:
    """Kill a node with all its processes, as if the machine were gone."""
    number = raylet(node)
    kill([number, *children(number)])


def raylet(node: Any) -> int:
    """The process of a node that starts its workers."""
    return int(node.all_processes["raylet"][0].process.pid)


def kill(numbers: Sequence[int]) -> None:
    """SIGKILL to all of these."""
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def children(number: int) -> list[int]:
    """All processes below one."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [number]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _command(number: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/cmdline").read_text(errors="replace")
    return ""
