"""Tools that people hand compiled models to: trainers, pipelines, wrappers, copies.

Each program runs once with the plain model and once with the compiled one; both must end
with the same numbers, and the compiled one must have hits.
"""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import magpy


def hits(compiled: Any) -> int:
    return int(magpy.stats(compiled)["hits"])


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def bert() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=50,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.BertForSequenceClassification(config)


def tokenizer() -> Any:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[PAD]": 0, "[UNK]": 1, "hello": 2, "world": 3}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=16,
    )


def both(run: Any) -> Any:
    """What run(compile) answers: (numbers, object with hits), plain and compiled."""
    plain, _ = run(lambda f: f)
    numbers, compiled = run(lambda f: magpy.compile(f, backend="eager"))
    torch.testing.assert_close(numbers, plain)
    assert hits(compiled) > 0, magpy.stats(compiled)
    return compiled


def loader(size: int = 16) -> Any:
    torch.manual_seed(1)
    data = torch.utils.data.TensorDataset(torch.randn(size, 4), torch.randn(size, 1))
    return torch.utils.data.DataLoader(data, batch_size=4)


def test_trainer_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    ids = torch.arange(8)
    mask = torch.ones(8, dtype=torch.long)
    data = [
        {
            "input_ids": ids + i % 7,
            "attention_mask": mask,
            "labels": torch.tensor(i % 2),
        }
        for i in range(24)
    ]

    def run(compiled):
        model = compiled(bert())
        settings = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            num_train_epochs=1,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = transformers.Trainer(
            model=model, args=settings, train_dataset=data, eval_dataset=data
        )
        loss = trainer.train().training_loss
        return [loss, trainer.evaluate()["eval_loss"]], model

    both(run)


def test_pipeline_of_transformers():
    transformers = pytest.importorskip("transformers")

    def run(compiled):
        model = compiled(bert().eval())
        pipe = transformers.pipeline(
            "text-classification", model=model, tokenizer=tokenizer(), device="cpu"
        )
        texts = ["hello world", "hello", "hello world", "world", "hello", "hello world"]
        return [pipe(text)[0]["score"] for text in texts], model

    both(run)


def test_generate():
    transformers = pytest.importorskip("transformers")

    def run(compiled):
        torch.manual_seed(0)
        config = transformers.LlamaConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            intermediate_size=32,
            vocab_size=50,
        )
        model = transformers.LlamaForCausalLM(config).eval()
        model.forward = compiled(model.forward)
        ids = torch.arange(5)[None]
        return model.generate(ids, max_new_tokens=8, do_sample=False), model.forward

    both(run)


def test_lightning(tmp_path):
    lightning = pytest.importorskip("lightning")

    class Lit(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self):
            super().__init__()
            self.net = net()

        def training_step(self, batch, index):
            loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def fit(model):
        trainer = lightning.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=str(tmp_path),
        )
        trainer.fit(model, loader())

    def run(compiled):
        model = Lit()
        model.net = compiled(model.net)
        fit(model)
        return [p.detach().clone() for p in model.parameters()], model.net

    both(run)
    fit(magpy.compile(Lit(), backend="eager"))


def test_accelerate():
    accelerate = pytest.importorskip("accelerate")

    def run(compiled):
        helper = accelerate.Accelerator(cpu=True)
        model = compiled(net())
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        model, optimizer, batches = helper.prepare(model, optimizer, loader())
        for x, y in batches:
            with helper.accumulate(model):
                loss = nn.functional.mse_loss(model(x), y)
                helper.backward(loss)
                helper.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        assert list(helper.get_state_dict(model)) == list(net().state_dict())
        return loss.detach(), helper.unwrap_model(model)

    both(run)


def test_peft(tmp_path):
    peft = pytest.importorskip("peft")

    def run(compiled):
        torch.manual_seed(0)
        config = peft.LoraConfig(
            r=2, target_modules=["query", "value"], lora_dropout=0.0
        )
        model = compiled(peft.get_peft_model(bert(), config))
        weights = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(weights, 0.1)
        ids = torch.arange(8)[None]
        for _ in range(4):
            model(input_ids=ids, labels=torch.tensor([1])).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        with model.disable_adapter():
            base = model(input_ids=ids).logits.detach()
        model.save_pretrained(tmp_path)
        return [base, model(input_ids=ids).logits.detach()], model

    both(run)


def test_torchmetrics():
    torchmetrics = pytest.importorskip("torchmetrics")

    def run(compiled):
        torch.manual_seed(0)
        metric = torchmetrics.classification.MulticlassAccuracy(3)
        update = compiled(metric.update)
        for _ in range(6):
            update(torch.randn(8, 3), torch.arange(8) % 3)
        return metric.compute(), update

    both(run)


def test_sentence_transformers(tmp_path):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer, models

    tokenizer().save_pretrained(tmp_path)
    bert().bert.save_pretrained(tmp_path)

    def run(compiled):
        words = models.Transformer(str(tmp_path), max_seq_length=16)
        model = SentenceTransformer(modules=[words, models.Pooling(16)], device="cpu")
        model.forward = compiled(model.forward)
        texts = ["hello world", "hello"]
        return [torch.tensor(model.encode(texts)) for _ in range(4)], model.forward

    both(run)


def test_diffusers():
    diffusers = pytest.importorskip("diffusers")

    def run(compiled):
        torch.manual_seed(0)
        unet = diffusers.UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
        ).eval()
        scheduler = diffusers.DDIMScheduler(num_train_timesteps=100)
        pipe = diffusers.DDIMPipeline(compiled(unet), scheduler)
        pipe.set_progress_bar_config(disable=True)
        seed = torch.Generator().manual_seed(0)
        image = pipe(num_inference_steps=6, generator=seed, output_type="np").images
        return torch.tensor(image), pipe.unet

    both(run)


@pytest.fixture
def one_process(tmp_path):
    """A group of one process."""
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available() or distributed.is_initialized():
        pytest.skip("no group of its own")
    store = f"file://{tmp_path}/store"
    distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def train(model: nn.Module, weights: Any) -> Any:
    optimizer = torch.optim.SGD(weights, 0.1)
    for n in range(5):
        loss = model(torch.full((2, 4), float(n))).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return loss.detach()


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "around"])
def test_data_parallel(one_process, outside):
    parallel = nn.parallel.DistributedDataParallel

    def run(compiled):
        model = compiled(parallel(net())) if outside else parallel(compiled(net()))
        return train(model, model.parameters()), model if outside else model.module

    both(run)


def test_fully_sharded(one_process):
    fsdp = pytest.importorskip("torch.distributed.fsdp")

    def run(compiled):
        model = net()
        model[0] = compiled(model[0])  # type: ignore[index, operator]
        fsdp.fully_shard(model)
        return train(model, model.parameters()), model[0]  # type: ignore[index]

    both(run)


def test_fully_sharded_inside(one_process):
    fsdp = pytest.importorskip("torch.distributed.fsdp")

    def run(compiled):
        model = net()
        fsdp.fully_shard(model)
        return train(compiled(model), model.parameters())

    torch.testing.assert_close(
        run(lambda f: magpy.compile(f, backend="eager")), run(lambda f: f)
    )


def test_distributed_tensors(one_process):
    tensors = pytest.importorskip("torch.distributed.tensor")
    mesh = tensors.init_device_mesh("cpu", (1,))
    torch.manual_seed(0)
    weight = tensors.distribute_tensor(torch.randn(4, 4), mesh, [tensors.Shard(0)])

    def run(compiled):
        fast = compiled(lambda x: (x @ weight).relu().sum())
        answers = []
        for n in range(4):
            x = torch.full((2, 4), float(n))
            x = tensors.distribute_tensor(x, mesh, [tensors.Replicate()])
            answers.append(fast(x).full_tensor())
        return answers, fast

    both(run)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)

    def forward(self, x):
        return self.l(x)


@pytest.mark.parametrize("in_place", [False, True], ids=["module", "forward"])
def test_copies(in_place):
    x = torch.ones(2, 4)
    model: Any = Layer()
    if in_place:
        model.forward = magpy.compile(model.forward, backend="eager")
    else:
        model = magpy.compile(model, backend="eager")
    want = [model(x) for _ in range(3)][-1]
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    twins = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(file, weights_only=False),
    ]
    for twin in twins:
        assert torch.equal(twin(x), want)
        twin.l.weight.data.zero_()
        for _ in range(3):
            assert torch.equal(twin(x), twin.l(x))
        assert not torch.equal(twin(x), want)
        assert hits(twin.forward if in_place else twin) > 0
    assert torch.equal(model(x), want)
    fresh = Layer()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), want)


def test_averaged_model():
    def run(compiled):
        model = compiled(net())
        average = torch.optim.swa_utils.AveragedModel(model)
        train(model, model.parameters())
        average.update_parameters(model)
        return average(torch.ones(2, 4)), model

    both(run)
