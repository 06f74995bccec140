"""NVIDIA cards, by nvidia-smi."""
