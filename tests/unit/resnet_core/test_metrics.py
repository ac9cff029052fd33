import pytest
import torch
from sklearn.metrics import confusion_matrix

from resnet_core.metrics import compute_metrics, mean_interval, wilson_interval


def test_metrics_agree_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 4, generator=generator), torch.randint(0, 4, (200,), generator=generator)
    metrics = compute_metrics(logits, labels)
    assert metrics.confusion == confusion_matrix(labels, logits.argmax(1)).tolist()
    assert metrics.accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    diagonal = [metrics.confusion[i][i] / sum(metrics.confusion[i]) for i in range(4)]
    assert metrics.per_class_accuracy == pytest.approx(diagonal)
    assert metrics.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item())


def test_class_without_images_has_no_accuracy() -> None:
    metrics = compute_metrics(torch.eye(3)[:2], torch.tensor([0, 1]))
    assert metrics.per_class_accuracy == [1.0, 1.0, None]


def test_wilson_interval_equals_published_values() -> None:
    low, high = wilson_interval(81, 263)  # Newcombe 1998, table I
    assert (low, high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert wilson_interval(0, 20)[0] == pytest.approx(0)
    assert wilson_interval(20, 20)[1] == pytest.approx(1)


def test_interval_of_a_mean_is_that_of_students_t() -> None:
    assert mean_interval([0.5]) == (0.5, None, None)
    mean, low, high = mean_interval([0.9, 0.92, 0.94])
    assert (mean, low, high) == (
        pytest.approx(0.92),
        pytest.approx(0.92 - 4.302653 * 0.02 / 3**0.5),
        pytest.approx(0.96968, abs=1e-5),
    )
