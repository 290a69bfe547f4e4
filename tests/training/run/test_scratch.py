"""What names a scratch directory, and what is said of others that are left over."""

import json

from sg3x.training.run.scratch import code_fingerprint, leftovers, scratch_directory, write_identity

IDENTITY = {"params": {"r1_gamma": 0.5, "seed": 0}, "data": "aa", "code": "bb", "segment": "0 to 10"}


def left_over(root, **changes):
    identity = json.loads(json.dumps({**IDENTITY, **changes}))
    scratch = scratch_directory(root, identity)
    (scratch / "nimg-000000007500").mkdir(parents=True)
    write_identity(scratch, identity)
    return scratch


def test_the_same_run_is_the_same_directory_and_any_change_another(tmp_path):
    mine = scratch_directory(tmp_path, IDENTITY)
    assert mine == scratch_directory(tmp_path, dict(reversed(IDENTITY.items())))
    assert mine != scratch_directory(tmp_path, {**IDENTITY, "data": "ab"})


def test_a_changed_parameter_is_named_with_both_values(tmp_path):
    old = left_over(tmp_path, params={"r1_gamma": 0.25, "seed": 0})
    (note,) = leftovers(tmp_path, scratch_directory(tmp_path, IDENTITY), IDENTITY)
    assert str(old) in note and "7.500 kimg" in note and "r1_gamma was 0.25 there and is 0.5 now" in note


def test_changed_data_and_code_are_named(tmp_path):
    left_over(tmp_path, data="other", code="older")
    (note,) = leftovers(tmp_path, scratch_directory(tmp_path, IDENTITY), IDENTITY)
    assert "the code changed, the data changed" in note


def test_other_segments_and_ones_own_are_not_left_over(tmp_path):
    left_over(tmp_path, segment="10 to 20")
    mine = left_over(tmp_path)
    assert leftovers(tmp_path, mine, IDENTITY) == []


def test_one_that_is_being_removed_is_not_left_over(tmp_path):
    going = left_over(tmp_path, code="older")
    going.rename(going.with_name(f".{going.name}.old"))
    assert leftovers(tmp_path, scratch_directory(tmp_path, IDENTITY), IDENTITY) == []


def test_compiled_caches_do_not_change_the_code(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.py").write_text("x = 1\n")
    before = code_fingerprint(tmp_path, ["a"])
    (tmp_path / "a/__pycache__").mkdir()
    (tmp_path / "a/__pycache__/one.cpython-311.pyc").write_bytes(b"\0")
    assert code_fingerprint(tmp_path, ["a"]) == before
    (tmp_path / "a/one.py").write_text("x = 2\n")
    assert code_fingerprint(tmp_path, ["a"]) != before
