from __future__ import annotations

import os
import threading

import pytest
from filelock import FileLock

from sg3x.files.locks import exclusive

QUIET = {"refusal": "{holder} has {it}", "waiting": lambda: None}


def test_it_names_its_holder_and_is_waited_for(tmp_path):
    told, inside = [], threading.Event()

    def second():
        with exclusive(tmp_path / "lock", refusal="", waiting=lambda: told.append("waits")):
            inside.set()

    with exclusive(tmp_path / "lock", **QUIET):
        with pytest.raises(RuntimeError, match=f"{os.getpid()} has {{it}}"):
            exclusive(tmp_path / "lock", **QUIET, wait_seconds=0).__enter__()
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not inside.wait(0.3)
    waiting.join(30)
    assert inside.is_set() and told == ["waits"]


def test_a_removed_lock_keeps_nobody_out_and_lets_one_in_at_a_time(tmp_path):
    running, most = [], []

    def work():
        for _ in range(5):
            with exclusive(tmp_path / "lock", **QUIET, remove=True):
                running.append(1)
                most.append(len(running))
                running.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 20 and list(tmp_path.iterdir()) == []


def test_another_users_lock_is_named_with_its_owner(tmp_path, monkeypatch):
    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "lock").touch()
    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(PermissionError, match=r"cannot be locked by this user .* belongs to .*lock"):
        exclusive(tmp_path / "lock", **QUIET).__enter__()
