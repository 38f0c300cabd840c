"""The chain behind a version, found from either end; what a reproduction reads and refuses."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from mlflow import MlflowClient

from convoy import promotion, registry, store, tracking
from convoy.errors import NotReproducible, UsageError
from convoy.lineage import Chain, recorded, trace
from convoy.lineage_drawing import draw, inside
from convoy.project import Project
from convoy.reproduction import differences, recipe_of, reproduce
from convoy.settings import load
from tests.stores import new_store

STAMPS = tracking.Stamps("c0ffee00", False, "signs", "a" * 32 + ".dir", "b" * 64, "flow-1")


@pytest.fixture
def made(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, MlflowClient, str]:
    """A store with a run and its version, which is champion."""
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    run = _run(client, project, STAMPS, "one")
    promotion.promote(client, "signs", "1", "the <first> & only")
    return project, client, run


def _run(client: MlflowClient, project: Project, stamps: tracking.Stamps, key: str) -> str:
    experiment = store.experiment(client, project, "signs")
    parent = tracking.open_pipeline(client, experiment, "pipeline", stamps)
    recipe = {"learning_rate": 5e-05, "milestones": (0.5, 0.9), "augment.shift": 2}
    run = tracking.open_training(client, experiment, parent, key, "mlp", recipe, 7, stamps)
    tracking.log_metrics(client, run, {"test/accuracy": 0.9})
    tracking.close(client, run)
    tags = {"convoy.dataset": "signs", "convoy.dataset_version": stamps.version}
    store.model_version(client, "signs", key, "file:///nowhere", run, tags)
    return run


def test_version_alias_run_and_data_lead_to_one_chain(
    made: tuple[Project, MlflowClient, str],
) -> None:
    project, client, run = made
    (chain,) = trace(client, project, "signs@champion").chains
    assert (chain.run_id, chain.model, chain.version) == (run, "signs", "1")
    assert (chain.commit, chain.dirty, chain.flow_run) == ("c0ffee00", False, "flow-1")
    assert (chain.dataset, chain.dataset_version) == ("signs", STAMPS.version)
    assert chain.settings["augment.shift"] == "2" and chain.since_champion is None
    assert [entry.reason for entry in chain.promotions] == ["the <first> & only"]
    assert trace(client, project, run).chains[0].run_id == run
    (by_data,) = trace(client, project, "a" * 12).chains
    assert by_data.run_id == run and by_data.version == "1"


def test_what_changed_since_the_last_champion_is_said_or_why_not(
    made: tuple[Project, MlflowClient, str],
) -> None:
    project, client, _ = made
    _run(client, project, replace(STAMPS, version="d" * 32 + ".dir"), "two")
    (chain,) = trace(client, project, "signs/2").chains
    step = chain.since_champion
    assert step is not None and step.model_version == "1"
    assert "is not in DVC's cache" in step.unknown


def test_mlflow_alone_tells_the_same_chain_but_for_how_the_data_changed(
    made: tuple[Project, MlflowClient, str],
) -> None:
    project, client, _ = made
    (chain,) = trace(client, project, "signs@champion").chains
    assert recorded(client, registry.version(client, "signs", "1")) == chain
    _run(client, project, replace(STAMPS, version="d" * 32 + ".dir"), "two")
    later = recorded(client, registry.version(client, "signs", "2"))
    assert later.since_champion and later.since_champion.model_version == "1"
    assert "other data than version 1" in draw(later)


@pytest.mark.parametrize("target", ["nothing", "signs", "zz@champion", "f" * 12])
def test_what_leads_nowhere_is_refused(
    target: str, made: tuple[Project, MlflowClient, str]
) -> None:
    with pytest.raises(UsageError):
        trace(made[1], made[0], target)


def test_a_drawing_is_valid_svg_with_everything_escaped(
    made: tuple[Project, MlflowClient, str],
) -> None:
    (chain,) = trace(made[1], made[0], "signs@champion").chains
    hostile = replace(chain, run_name="<script>alert(1)</script>", dataset='"&<')
    root = ElementTree.fromstring(draw(hostile))
    texts = [found.text for found in root.iter() if found.tag.endswith("text")]
    assert "<script>alert(1)</script>" in texts and '"&<' in texts
    assert len([found for found in root.iter() if found.tag.endswith("rect")]) == 5
    (words,) = [found.text or "" for found in root.iter() if found.tag.endswith("desc")]
    assert "run: <script>alert(1)</script>" in words and "promotions:" in words
    within = inside(replace(chain, run_name="turned\u202eround"))
    assert "<style" not in within and "turned\\u202eround" in within
    bare = Chain("r" * 32, "mlp", "FINISHED", "signs", "v", "d", "c", True, "", {})
    assert len([e for e in ElementTree.fromstring(draw(bare)).iter() if "rect" in e.tag]) == 3


def test_a_recipe_is_read_back_from_a_runs_parameters(
    made: tuple[Project, MlflowClient, str],
) -> None:
    run = made[1].get_run(made[2])
    assert recipe_of(run) == {
        "learning_rate": 5e-05,
        "milestones": [0.5, 0.9],
        "augment": {"shift": 2},
    }


def test_every_recipe_of_params_yaml_is_read_back_as_it_was(
    made: tuple[Project, MlflowClient, str], repository: Path
) -> None:
    from convoy import architectures
    from convoy.recipe import Recipe

    project, client, _ = made
    experiment = store.experiment(client, project, "signs")
    for name, recipe in load(repository / "params.yaml", architectures.names()).recipes.items():
        run = tracking.open_training(client, experiment, "", name, "mlp", recipe.flat(), 1, STAMPS)
        assert Recipe.model_validate(recipe_of(client.get_run(run))) == recipe


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        (replace(STAMPS, dirty=True), "made from files that differed from commit c0ffee00"),
        (replace(STAMPS, commit=""), "does not say its convoy.commit"),
        (STAMPS, "commit c0ffee00, which made signs version 2, is neither here nor at `origin`"),
    ],
)
def test_what_cannot_be_had_again_is_refused(
    stamps: tracking.Stamps, words: str, made: tuple[Project, MlflowClient, str]
) -> None:
    project, client, _ = made
    _run(client, project, stamps, "two")
    version = registry.version(client, "signs", "2")
    with pytest.raises(NotReproducible, match=words):
        reproduce(client, project, version, deterministic=True)


def test_only_what_differs_in_the_environment_is_told() -> None:
    then, now = {"torch": "2.12", "numpy": "2.3", "cores": "2"}, {"torch": "2.13", "numpy": "2.3"}
    assert differences(then, now) == {"torch": ("2.12", "2.13"), "cores": ("2", "none")}
