"""Python in processes that are forked from one in which the libraries are loaded.

Loading PyTorch, Tiled and Bluesky is most of what a short command takes, and the tests start hundreds of them.
``python warm.py serve SOCKET`` is the process that forks; it loads the libraries when it is first asked, and ends with
its standard input. ``python -I -S warm.py SOCKET ARGUMENT…`` asks it for what ``python ARGUMENT…`` would do, with
``-c CODE``, ``-m MODULE`` or a file: in its own directory, with its own environment and its standard files. It passes
on signals, and ends as the other process does.
Limits, terminal and group are not passed on, and variables that are read while libraries load have no effect: a test of
such things starts Python itself.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

LOADED = (
    "databroker", "matplotlib.pyplot", "tiled.client", "tiled.server.app", "torch", "uvicorn",
    "agents.recipes.own", "curio_plans.cli", "curio_plans.page.routes", "curio_plans.plans",
    "curio_plans.report.overview", "curio_plans.session.interrupt", "curio_plans.store.tiled_writer",
    "ophyd_devices.twin",
)  # fmt: skip
"""What the commands and the examples use, as far as it starts no thread: that would not be there after a fork."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def ask(path, *arguments):
    """Run Python with these arguments; return the exit code, or end by the signal that ended it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        request = json.dumps({"arguments": arguments, "cwd": str(Path.cwd()), "environment": dict(os.environ)}).encode()
        socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(request)
        child = int.from_bytes(connection.recv(8), "big")
        for number in PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _: os.kill(child, number))
        code = int.from_bytes(connection.recv(8), "big", signed=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def serve(path):
    """Fork a process for whatever is asked for, one after the other, until standard input ends."""
    del sys.path[0]  # that of this file
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
        loaded = False
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            if not loaded:
                for module in LOADED:
                    importlib.import_module(module)
                gc.freeze()  # what is loaded stays shared memory
                loaded = True
            if os.fork() == 0:
                listener.close()
                _answer(connection)
            connection.close()


def _answer(connection):
    """Run what is asked for in another process; tell its number, then how it ended."""
    import threading

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, files, _, _ = socket.recv_fds(connection, 8, 3)
    size, parts = int.from_bytes(length, "big"), b""
    while len(parts) < size:
        parts += connection.recv(size - len(parts))
    child = os.fork()
    if child == 0:
        connection.close()
        _become(json.loads(parts), files)
    for file in files:
        os.close(file)

    def end_with_whoever_asked():
        with suppress(ConnectionError):
            connection.sendall(child.to_bytes(8, "big"))
            connection.recv(1)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    threading.Thread(target=end_with_whoever_asked, daemon=True).start()
    _, status = os.waitpid(child, 0)
    with suppress(ConnectionError):
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(8, "big", signed=True))
    os._exit(0)


def _become(request, files):
    """Be the process that was asked for; return when it ends."""
    import runpy
    import warnings

    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    places = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:0] = [place for place in places if place not in sys.path]
    first, *arguments = request["arguments"]
    while first == "-W":
        warnings.simplefilter(arguments[0])
        first, *arguments = arguments[1:]
    if first == "-c":
        code, *rest = arguments
        sys.argv, sys.path[:0] = ["-c", *rest], [""]
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        module, *rest = arguments
        sys.argv, sys.path[:0] = [module, *rest], [str(Path.cwd())]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[:0] = [first, *arguments], [str(Path(first).resolve().parent)]
        runpy.run_path(first, run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(*sys.argv[1:]))
