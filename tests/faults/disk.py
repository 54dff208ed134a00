"""A disk that is really full: a small file system of its own, and a file on it that takes the room."""

import os
import pathlib
import subprocess


class SmallDisk:
    """Mounted in the tests' own mount namespace, so that nobody else sees it."""

    def __init__(self, folder: pathlib.Path, mebibytes: int):
        self.folder = folder
        self.filler = folder / "filler"
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "tmpfs", str(folder)], check=True
        )

    def free_bytes(self) -> int:
        room = os.statvfs(self.folder)
        return room.f_bavail * room.f_frsize

    def fill(self, leave_bytes: int):
        """Takes all the room but `leave_bytes`."""
        with self.filler.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, file.tell() + self.free_bytes() - leave_bytes)

    def make_room(self):
        self.filler.unlink()

    def remove(self):
        # A program that is still to be ended may have files open there.
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
