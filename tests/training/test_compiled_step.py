"""What the compiler made of a step over four devices: read from its programs, since results cannot tell.

Batch 12 on 4 devices: no other dimension of these networks is 12, so a 12 in a convolution is a whole batch on one device.
"""

import re

import jax
import numpy as np
import pytest

from sg3x.networks import DiscriminatorConfig, GeneratorConfig, layer_schedule
from sg3x.training.augment import AugmentConfig
from sg3x.training.execute.compiled import data_mesh, in_one_go
from sg3x.training.execute.microbatches import choose_microbatches
from sg3x.training.execute.step import compile_step
from sg3x.training.state import TrainConfig, init_state

BATCH, DEVICES = 12, 4
G = GeneratorConfig(16, z_dim=4, w_dim=5, num_layers=2, num_critical=1, channels=(6, 4), margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4)
CONFIG = TrainConfig(G, D, batch_size=BATCH, r1_gamma=1.0, augment=AugmentConfig.preset("blit"))
INSTRUCTION = re.compile(r"= (\(.*?\)|\S+) ([\w\-]+)\((.*)")


@pytest.fixture(scope="module")
def compiled():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SG3X_CONV", "lax")  # what TPUs and GPUs run
        state = jax.eval_shape(lambda: init_state(G, D, 0))
        microbatches = choose_microbatches(BATCH, CONFIG.group_size, DEVICES, None, False)
        return compile_step(CONFIG, data_mesh(DEVICES), state, microbatches).compiled


@pytest.fixture(scope="module")
def programs(compiled):
    return {name: program.as_text() for name, program in compiled.items()}


def containers(tree):
    """Types of all containers of a tree of arguments or results."""
    here = tree.node_data()
    return ({here[0]} if here else set()).union(*map(containers, tree.children()))


def test_what_crosses_a_programs_border_is_plain(compiled):
    """A call with modules or Flax's states would cost several times as much, and tie checkpoints to Flax."""
    for name, program in compiled.items():
        assert containers(program.in_tree) | containers(program.out_tree) <= {dict, tuple, list}, name
        assert dict in containers(program.in_tree)


def instructions(text):
    """(opcode, whole line) of everything in a program."""
    found = ((INSTRUCTION.search(line), line) for line in text.splitlines())
    return [(match[2], line) for match, line in found if match]


def shapes(line):
    """All shapes that a line of HLO names, result first."""
    return [tuple(map(int, s.split(","))) for s in re.findall(r"\w\d+\[([\d,]+)\]", line)]


@pytest.mark.parametrize("phase", ["G", "D", "R1"])
def test_each_device_convolves_its_own_images_only(programs, phase):
    convolutions = [line for op, line in instructions(programs[phase]) if op == "convolution"]
    assert len(convolutions) > 10
    for line in convolutions:
        assert all(BATCH not in shape for shape in shapes(line)), line
    assert any(BATCH // DEVICES in shapes(line)[0] for line in convolutions)


@pytest.mark.parametrize("phase", ["G", "D", "R1"])
def test_devices_exchange_gradients_and_statistics_alone(programs, phase):
    collectives = [
        (op, line) for op, line in instructions(programs[phase]) if re.match("all-|collective|reduce-scatter", op)
    ]
    assert collectives and {op for op, _ in collectives} <= {"all-reduce", "all-reduce-start", "all-reduce-done"}
    params = jax.eval_shape(lambda: init_state(G, D, 0))["g" if phase == "G" else "d"]
    weights = sum(int(np.prod(p.shape)) for p in params.values())
    results = (line.split(" all-reduce")[0] for _, line in collectives)
    exchanged = sum(int(np.prod(shape)) for result in results for shape in shapes(result))
    # The gradients once: those of generated and of real pictures are added before. R1's alone are exchanged in two parts, by
    # the passes they come from. Beside them: losses, signs, mean squares of styles, and the minibatch deviation of its
    # groups, 4 x 4 x 4 values a picture, forward and backward.
    times, pictures = {"G": (1, BATCH), "D": (1, 2 * BATCH), "R1": (2, 2 * BATCH)}[phase]
    assert exchanged <= times * weights + pictures * 64


@pytest.mark.parametrize("phase", ["G", "D"])
def test_each_device_draws_its_own_latents(programs, phase):
    drawn = [line for _, line in instructions(programs[phase]) if re.search(r"op_name=\"[^\"]*erf_inv", line)]
    normal = [shape for line in drawn for shape in shapes(line) if shape[-1:] == (G.z_dim,)]
    assert (BATCH // DEVICES, G.z_dim) in normal
    assert (BATCH, G.z_dim) not in normal


def test_the_generator_in_the_discriminators_phase_is_not_kept_for_gradients(programs):
    """Its convolutions of pictures with a margin, a size that D does not know, are there once: forward."""
    sides = {layer.in_size + layer.conv_kernel - 1 for layer in layer_schedule(G).layers} - {16, 8, 4}
    for phase, forward_only in (("G", False), ("D", True)):
        convolutions = [line for op, line in instructions(programs[phase]) if op == "convolution"]
        of_g = [line for line in convolutions if sides & set(shapes(line)[0][1:3])]
        assert of_g
        assert all("jvp" not in line for line in of_g) == forward_only


def test_bfloat16_is_what_convolutions_compute_in_when_asked(monkeypatch):
    monkeypatch.setenv("SG3X_CONV", "lax")
    half = TrainConfig(
        GeneratorConfig(
            16, z_dim=4, w_dim=5, num_layers=2, num_critical=1, channels=(6, 4), activation_dtype="bfloat16"
        ),
        DiscriminatorConfig(16, channel_base=32, channel_max=4, activation_dtype="bfloat16"),
        batch_size=BATCH,
        r1_gamma=1.0,
    )
    state = jax.eval_shape(lambda: init_state(half.generator, half.discriminator, 0))
    text = jax.jit(in_one_go(half, "G")).lower(state).as_text()
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    types = [re.findall(r"x(f32|bf16)>", line.rsplit(" : ", 1)[1]) for line in convolutions]
    assert len(convolutions) > 10
    full = [t for t in types if "f32" in t]
    # The last block of D, after the minibatch deviation, is float32 by design: its convolution and its two gradients.
    assert len(full) <= 3, full
    assert all(set(t) == {"bf16"} for t in types if t not in full)


@pytest.mark.parametrize("phase", ["G", "D", "R1", "end"])
def test_the_state_is_donated(programs, phase):
    leaves = len(jax.tree.leaves(jax.eval_shape(lambda: init_state(G, D, 0))))
    header = programs[phase].splitlines()[0]
    assert "input_output_alias" in header
    assert header.count("may-alias") + header.count("must-alias") == leaves
