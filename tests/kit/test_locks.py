import subprocess
import sys

import pytest

from carelane.kit.locks import AlreadyLocked, FolderLock


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path):
    with FolderLock(tmp_path / "lock"), pytest.raises(AlreadyLocked, match="is held by process"):
        FolderLock(tmp_path / "lock").acquire()


def test_a_released_lock_can_be_taken_again(tmp_path):
    with FolderLock(tmp_path / "lock"):
        pass
    FolderLock(tmp_path / "lock").acquire().release()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = f"from carelane.kit.locks import FolderLock; from pathlib import Path; FolderLock(Path({str(tmp_path / 'lock')!r})).acquire(); print(1, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(AlreadyLocked):
        FolderLock(tmp_path / "lock").acquire()
    holder.kill()
    holder.communicate()
    FolderLock(tmp_path / "lock").acquire().release()
