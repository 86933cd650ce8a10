"""Loading a checkpoint and asking it, as the runner does; and a plain reference to compare with."""

import json
from dataclasses import dataclass
from functools import cache
from random import Random

import genbench
from genbench.models import find_backend
from genbench.models.interface import LoadOptions, Request
from genbench.task import Message


def identify(folder, backend="hf", **options):
    chosen = LoadOptions(**{"device": "cpu", "dtype": "float32", **options})
    return find_backend(str(folder), backend).identify(str(folder), chosen)


def load(folder, backend="hf", **options):
    """The loaded model, on the CPU in float32."""
    chosen = LoadOptions(**{"device": "cpu", "dtype": "float32", **options})
    found = find_backend(str(folder), backend)
    return found.load(found.identify(str(folder), chosen), chosen)


def user(text):
    return (Message("user", text),)


def requests(prompts, **settings):
    """Requests in the order of their prompts; by default the first turn, of at most 16 tokens."""
    chosen = {"turn": 0, "max_new_tokens": 16, **settings}
    return [
        Request(episode=f"e{number}", order=number, messages=messages, **chosen)
        for number, messages in enumerate(prompts)
    ]


def answers(model, asked):
    """The responses, in the order of the requests."""
    model.submit(asked)
    found = {}
    while len(found) < len(asked):
        found |= {request.episode: response for request, response in model.receive()}
    return [found[request.episode] for request in asked]


def prompts(number):
    """Prompts of many lengths: questions of a task, then arbitrary text."""
    task = genbench.load_task("gp-ood-rule", limit=number)
    stream = Random(0)
    found = []
    for instance in task.splits["ood"].instances()[: number // 2]:
        found.append(tuple(task.messages(instance))[-1:])
    while len(found) < number:
        text = "".join(chr(stream.randint(32, 126)) for _ in range(stream.randint(1, 90)))
        found.append(user(text))
    return found


def short_prompts(number):
    """Prompts that fit the short context of the GPT-2."""
    stream = Random(1)
    return [
        user("".join(chr(stream.randint(32, 126)) for _ in range(stream.randint(1, 90))))
        for _ in range(number)
    ]


def change_json(path, **changes):
    """Set keys of a JSON file; None takes one out."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def change_weights(folder, change):
    """Rewrite the weights after `change(weights)`."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = {name: tensor.clone() for name, tensor in load_file(path).items()}
    changed = change(weights)
    save_file(weights if changed is None else changed, path, metadata={"format": "pt"})


@dataclass(frozen=True)
class Plain:
    """What `transformers` says to one prompt, alone."""

    text: str
    ids: list[int]
    prompt_tokens: int
    generated_tokens: int
    finish_reason: str
    logprob: float


@cache
def tokenizer_of(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def raw_text(folder, ids):
    """The text of generated ids, special tokens included."""
    return tokenizer_of(folder).decode(ids, skip_special_tokens=False)


def plain_answers(folder, asked, max_new_tokens=16):
    """Greedy answers by transformers' own means: one prompt at a time, without padding."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for messages in asked:
        if tokenizer.chat_template:
            chat = [{"role": message.role, "content": message.text} for message in messages]
            ids = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )["input_ids"]
        else:
            text = "".join(f"{message.text}\n\n" for message in messages)
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
        size = ids.shape[1]
        with torch.inference_mode():
            whole = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.eos_token_id,
            )
            scores = model(whole).logits[0, size - 1 : -1]
        new = whole[0, size:]
        logprobs = torch.log_softmax(scores, dim=-1).gather(1, new[:, None])
        found.append(
            Plain(
                text=tokenizer.decode(new, skip_special_tokens=True),
                ids=new.tolist(),
                prompt_tokens=size,
                generated_tokens=len(new),
                finish_reason="stop" if new[-1] == tokenizer.eos_token_id else "length",
                logprob=float(logprobs.sum()),
            )
        )
    return found
