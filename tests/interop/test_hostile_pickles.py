"""Hostile pickles: hand-made attacks end in one clear error, nothing runs, memory stays bounded."""

import io
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from sg3x.interop.nvidia import load_pickle
from sg3x.interop.snapshot import read_snapshot
from sg3x.interop.unpickle import Interpreter, UnsafePickleError
from tests.interop import forge
from tests.interop.attacks import FILES, GLOBALS, OPCODES, Executed, named
from tests.interop.costly import COSTLY, training_set_again


@pytest.mark.parametrize("name", [*OPCODES, *FILES])
def test_attacks_end_in_one_clear_error(tmp_path, name):
    file = tmp_path / "attack.pkl"
    file.write_bytes({**OPCODES, **FILES}[name])
    with pytest.raises(UnsafePickleError) as error:
        load_pickle(file)
    message = str(error.value)
    assert str(file) in message and "\n" not in message and len(message) < 600
    assert not Executed.ran


@pytest.mark.parametrize("name", COSTLY)
def test_small_files_that_ask_for_much_are_refused_at_once(tmp_path, name):
    file = tmp_path / "attack.pkl"
    file.write_bytes(COSTLY[name]())
    began = time.process_time()
    with pytest.raises(UnsafePickleError):
        read_snapshot(file)
    assert time.process_time() - began < 5


def test_a_training_set_that_is_too_large_is_left_out_with_a_note(tmp_path):
    (tmp_path / "n.pkl").write_bytes(training_set_again())
    found = read_snapshot(tmp_path / "n.pkl")
    assert found.training_set is None and "training_set_kwargs: too many options" in found.notes[0]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("module, name, arguments", GLOBALS, ids=lambda v: v if isinstance(v, str) else "")
def test_globals_are_refused_by_name_before_anything_is_done_with_them(tmp_path, module, name, arguments, protocol):
    file = tmp_path / "attack.pkl"
    file.write_bytes(named(module, name, arguments, protocol))
    before = set(sys.modules)
    with pytest.raises(UnsafePickleError, match="refused"):
        load_pickle(file)
    assert set(sys.modules) - before <= {"numpy.core.multiarray"}, "nothing is imported by the file's word"


def test_the_payload_would_run_in_pickle_itself():
    pickle.loads(pickle.dumps(Executed()))
    assert Executed.ran
    Executed.ran = False


def test_special_files_are_not_read(tmp_path):
    with pytest.raises(UnsafePickleError, match="not a regular file"):
        load_pickle("/dev/zero")


def test_networks_of_another_kind_are_named(tmp_path):
    arrays = {"synthesis.b4.const": np.ones((4, 4)), "mapping.fc0.weight": np.ones((4, 4))}
    (tmp_path / "n.pkl").write_bytes(forge.dumps({"G_ema": forge.network("Generator", arrays, {"img_resolution": 16})}))
    with pytest.raises(ValueError, match="StyleGAN2 generator: only StyleGAN3"):
        load_pickle(tmp_path / "n.pkl")


@pytest.mark.parametrize(
    "options",
    [
        {"img_resolution": 2**60},
        {"img_resolution": 16, "num_layers": 10**12},
        {"img_resolution": 16, "mapping_kwargs": {"num_layers": 10**9}},
        {"img_resolution": 16, "channel_base": 10**18},
        {"img_resolution": 16, "margin_size": 10**9},
        {"img_resolution": 16, "lrelu_upsampling": 10**6},
        {"img_resolution": 16, "first_cutoff": float("nan")},
        {"img_resolution": 16, "first_cutoff": -1.0},
        {"img_resolution": 16, "first_stopband": 0.0},
        {"img_resolution": 16, "z_dim": -4},
        {"img_resolution": 16, "z_dim": "512"},
        {"img_resolution": 16, "num_layers": None},
        {"img_resolution": "16"},
        {},
    ],
    ids=str,
)
def test_options_of_impossible_networks_are_refused(tmp_path, options):
    arrays = {"synthesis.input.freqs": np.ones((4, 2)), "mapping.fc0.weight": np.ones((4, 4))}
    (tmp_path / "n.pkl").write_bytes(forge.dumps({"G_ema": forge.network("Generator", arrays, options)}))
    with pytest.raises(UnsafePickleError):
        load_pickle(tmp_path / "n.pkl")


def test_the_interpreter_stops_where_the_pickle_does():
    stream = io.BytesIO(pickle.dumps({"a": [1, 2.5, None, True, (b"x",), {"y"}]}, 4) + b"rest")
    assert Interpreter({}).run(stream) == {"a": [1, 2.5, None, True, (b"x",), {"y"}]}
    assert stream.read() == b"rest"


BOUNDED = """
import pathlib, resource, sys
from sg3x.interop.snapshot import read_snapshot
from sg3x.interop.unpickle import UnsafePickleError
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        read_snapshot(path)
    except UnsafePickleError as error:
        assert 'than there is' not in str(error) and 'not enough memory' not in str(error), error
    else:
        print(path.stem)  # small once shared objects are shared; `load_pickle` refuses it as no network
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_memory_stays_bounded_whatever_a_file_asks_for(tmp_path):
    attacks = {**OPCODES, **FILES, **{name: make() for name, make in COSTLY.items()}}
    for number, content in enumerate(attacks.values()):
        (tmp_path / f"{number}.pkl").write_bytes(content)
    done = subprocess.run([sys.executable, "-c", BOUNDED, str(tmp_path)], check=True, capture_output=True, text=True)
    assert [list(attacks)[int(number)] for number in done.stdout.split()] == ["modules shared 2^14 times"]
