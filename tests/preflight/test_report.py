"""Reading compiled programs, and what the command says of targets it cannot compile for."""

import jax
import jax.numpy as jnp
import pytest
from typer.testing import CliRunner

from sg3x.cli import app
from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.preflight.compile import compile_programs
from sg3x.preflight.kernels import Kernel, count_bundles, read_kernel
from sg3x.preflight.report import KERNELS, read_operations, read_program
from sg3x.preflight.target import PreflightError, Target, parse_target, prepare_environment
from sg3x.training.augment import AugmentConfig
from sg3x.training.state import TrainConfig

# As libtpu writes them, shortened.
TPU_PROGRAM = """
ENTRY %main.12_spmd {
  %fusion.1 = bf16[4,306,306,256]{3,1,2,0:T(8,128)(2,1)} fusion(%constant.3, %fusion.9), kind=kOutput, metadata={op_name="jit(f)/ph,nhwc->npwc/dot_general" stack_frame_id=2}, backend_config={"estimated_cycles":"1323029"}
  %conv.2 = bf16[4,38,38,512]{3,2,1,0} fusion(%x.1, %w.1), kind=kOutput, metadata={op_name="jit(f)/conv_general_dilated"}, backend_config={"estimated_cycles":"250"}
  ROOT %copy.3 = bf16[4,148,148,256]{3,0,2,1:T(4,128)(2,1)} copy(%fusion.11), metadata={op_name="jit(f)/transpose"}, backend_config={"estimated_cycles":"648666"}
  %fir_stream_8_times_38_5_36.1 = bf16[4,36,36,256]{3,2,1,0} custom-call(%m, %x), custom_call_target="tpu_custom_call", operand_layout_constraints={bf16[82,38]{1,0}, bf16[4,38,38,256]{3,2,1,0}}, frontend_attributes={kernel_metadata={}}, metadata={op_name="jit(f)/pallas_call"}, backend_config={"custom_call_config":{"body":"TUw="}}
  %gather_fusion.3 = f32[283024,3]{0,1} fusion(%copy.37, %reshape.523), kind=kCustom, metadata={op_name="jit(f)/gather"}, backend_config={}
  %sort.1 = (s32[283024]{0}, s32[283024]{0}) sort(%reshape.4, %iota.1), dimensions={0}, to_apply=%compare
}
"""  # noqa: E501


def test_estimates_are_read_from_the_optimised_program():
    operations, unpriced = read_operations(TPU_PROGRAM)
    operations = [o for o in operations if o.cycles is not None]
    assert [(o.name, o.cycles) for o in operations] == [("fusion.1", 1323029), ("conv.2", 250), ("copy.3", 648666)]
    assert [o.group.split(" (")[0] for o in operations] == [
        "matrix products", "convolutions", "copies and transpositions",
    ]  # fmt: skip
    assert unpriced == ["fir_stream_8_times_38_5_36.1", "gather_fusion.3", "sort.1"]


def test_kernels_are_priced_by_the_bundles_of_their_loops():
    line = next(line for line in TPU_PROGRAM.splitlines() if "fir_stream" in line)
    kernel, code = read_kernel(line)
    operands = ("bf16", (82, 38)), ("bf16", (4, 38, 38, 256))
    assert kernel == Kernel(8, (38, 5, 36), ("bf16", (4, 36, 36, 256)), operands)
    assert "TUw=" in code
    operations, unpriced = read_operations(TPU_PROGRAM, {kernel: 123456})
    assert unpriced == ["gather_fusion.3", "sort.1"]
    assert [(o.cycles, o.bytes) for o in operations if o.group == KERNELS] == [(123456, 2 * 4 * 36 * 36 * 256)]
    assert len(read_operations(TPU_PROGRAM, {})[1]) == 3


# As libtpu's final listing writes loops, shortened: address, mark, depth; the branch back has six delay slots.
LISTING = """
   0x10 LB: >> { %s1 = sadd }
   0x11   : >> { %s2 = vld }
   0x1f   : >> { %80 = sbr.rel (!%p1) target bundleno = 16 (0x10), region = 84 }
   0x2a LB: >> { %s3 = sadd }
   0x2b   : >> { %81 = sbr.rel (!%p2) target bundleno = 42 (0x2a), region = 92 }
"""


def test_bundles_of_each_loop_count_as_often_as_it_goes_round():
    assert count_bundles(LISTING, [10, 3]) == 500 + 10 * (0x1F - 0x10 + 6) + 3 * (1 + 6)
    assert count_bundles(LISTING, [10]) is None  # other loops than expected: no number at all


def test_what_is_stored_is_listed_by_size_where_nothing_is_estimated():
    def f(x):
        return jnp.tanh(x @ x.T) @ x

    x = jnp.zeros((64, 32))
    largest = read_program("product", jax.jit(f).lower(x).compile()).largest
    assert largest[0].bytes == 4 * 64 * 64
    assert all(o.cycles is None and not o.shape.startswith("(") for o in largest)


def test_a_program_of_this_machine_has_flops_and_memory_but_no_estimate():
    x = jnp.zeros((64, 32))
    phase = read_program("product", jax.jit(lambda x: x @ x.T).lower(x).compile())
    assert phase.flops >= 2 * 64 * 64 * 32
    assert phase.memory_bytes >= 4 * (64 * 32 + 64 * 64)
    assert phase.cycles is None


def test_targets_are_named_by_generation_and_shape():
    assert parse_target("v5e:2x4") == ("v5e", (2, 4))
    assert parse_target("local") is None
    with pytest.raises(PreflightError, match="h100"):
        parse_target("h100")
    with pytest.raises(PreflightError, match="v3"):
        parse_target("v3:2x2")


def test_a_missing_tpu_compiler_is_one_line_that_says_what_to_install(monkeypatch):
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PreflightError, match=r"pip install libtpu"):
        prepare_environment("v5e:2x4")


def test_the_command_names_what_it_does_not_know():
    result = CliRunner().invoke(app, ["preflight", "--target", "v5e"])
    assert result.exit_code == 1
    assert "v5e:2x4" in result.output
    result = CliRunner().invoke(app, ["preflight", "--preset", "nothing"])
    assert result.exit_code == 1
    assert "nothing.yaml" in result.output


@pytest.mark.parametrize(
    "what, names",
    [
        ("discriminator", {"of its weights", "of its pictures", "R1"}),
        ("augmentation", {"forward", "forward + backward"}),
    ],
)
def test_parts_of_a_step_compile_by_themselves_with_the_batch_divided(what, names):
    generator = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)
    config = TrainConfig(
        generator, DiscriminatorConfig(16, channel_base=32, channel_max=4), batch_size=12, r1_gamma=1.0,
        augment=AugmentConfig.preset("blit"),
    )  # fmt: skip
    compiled, _ = compile_programs(config, Target("local", jax.devices()[:4], None), what)
    assert compiled.keys() == names
    for program in compiled.values():
        text = program.as_text()
        assert "f32[3,16,16,3]" in text and "f32[12,16,16,3]" not in text, "three pictures a device, nowhere all"
    with pytest.raises(PreflightError, match="generator, discriminator"):
        compile_programs(config, Target("local", jax.devices()[:4], None), "everything")
