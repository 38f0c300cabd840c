"""`convoy architectures`: all networks in a table, one with what may be chosen of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convoy.architectures import describe, names
from tests.terminal import convoy, environment

# Loads the command line in a process that must not load what runs need.
CODE = """
import sys
from convoy.cli import main
try:
    main()
finally:
    loaded = sorted({"prefect", "mlflow", "dvc", "pytorch_lightning"} & set(sys.modules))
    sys.stderr.write(repr(loaded))
"""


@pytest.fixture(scope="module")
def project(_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the networks were listed once."""
    root = tmp_path_factory.mktemp("listed") / "project"
    shutil.copytree(_clone, root)
    assert convoy(root, "architectures").code == 0
    return root


def test_the_table_has_every_network_and_fits_a_terminal_of_80(project: Path) -> None:
    done = convoy(project, "architectures", more={"COLUMNS": "80"})
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    assert "…" not in done.out
    rows = {line.split()[0]: line for line in done.out.splitlines() if line.startswith(" ")}
    for name in names():
        cells = rows[name].split()
        assert len(cells) == 9, "each column has its value, or a dash"
        assert cells[5] == str(describe(name).smallest)
    assert rows["vgg16"].split()[1:5] == ["3x224x224", "138,357,544", "15,470", "73.4"]
    assert rows["googlenet"].split()[2] == "7,005,832", "without what only training uses"


def test_the_table_names_each_paper_once_the_oldest_first(project: Path) -> None:
    out = convoy(project, "architectures", more={"COLUMNS": "120"}).out
    years = [int(line[:4]) for line in out.splitlines() if re.match(r"\d{4}  ", line)]
    assert years == sorted(years) and years[0] == 1986
    for name in names():
        assert out.count(f"{describe(name).year}  {describe(name).paper}") == 1


def test_each_accuracy_has_its_source_below(project: Path) -> None:
    out = convoy(project, "architectures", more={"COLUMNS": "120"}).out
    marks = re.findall(r"^([a-z])  ((?:ImageNet|CIFAR-10|MNIST): .+)$", out, re.M)
    used = {line.split()[-1] for line in out.splitlines() if line.startswith(" ") and "x" in line}
    assert used == {mark for mark, _ in marks}
    assert ("ImageNet: torchvision's weights IMAGENET1K_V1, one centre crop") in dict(
        marks
    ).values()


def test_one_network_comes_with_its_options_and_weights(project: Path) -> None:
    done = convoy(project, "architectures", "resnet50", more={"COLUMNS": "80"})
    assert (done.code, done.err) == (0, "")
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80
    assert "He et al., Deep residual learning for image recognition (2015)" in done.out
    assert "25,557,032" in done.out and "4,089,184,256" in done.out
    assert re.search(r"^ *shortcut +B +A or B or C", done.out, re.M)
    assert re.search(r"^ *batch_norm +true +true or false", done.out, re.M)
    assert "123.675, 116.28, 103.53" in done.out
    assert "--set recipes.resnet50.options.shortcut=" in done.out


def test_a_network_without_published_weights_says_so(project: Path) -> None:
    out = convoy(project, "architectures", "lenet5").out
    assert "none are published" in out and "torchvision" not in out


def test_json_has_all_numbers(project: Path) -> None:
    found = convoy(project, "architectures", "--json").json()
    assert tuple(found) == names()
    assert found["lenet5"]["task"] == {"channels": 1, "side": 32, "classes": 10}
    assert found["lenet5"]["parameters"] == 61_706
    assert found["lenet5"]["options"]["pool"] == {
        "default": "average",
        "allowed": "max or average",
    }
    alone = convoy(project, "architectures", "vgg16", "--json").json()
    assert alone == {"vgg16": found["vgg16"]}


def test_an_unknown_network_is_refused_with_the_nearest(project: Path) -> None:
    done = convoy(project, "architectures", "lenet")
    assert done.code == 2
    assert done.sentence == "unknown architecture 'lenet': did you mean 'lenet5'?"


def test_they_are_listed_outside_of_a_project_too(repository: Path, tmp_path: Path) -> None:
    found = convoy(repository, "architectures", "lenet5", "--json", folder=tmp_path).json()
    assert found["lenet5"]["year"] == 1998
    assert list(tmp_path.iterdir()) == []


def test_the_list_loads_nothing_that_only_runs_need(project: Path) -> None:
    (project / ".convoy" / "architectures.json").unlink()
    done = subprocess.run(
        [sys.executable, "-c", CODE, "architectures", "mlp"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == "[]"
    assert (project / ".convoy" / "architectures.json").is_file()
