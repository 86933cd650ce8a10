"""Recipes: one schema, told apart by `method`. Data alone; `recipes.py` finds and reads them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Dtype = Literal["float16", "bfloat16", "float32"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelRecipe(_Strict):
    """A model trained from scratch: a transformers configuration and a tokenizer factory."""

    model_type: str = "llama"
    config: dict[str, Any]
    tokenizer: str = Field(description="module:function that builds the tokenizer")
    processor: str | None = Field(
        default=None,
        description="for an image-text model: module:function that makes its processor, called "
        "with the tokenizer, to which it may add tokens",
    )
    language_model: str | None = Field(
        default=None,
        description="a checkpoint that an image-text model's language part starts from",
    )
    save_dtype: Dtype = "float16"

    @model_validator(mode="after")
    def _of_images(self) -> ModelRecipe:
        if self.language_model and not self.processor:
            raise ValueError("`language_model` is of an image-text model, which has a `processor`")
        return self


class ParentRecipe(_Strict):
    """The checkpoint that training goes on from, and how it is loaded and saved."""

    base: str | None = Field(
        default=None, description="a directory, demo/<name> or a hub id; `--model` overrides it"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="of the weights in training; auto: float32, or bfloat16 under LoRA on a GPU",
    )
    save_dtype: Literal["parent", "float16", "bfloat16", "float32"] = "parent"
    kind: Literal["causal-lm", "image-text"] = Field(
        default="causal-lm",
        description="image-text: a vision-language model, trained on text alone",
    )
    attn_implementation: str | None = None
    chat_template: str | None = Field(
        default=None,
        description="for a parent without one, and saved with what is trained: a file of Jinja, or "
        "`plain`, which writes prompts as a run without a template does",
    )
    trust_remote_code: bool = False


class DataRecipe(_Strict):
    """Training problems: a factory `module:Class`, called with `seed` and the settings.

    For `base` it has `batches(size)` and `record()`; for `sft` and `rl` it is a
    `genbench.training.data.TrainingData`.
    """

    factory: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Schedule(_Strict):
    """Optimiser and schedule: AdamW, linear warm-up, constant, linear decay to zero."""

    steps: int = Field(ge=1)
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(default=50, ge=0)
    decay_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    adam_beta2: float = Field(default=0.98, gt=0, lt=1)
    save_every: int = Field(default=0, ge=0, description="0: the last step alone")


class TuningSchedule(_Strict):
    """Optimiser (AdamW), schedule and checkpoints of a training that starts from a checkpoint."""

    steps: int = Field(ge=1, description="optimiser steps")
    batch_size: int = Field(ge=1, description="a step, over all devices: examples, or prompts (rl)")
    micro_batch: int | None = Field(
        default=None,
        ge=1,
        description="sequences a forward pass on one device; by default the whole batch",
    )
    learning_rate: float = Field(gt=0)
    scheduler: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    adam_beta2: float = Field(default=0.999, gt=0, lt=1)
    checkpoints: tuple[int, ...] = Field(
        default=(), description="the steps whose checkpoints are kept; the last one always is"
    )
    save_every: int = Field(default=0, ge=0, description="keeps every such step's checkpoint too")
    resume_every: int = Field(
        default=50, ge=1, description="steps between the states that a killed training resumes from"
    )

    @model_validator(mode="after")
    def _steps_exist(self) -> TuningSchedule:
        outside = [step for step in self.checkpoints if not 1 <= step <= self.steps]
        if outside:
            raise ValueError(f"checkpoints: {outside} are no steps of a training of {self.steps}")
        return self

    @property
    def kept_steps(self) -> list[int]:
        """The steps whose checkpoints are kept, in order."""
        every = range(self.save_every, self.steps, self.save_every) if self.save_every else ()
        return sorted({*self.checkpoints, *every, self.steps})


class Monitoring(_Strict):
    """Greedy success on development problems under the training rule, while training.

    They are the ID split of `task`, drawn with `settings`; training refuses to start where one
    of them belongs to a problem of the task's own (test) splits.
    """

    task: str
    settings: dict[str, Any]
    every: int = Field(default=50, ge=1, description="steps")
    instances: int = Field(default=64, ge=1)
    max_new_tokens: int | None = Field(default=None, ge=1, description="the task's, by default")


class Logging(_Strict):
    report_to: tuple[Literal["tensorboard", "wandb"], ...] = ()
    every: int = Field(default=10, ge=1, description="steps")

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, raw: Any) -> Any:
        """`report_to: tensorboard`, `report_to: none` and a list all serve."""
        named = raw.get("report_to") if isinstance(raw, dict) else None
        if isinstance(named, str):
            return {**raw, "report_to": [] if named == "none" else [named]}
        return raw


class Lora(_Strict):
    """Low-rank adapters (peft), merged in checkpoints; QLoRA with `quantise: 4bit`."""

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"
    quantise: Literal["none", "4bit"] = "none"


class SFTSettings(_Strict):
    loss: Literal["nll", "dft"] = Field(
        default="nll", description="dft: each token's loss times its probability (Wu et al. 2025)"
    )
    completion_only: bool = Field(default=True, description="no loss on the prompt")


class RLSettings(_Strict):
    algorithm: Literal["grpo", "rloo"] = "grpo"
    num_generations: int = Field(default=8, ge=2, description="samples a prompt")
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    beta: float = Field(default=0.0, ge=0, description="weight of the KL penalty; 0: no reference")
    reward: Literal["outcome", "paper"] = Field(
        default="outcome", description="1 or 0; or the environment's reward table `paper`"
    )
    max_completion_length: int = Field(default=256, ge=1, description="tokens a turn")
    turns: int = Field(default=1, ge=1, description="attempts, each after the verifier's feedback")
    vllm: Literal["auto", "on", "off"] = Field(
        default="auto", description="auto: where vllm is installed and a CUDA device is there"
    )

    @field_validator("vllm", mode="before")
    @classmethod
    def _yaml_switch(cls, raw: Any) -> Any:
        """YAML 1.1 takes a bare `on` or `off` for a truth value."""
        return {True: "on", False: "off"}.get(raw, raw) if isinstance(raw, bool) else raw

    @model_validator(mode="after")
    def _turns_need_grpo(self) -> RLSettings:
        if self.turns > 1 and self.algorithm != "grpo":
            raise ValueError("turns: TRL's RLOO has no hook for many turns; use algorithm: grpo")
        return self


class OwnSamples(_Strict):
    """Rejection sampling before the training: what `--model` itself answers right."""

    factory: str
    settings: dict[str, Any] = Field(default_factory=dict)
    problems: int = Field(default=512, ge=1)
    per_problem: int = Field(default=8, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    max_new_tokens: int = Field(default=256, ge=1)


class _Common(_Strict):
    name: str
    summary: str
    hardware: str
    seed: int = 0


class BaseRecipe(_Common):
    """One training from scratch."""

    method: Literal["base"]
    model: ModelRecipe
    data: DataRecipe
    schedule: Schedule


class TuningRecipe(_Common):
    """What SFT and RL share."""

    model: ParentRecipe = ParentRecipe()
    data: DataRecipe
    schedule: TuningSchedule
    monitoring: Monitoring | None = None
    logging: Logging = Logging()
    lora: Lora | None = None
    gradient_checkpointing: bool = False
    trainer: str = Field(
        default="trl",
        description="`trl`, or module:function of another trainer, called with a Plan and a Job",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="further fields of TRL's SFTConfig, GRPOConfig or RLOOConfig",
    )


class SFTRecipe(TuningRecipe):
    """One supervised fine-tuning."""

    method: Literal["sft"]
    sft: SFTSettings = SFTSettings()
    own_samples: OwnSamples | None = None


class RLRecipe(TuningRecipe):
    """One training by reinforcement."""

    method: Literal["rl"]
    rl: RLSettings = RLSettings()

    @model_validator(mode="after")
    def _whole_batches(self) -> RLRecipe:
        rows = self.schedule.batch_size * self.rl.num_generations
        if rows % (self.schedule.micro_batch or rows):
            raise ValueError(
                f"schedule.micro_batch: {self.schedule.micro_batch} does not divide the "
                f"{self.schedule.batch_size} prompts x {self.rl.num_generations} samples of a step"
            )
        return self


Recipe = BaseRecipe | SFTRecipe | RLRecipe
METHODS: dict[str, type[BaseRecipe] | type[SFTRecipe] | type[RLRecipe]] = {
    "base": BaseRecipe,
    "sft": SFTRecipe,
    "rl": RLRecipe,
}
