import json
from itertools import product

import pytest
import torch

from resnet_core.arithmetic import Arithmetic

ALL = [Arithmetic(*values) for values in product((torch.float32, torch.bfloat16), *[(False, True)] * 3)]


@pytest.mark.parametrize("arithmetic", ALL, ids=str)
def test_record_is_plain_and_says_all(arithmetic: Arithmetic) -> None:
    record = arithmetic.to_record()
    assert Arithmetic.from_record(json.loads(json.dumps(record, allow_nan=False))) == arithmetic
    assert sum(other.to_record() == record for other in ALL) == 1


def test_the_reason_makes_no_difference() -> None:
    assert Arithmetic(torch.bfloat16, reason="asked for") == Arithmetic(torch.bfloat16, reason="faster")


def test_text_names_what_is_computed_and_why() -> None:
    assert str(Arithmetic(torch.bfloat16, reason="asked for")) == "bfloat16 (asked for)"
    both = Arithmetic(torch.float32, winograd=True, grouped_batch_norm=True, reason="faster")
    assert str(both) == "float32 with Winograd's convolutions and batch norm by groups of pixels (faster)"
    product = Arithmetic(torch.bfloat16, product_gradient=True, reason="faster")
    assert str(product) == "bfloat16 with weight gradients as products (faster)"


def test_autocast_is_that_of_the_precision() -> None:
    for arithmetic in ALL:
        with arithmetic.autocast(torch.device("cpu")):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == arithmetic.precision
