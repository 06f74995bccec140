"""How asyncio learns that a child process has ended."""

import asyncio
import sys


def watch_children_by_pidfd() -> None:
    """Has Python 3.11 wait for children as later versions do: by pidfd, not by a thread for each.

    A tool that can't be killed would otherwise keep a thread, and every start would cost one.
    """
    if sys.version_info < (3, 12):
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
