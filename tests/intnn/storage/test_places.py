"""Where files are written: links, devices, folders that others write to, and what the disk has when the power fails."""

import errno
import os
import stat
from functools import partial
from pathlib import Path

import pytest

from intnn.storage import document as storage


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path):
    """Whoever may write there, as root may to /dev, would take it from all programs."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="pipe must be a file, and it is a device, a pipe or a socket; choose"):
        storage.write_atomically(tmp_path / "pipe", b"content")
    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.fixture(params=[False, True])
def write(request):
    return partial(storage.write_atomically, private=request.param)


def test_a_link_stays_and_the_file_to_which_it_leads_is_replaced(write, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there/other")
    (tmp_path / "there/other").symlink_to("file")
    for content in (b"new", b"newer"):  # the first where no file is
        write(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there/other").is_symlink()
        assert (tmp_path / "there/file").read_bytes() == content
    assert len([*tmp_path.rglob("*")]) == 4
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="circle"):
        write(tmp_path / "circle", b"content")
    (tmp_path / "nowhere").symlink_to("absent/file")
    with pytest.raises(FileNotFoundError, match="absent must be a folder that exists"):
        write(tmp_path / "nowhere", b"content")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system names no open files")
def test_what_a_process_has_open_is_not_replaced(write, tmp_path):
    """What is written to a log in its place, /dev/stdout say, would not be in it; as root, /dev would have lost it."""
    with (tmp_path / "log").open("wb") as file:
        (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{file.fileno()}")
        for path in (tmp_path / "stdout", Path(f"/dev/fd/{file.fileno()}")):
            with pytest.raises(
                FileExistsError, match="must be a file's own name, and stands for what a process has open"
            ):
                write(path, b"content")
        assert (tmp_path / "stdout").is_symlink()
    assert (tmp_path / "log").read_bytes() == b""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a link away")
def test_a_link_of_another_user_where_all_may_write_is_not_followed(write, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "mine").write_bytes(b"mine")
    link = tmp_path / "shared/result"
    link.symlink_to(tmp_path / "mine")
    write(link, b"followed")  # one's own
    os.lchown(link, 12345, -1)
    with pytest.raises(PermissionError, match="result is a link that another user made where everybody may write"):
        write(link, b"taken")
    assert (tmp_path / "mine").read_bytes() == b"followed"
    (tmp_path / "shared").chmod(0o755)  # where others write nothing without leave
    write(link, b"followed again")
    assert (tmp_path / "mine").read_bytes() == b"followed again"


@pytest.mark.skipif(os.name != "posix", reason="the system synchronises no folders")
def test_a_file_that_was_written_is_there_when_the_power_fails(write, tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def fsync(descriptor):
        sync(descriptor)
        path = Path(f"/dev/fd/{descriptor}").resolve()
        synced.append((path, (tmp_path / "file").read_bytes() if path == tmp_path else b""))

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path / "file", b"content")
    assert [content for _, content in synced] == [b"", b"content"]  # the file, and then the name that it has got
    monkeypatch.setattr(os, "fsync", lambda descriptor: sync(descriptor) or no_such_call(descriptor))
    write(tmp_path / "file", b"newer")
    assert (tmp_path / "file").read_bytes() == b"newer"


def no_such_call(descriptor):
    """What some file systems answer to who would synchronise a folder."""
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "no such call")
