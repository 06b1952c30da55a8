"""NVIDIA's GPUs of a machine, for every engine that starts containers on it."""

from dais.engines.nvidia.gpus import Gpu, Gpus

__all__ = ["Gpu", "Gpus"]
