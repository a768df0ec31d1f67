"""The stages of whoplays over many machines, by Ray: what one machine takes in comes in, and the same goes out.

Laptop, SLURM, Kubernetes, cloud. The only importer of Ray.

`engine` does the work of a data set, as tasks of Ray; `predict` that of many recordings; `download` shares one polite
budget among machines; `train` trains on several by Ray Train.

What is mapped are the functions that one machine runs, so the bytes are the same: see `whoplays.runtime.processes`.
"""

from .engine import Cluster

__all__ = ["Cluster"]
