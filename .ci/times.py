"""Gives every file of a clean checkout the time at which the target folder first met its present content.

Cargo compiles again what is newer than what it built, and everything in a fresh clone is. With the times of the run before, it
compiles what differs from that run, as in a checkout that is updated. The checkout is a clone that nobody edits while it is built.

    times.py TARGET_FOLDER
"""

import json
import os
import pathlib
import subprocess
import sys
import time


def git(*arguments):
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def contents():
    """Hash by path, of folders too, since build scripts may watch one; nothing of a checkout that differs from its commit."""
    if git("status", "--porcelain"):
        return {}
    lines = git("ls-tree", "-r", "-t", "-z", "HEAD").split("\0")
    entries = (line.split("\t", 1) for line in lines if line)
    return {path: about.split()[2] for about, path in entries}


def read(table, root):
    """What the run before met; nothing if it was another checkout, whose paths are part of what it built."""
    try:
        before = json.loads(table.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return before["files"] if before.get("root") == root else {}


def write(table, root, files):
    draft = table.with_suffix(".draft")
    with draft.open("w") as out:
        json.dump({"root": root, "files": files}, out)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(table)
    folder = os.open(table.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def now_after(target):
    """Later than all that was built, also when the clock was set back since."""
    patterns = ("*/.fingerprint/*/*", "*/*/.fingerprint/*/*")
    built = (file.stat().st_mtime_ns for pattern in patterns for file in target.glob(pattern))
    return max(time.time_ns(), max(built, default=0) + 1)


def main(target):
    root = git("rev-parse", "--show-toplevel").strip()
    os.chdir(root)
    table = target / "times.json"
    before, now, files = read(table, root), now_after(target), {}
    for path, content in contents().items():
        met, since = before.get(path, ("", now))
        # Content that comes back was met anew: what was built in between is of another one.
        files[path] = (content, since if met == content else now)
    # Before anything is built: whatever a run that dies has built is no older than what is noted.
    write(table, root, files)
    times = {path: since for path, (_, since) in files.items()}
    # Of a checkout that differs nothing is known: all of it is new.
    times = times or dict.fromkeys(git("ls-files", "-z").split("\0")[:-1], now)
    times = {path: since for path, since in times.items() if os.path.lexists(path)}
    for path, since in times.items():
        os.utime(path, ns=(since, since), follow_symlinks=False)
    # Cargo asks for the time of what a link leads to.
    for path, since in times.items():
        if since == now and os.path.islink(path) and os.path.exists(path):
            os.utime(path, ns=(now, now))


main(pathlib.Path(sys.argv[1]).resolve())
