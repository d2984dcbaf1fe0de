"""Run a command that dies with its parent: ``python -I -S tether.py PARENT_PID COMMAND …``.

The kernel kills the command when the thread that started it ends, however it ends (prctl(2),
PR_SET_PDEATHSIG: the setting survives execve(2)). It is a program of its own, run by path, and
imports nothing of the project, because code between fork and exec is unsafe in a process that has
threads. Where there is no prctl (macOS) the command is started without that guard.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    """Tie this process to PARENT_PID, then become COMMAND."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the process that wanted this one is gone")
    os.execvp(command[0], command)  # noqa: S606 - a list of arguments, no shell


if __name__ == "__main__":
    main()
