"""dvc.yaml says the truth: every stage lists the parameters it reads and the code it runs, no more and no less."""

import ast
from functools import cache
from pathlib import Path

import pytest

from sg3x.config import Params, declared_code, declared_params
from sg3x.config import stages as declared_stages
from sg3x.files.yaml12 import parse_yaml

ROOT = Path(__file__).parents[2]
PIPELINE = parse_yaml((ROOT / "dvc.yaml").read_text())
STAGES = {name: entry.get("do", entry) for name, entry in PIPELINE["stages"].items()}


@pytest.mark.parametrize("stage", STAGES)
def test_declared_parameters_are_keys_of_params_yaml(stage):
    for key in declared_params(stage):
        section: type = Params
        for part in key.split("."):
            found = {field.alias or name: field.annotation for name, field in section.model_fields.items()}
            assert part in found, key
            section = found[part]


def test_every_stage_is_known_and_has_a_script():
    assert declared_stages() == STAGES
    scripts = {p.stem for p in (ROOT / "stages").glob("*.py")} - {"__init__", "common"}
    assert scripts == STAGES.keys()


# Code that only watches a stage: it decides nothing of what the stage is for, and a change of it is not worth a rerun.
WATCHES = {"train": ROOT / "sg3x" / "metrics"}


@cache
def imported_files(path: Path) -> frozenset[Path]:
    """Project files that `path` imports, those inside functions too."""
    found = set()
    tree = ast.parse(path.read_text())
    # `if TYPE_CHECKING:` never runs.
    unrun = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in (node for node in ast.walk(tree) if node not in unrun):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.parent.relative_to(ROOT).parts
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] not in ("sg3x", "stages"):
                continue
            for end in range(1, len(parts) + 1):  # importing a.b.c runs the __init__ of a and of a.b too
                place = ROOT.joinpath(*parts[:end])
                found |= {f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()}
    return frozenset(found)


def closure(script: Path, watching: Path | None = None) -> set[Path]:
    files, new = {script}, {script}
    while new:
        new = {f for file in new for f in imported_files(file) if watching not in f.parents} - files
        files |= new
    return files


@pytest.mark.parametrize("stage", STAGES)
def test_code_dependencies_are_the_imports(stage):
    script = ROOT / "stages" / f"{stage}.py"
    # Package docstrings alone; not worth a rerun.
    needed = closure(script, WATCHES.get(stage)) - {ROOT / "stages" / "__init__.py", ROOT / "sg3x" / "__init__.py"}
    needed = {f for f in needed if not (f.name == "__init__.py" and len(ast.parse(f.read_text()).body) <= 1)}
    listed = [ROOT / d for d in STAGES[stage]["deps"] if d.startswith(("stages/", "sg3x/"))]
    missing = {f for f in needed if not any(f == d or d in f.parents for d in listed)}
    assert not missing, f"{stage} runs {sorted(str(f.relative_to(ROOT)) for f in missing)} without depending on it"
    idle = {d for d in listed if not any(f == d or d in f.parents for f in needed)}
    assert not idle, f"{stage} depends on {sorted(str(d.relative_to(ROOT)) for d in idle)} without running it"


def test_a_change_to_how_sheets_and_films_look_scores_nothing_again():
    drawn = {
        stage: [d for d in STAGES[stage]["deps"] if d.startswith("sg3x/render")] for stage in ("score", "evaluate")
    }
    assert drawn == {"score": ["sg3x/render/images.py", "sg3x/render/sampling.py"], "evaluate": []}


def test_commands_run_the_checkout_they_are_in():
    for name, stage in STAGES.items():
        assert stage["cmd"].startswith(f"python3 -m stages.{name}"), "a script path would import the installed sg3x"


def test_no_command_holds_a_parameter():
    """Commands go to a shell: what params.yaml says must not get there."""
    assert not [name for name, stage in STAGES.items() if "${" in stage["cmd"]]


def test_segment_keys_are_quoted_in_every_preset():
    for path in [ROOT / "params.yaml", *(ROOT / "presets").glob("*.yaml")]:
        segments = parse_yaml(path.read_text())["segments"]
        assert segments and all(isinstance(key, str) for key in segments), path


def test_outputs_are_ignored_by_git_from_the_start():
    ignored = (ROOT / ".gitignore").read_text().split()
    for place in ("data/raw", "data/arrays", "data/reference", "checkpoints", "models/generator", "samples"):
        assert f"/{place}" in ignored


def test_a_segments_fingerprint_covers_the_code_that_dvc_compares():
    listed = {d for d in STAGES["train"]["deps"] if d.startswith(("stages/", "sg3x/"))}
    assert listed == set(declared_code("train")) and "sg3x/training" in listed


def test_how_training_runs_is_compared_by_the_report_alone():
    """Which lists all of params.yaml; a changed launcher must not train a segment again."""
    assert [name for name, stage in STAGES.items() if "params.yaml" in stage["deps"]] == ["report"]
    assert not [key for stage in STAGES for key in declared_params(stage) if key.split(".")[0] == "run"]
