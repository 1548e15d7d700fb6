"""Own definitions of vision and sequence models: one graph each, equal to eager."""

import pytest
import torch
from model_checks import check_changes, check_gradients, check_one_graph

from magpy_experiments.models.zoo import OWN

# These run a backward pass beside eager as well.
TRAINED = ["resnet18", "unet", "lstm", "lstm_by_hand", "tridentnet", "gru"]


@pytest.mark.parametrize("name", OWN)
def test_one_graph(name):
    with torch.no_grad():
        check_one_graph(OWN[name])


@pytest.mark.parametrize("name", OWN)
def test_stays_right_when_state_changes(name):
    with torch.no_grad():
        check_changes(OWN[name])


@pytest.mark.parametrize("name", TRAINED)
def test_gradients(name):
    check_gradients(OWN[name])
