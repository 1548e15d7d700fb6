"""Models of `transformers` from small configurations, outputs as objects and tuples."""

import inspect

import pytest
import torch
from model_checks import check_changes, check_gradients, check_one_graph
from transformers.models.bart import modeling_bart

from magpy_experiments.models.zoo import HUGGING_FACE

TRAINED = ["bert", "gpt2", "vit"]
# LayerDrop compares a random tensor in Python; newer versions ask whether it is on.
_ASKS = "self.layerdrop > 0.0" in inspect.getsource(modeling_bart)
EAGER_IN_TRAINING = [] if _ASKS else ["bart"]
# A run that writes batch statistics is not tried again, told that a compiler is at work.
EAGER_IN_TRAINING += ["align"]


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_one_graph_and_model_output(name):
    with torch.no_grad():
        check_one_graph(HUGGING_FACE[name])


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_one_graph_and_tuple(name):
    with torch.no_grad():
        check_one_graph(HUGGING_FACE[name], return_dict=False)


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_stays_right_when_state_changes(name):
    with torch.no_grad():
        check_changes(HUGGING_FACE[name], name in EAGER_IN_TRAINING)


@pytest.mark.parametrize("name", TRAINED)
def test_gradients(name):
    check_gradients(HUGGING_FACE[name])


def test_hidden_states():
    """The first call installs hooks on the model; it may stay eager, later ones not."""
    with torch.no_grad():
        check_one_graph(HUGGING_FACE["bert"], fallbacks=True, output_hidden_states=True)


def test_cache_is_returned():
    """A generation cache is made inside: a user object that holds tensors."""
    with torch.no_grad():
        check_one_graph(HUGGING_FACE["llama"], use_cache=True)
