"""The files of a result as resnet-sweep 0.1.0 wrote them, and what is said of files that are damaged."""

import json
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.documents import D, Damaged, Document, MetricsDocument, ModelDocument, read_document, write_document
from jobs.artifacts.final_training import is_trained, trained_trial
from jobs.artifacts.keys import METRICS, model_key
from resnet_core.load import read_description

# Two of three classes were taken for one another; of ten classes, this would fill the screen.
TEST = '"images":6,"loss":2.3158175945281982,"accuracy":0.5,"accuracy_interval":[0.1876,0.8124],"per_class_accuracy":[0.0,0.75,null],"confusion":[[0,2,0],[1,3,0],[0,0,0]]'
MODEL = '{"network":{"stem":8,"stages":[[{"inner":7,"outer":7,"stride":2,"projection":true}],[{"inner":13,"outer":13,"stride":2,"projection":true}]],"classes":3},"parameters":3924,"macs":633154,"classes":["0","1","2"],"imageSize":32,"mean":[0.3076271116733551,0.3076271116733551,0.3076271116733551],"std":[0.3251928687095642,0.3251928687095642,0.3251928687095642],"trial":{"number":0,"parameters":{"lr":0.005278851841666154,"optimizer":"sgd","nesterov":true,"batchSize":32,"clipNorm":null,"dropout":0.0}},"epoch":3,"validationAccuracy":0.10000000149011612,"trainingImages":200,"seconds":31.431029061999652,"seed":0,"precision":"bfloat16","ranks":1}'
METRICS_OF_ONE_SEED = f'{{"dataset":"scikit-learn digits","parameters":3924,"budget":10000,"macs":633154,"accuracy":{{"mean":0.5,"low":null,"high":null}},"chosen":0,"test":{{{TEST}}},"weightsSha256":"4b6a","seeds":[{{"seed":0,"validationAccuracy":null,"test":{{{TEST}}},"weightsSha256":"4b6a"}}],"environment":{{"device":"CPU, 2 threads","python":"3.11.7","resnet-sweep":"0.1.0"}}}}'
METRICS_OF_TWO_SEEDS = f'{{"dataset":"scikit-learn digits","parameters":3924,"budget":10000,"macs":633154,"accuracy":{{"mean":0.5,"low":-0.1,"high":0.9}},"chosen":0,"test":{{{TEST}}},"weightsSha256":"4b6a","testWithFlip":{{{TEST}}},"seeds":[{{"seed":0,"validationAccuracy":0.1,"test":{{{TEST}}},"weightsSha256":"4b6a","testWithFlip":{{{TEST}}}}},{{"seed":1,"validationAccuracy":0.1,"test":{{{TEST}}},"weightsSha256":"ea5c","testWithFlip":{{{TEST}}}}}],"environment":{{"device":"CPU, 2 threads","resnet-sweep":"0.1.0"}}}}'


@pytest.fixture
def study(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path)


def read(study: FolderArtifacts, text: str, kind: type[D]) -> D:
    study.write_text("document.json", text)
    return read_document(study, "document.json", kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [(MODEL, ModelDocument), (METRICS_OF_ONE_SEED, MetricsDocument), (METRICS_OF_TWO_SEEDS, MetricsDocument)],
    ids=["model", "one seed", "two seeds"],
)
def test_document_of_an_older_version_is_written_as_it_was_read(
    study: FolderArtifacts, text: str, kind: type[Document]
) -> None:
    write_document(study, "again.json", read(study, text, kind))
    assert json.dumps(study.read_json("again.json"), sort_keys=True) == json.dumps(json.loads(text), sort_keys=True)


def test_interval_is_that_of_the_seeds_or_of_the_test_images(study: FolderArtifacts) -> None:
    assert read(study, METRICS_OF_ONE_SEED, MetricsDocument).interval == (0.1876, 0.8124)
    assert read(study, METRICS_OF_TWO_SEEDS, MetricsDocument).interval == (0.0, 0.9)


def test_each_reader_takes_what_it_needs_of_a_model(study: FolderArtifacts) -> None:
    study.write_text(model_key(0), MODEL)
    assert trained_trial(study, 0) == 0
    assert (is_trained(study, 0, 1), is_trained(study, 0, 2), is_trained(study, 1, 1)) == (True, False, False)
    assert read_document(study, model_key(0), ModelDocument).trial.parameters["nesterov"] is True
    assert read_description(study.path(model_key(0))).classes == ("0", "1", "2")


def test_key_of_a_later_version_is_passed_over(study: FolderArtifacts) -> None:
    text = MODEL.replace('"seed":0,', '"seed":0,"temperature":1.5,').replace(',"ranks":1', "")
    model = read(study, text, ModelDocument)
    assert (model.seed, model.ranks) == (0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: Expecting value"),
        ("[]", "all=[]: keys with values expected: dataset, "),
        ("{}", "dataset: needed, but not given"),
        (METRICS_OF_ONE_SEED.replace('"budget":10000', '"budget":"much"'), "budget='much': a whole number expected"),
        (METRICS_OF_ONE_SEED.replace('"seed":0', '"seed":null'), "seeds.0.seed=null: a whole number expected"),
    ],
)  # fmt: skip
def test_damaged_document_is_named_with_the_first_fault(study: FolderArtifacts, text: str, message: str) -> None:
    study.write_text(METRICS, text)
    with pytest.raises(Damaged) as raised:
        read_document(study, METRICS, MetricsDocument)
    assert str(raised.value).startswith(f"{study.root}/{METRICS}: {message}")
    assert "\n" not in str(raised.value)
