"""One code from the 0/1 series of all states, for value mappings."""

from __future__ import annotations

from collections.abc import Mapping


def one_code(by: str, codes: Mapping[str, int]) -> str:
    """PromQL for the highest code among those series that are 1; 0 where none is.

    Args:
        by: the aggregation, such as ``by (instance, gpu)``.
        codes: selectors of 0/1 series that no two share, and their codes; the worst is the highest.
    """
    return f"max {by} ({' or '.join(f'{selector} * {code}' for selector, code in codes.items())})"
