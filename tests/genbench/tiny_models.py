"""Tiny checkpoints that read images: random weights, a byte a token, the real processors."""

import json

IMAGE_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.3,
}
VISION = {"hidden_size": 32, "intermediate_size": 64, "initializer_range": 0.3}


def byte_tokenizer(*special, bos=False, **settings):
    """One token a byte; `<|endoftext|>` ends, and with `bos` a `<s>` is put before every text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={byte: i for i, byte in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken("<|endoftext|>", special=True)])
    if bos:
        core.add_special_tokens([AddedToken("<s>", special=True)])
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", core.token_to_id("<s>"))]
        )
        settings["bos_token"] = "<s>"
    core.add_special_tokens([AddedToken(token, special=True) for token in special])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>", **settings)


def _text_config(tokenizer):
    return {
        **TEXT,
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }


def llava():
    """(architecture, configuration, processor) of a LLaVA: a CLIP tower of 32 x 32 pixels, 16
    tokens an image whatever its size; its tokenizer puts BOS before a text, as its template does.
    """
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = byte_tokenizer("<image>", bos=True)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=IMAGE_TEMPLATE,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            **VISION,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
            projection_dim=32,
        ),
        text_config=LlamaConfig(**_text_config(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    return LlavaForConditionalGeneration, config, processor


def idefics():
    """As `llava`, of an Idefics3 (SmolVLM's architecture): an image is cut into tiles of 32 x 32
    pixels, each 4 tokens, with the whole beside them."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
        LlamaConfig,
    )

    places = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer = byte_tokenizer(
        "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *places
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(
            size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=IMAGE_TEMPLATE,
    )
    config = Idefics3Config(
        vision_config={
            **VISION,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config=LlamaConfig(**_text_config(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.eos_token_id,
    )
    return Idefics3ForConditionalGeneration, config, processor


def mllama():
    """As `llava`, of a Llama 3.2 Vision, the paper's: one token an image, whose pixels reach the
    answer through cross-attention."""
    from transformers import (
        MllamaConfig,
        MllamaForConditionalGeneration,
        MllamaImageProcessorPil,
        MllamaProcessor,
    )

    tokenizer = byte_tokenizer("<|image|>", bos=True)
    processor = MllamaProcessor(
        MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=2),
        tokenizer,
        chat_template=IMAGE_TEMPLATE.replace("<image>", "<|image|>"),
    )
    config = MllamaConfig(
        text_config={
            **_text_config(tokenizer),
            "cross_attention_layers": [1],
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        vision_config={
            **VISION,
            "num_hidden_layers": 1,
            "num_global_layers": 1,
            "attention_heads": 4,
            "vision_output_dim": 64,
            "image_size": 32,
            "patch_size": 8,
            "max_num_tiles": 2,
            "intermediate_layers_indices": [0],
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    return MllamaForConditionalGeneration, config, processor


QWEN_TOKENS = {
    "image": "<|image_pad|>",
    "video": "<|video_pad|>",
    "vision_start": "<|vision_start|>",
    "vision_end": "<|vision_end|>",
}


def qwen_vl():
    """As `llava`, of a Qwen2.5-VL: an image keeps its shape, a token for each 16 x 16 pixels."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2VLImageProcessorPil,
    )

    tokenizer = byte_tokenizer(*QWEN_TOKENS.values())
    vision = "<|vision_start|><|image_pad|><|vision_end|>"
    template = IMAGE_TEMPLATE.replace("{{ bos_token }}", "").replace("<image>", vision)
    processor = qwen_processor(
        Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=256, max_pixels=48 * 48),
        tokenizer,
        template,
    )
    config = Qwen2_5_VLConfig(
        vision_config={
            **VISION,
            "depth": 2,
            "num_heads": 4,
            "patch_size": 8,
            "out_hidden_size": TEXT["hidden_size"],
            "window_size": 32,
            "fullatt_block_indexes": [1],
        },
        text_config={
            **_text_config(tokenizer),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 3, 3],
            },
        },
        **{
            f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
            for name, token in QWEN_TOKENS.items()
        },
    )
    return Qwen2_5_VLForConditionalGeneration, config, processor


def qwen_processor(images, tokenizer, template):
    """Qwen2.5-VL's processor without its video processor, which needs torchvision."""
    from transformers import Qwen2_5_VLProcessor

    class Processor(Qwen2_5_VLProcessor):
        def check_argument_for_proper_class(self, name, argument):
            return type(argument)

    return Processor(images, tokenizer, None, chat_template=template)


def save_processor(folder, processor):
    """As transformers saves one; Qwen's in the older layout, in which the hub has most."""
    if type(processor).__module__.startswith("transformers."):
        processor.save_pretrained(folder)
        return
    processor.tokenizer.save_pretrained(folder)
    content = processor.image_processor.to_dict() | {"processor_class": "Qwen2_5_VLProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    template = {"chat_template": processor.chat_template}
    (folder / "chat_template.json").write_text(json.dumps(template))


def processor_of(folder):
    """The processor of a saved checkpoint, by transformers alone; images by Pillow."""
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    if (folder / "processor_config.json").is_file():
        processor = AutoProcessor.from_pretrained(folder)
        processor.image_processor = images
        return processor
    template = json.loads((folder / "chat_template.json").read_text())["chat_template"]
    return qwen_processor(images, AutoTokenizer.from_pretrained(folder), template)
