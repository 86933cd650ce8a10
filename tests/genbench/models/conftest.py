"""More tiny checkpoints: another architecture with a template, one without, one with BOS."""

import pytest
from tiny_models import byte_tokenizer


@pytest.fixture(scope="session")
def tiny_qwen(save_checkpoint):
    """A Qwen3 with the tokenizer of the demo models."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from genbench_tasks.general_points.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=1024,
        initializer_range=0.3,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return save_checkpoint(
        "tiny-qwen", Qwen3ForCausalLM, config, tokenizer, likely=[tokenizer.eos_token_id]
    )


@pytest.fixture(scope="session")
def tiny_gpt2(save_checkpoint):
    """A GPT-2: learned positions for 256 tokens, no chat template, no padding token."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = byte_tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=256,
        initializer_range=0.3,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return save_checkpoint(
        "tiny-gpt2", GPT2LMHeadModel, config, tokenizer, likely=[tokenizer.eos_token_id]
    )


BOS_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '[' + message['role'] + ']' "
    "+ message['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}[assistant]"
    "{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_bos(save_checkpoint):
    """A Llama whose tokenizer puts `<s>` before every text, and whose template writes it too."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer(bos=True, chat_template=BOS_TEMPLATE)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return save_checkpoint(
        "tiny-bos", LlamaForCausalLM, config, tokenizer, likely=[tokenizer.eos_token_id]
    )


@pytest.fixture(scope="session", params=["llama", "qwen", "gpt2", "bos"])
def checkpoint(request):
    """Each of the tiny checkpoints in turn."""
    return request.getfixturevalue(f"tiny_{request.param}")
