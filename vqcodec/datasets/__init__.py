"""PyTorch datasets over .vqc files, alone in folders or in tar shards, decoded in the loader's own workers.

    from torch.utils.data import DataLoader
    from vqcodec.datasets import VqcDataset, VqcShards

    shards = VqcShards(sorted(glob("coded/*.tar")), transform=augment, shuffle=1000)
    loader = DataLoader(shards, batch_size=64, num_workers=8)

Every process loads the model for itself when it decodes its first picture, and a worker works on one thread;
so it does not matter whether workers are forked or spawned, nor whether the parent has decoded before. They
decode on the CPU: on a graphics card forked workers could not.
"""

from vqcodec.datasets.decoding import to_tensor
from vqcodec.datasets.random_access import VqcDataset
from vqcodec.datasets.streaming import VqcShards

__all__ = ["VqcDataset", "VqcShards", "to_tensor"]
