"""Shares of a whole, in PromQL, that conditions and panels have in common."""

MEMORY_AVAILABLE = "grid_memory_available_bytes{BOX} / grid_memory_total_bytes{BOX}"
MEMORY_USED = f"1 - {MEMORY_AVAILABLE}"
SWAP_USED = (
    "1 - grid_swap_free_bytes{BOX} / (grid_swap_total_bytes{BOX} > 0)"  # nothing where there is no swap
)
DISK_AVAILABLE = "grid_filesystem_avail_bytes{BOX} / grid_filesystem_size_bytes{BOX}"
DISK_USED = f"1 - {DISK_AVAILABLE}"
CARD_MEMORY_USED = "grid_gpu_memory_used_bytes{BOX} / grid_gpu_memory_total_bytes{BOX}"
