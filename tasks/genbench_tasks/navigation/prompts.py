"""What the model is told and asked, in our own words (after the paper, appendix B).

Every variant states the same task: the instructions, the action space, what was observed and done
so far, the JSON answer. The two rules differ in the words of `turn_direction` alone. With `frames:
both` an instruction gives a turn in both vocabularies, as in the paper, so that the OOD answer is
there to copy; with `frames: matching` only in that of the action space.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from genbench_tasks.navigation.actions import RULES

FRAMES = ("both", "matching")

_TASK = (
    "You guide a walker through the streets of a city. You are given a route as a list of "
    "instructions, and what the walker has observed (O) and done (A) so far. Find the instruction "
    "that is to be carried out now, then choose the next action.\n"
)
_INSTRUCTIONS = "\nInstructions:\n"
_ACTIONS = (
    "\nActions:\n"
    "forward(): walk on, straight ahead, to the next point of the street\n"
    "turn_direction(x): turn to x and walk on to the next point that way; x is one of {words}\n"
    "stop(): end the walk, since the destination is reached\n"
)
_HISTORY = "\nObservations and actions so far:\n"
_ANSWER = (
    '\nAnswer with one JSON object: "current observation" (the latest observation), "current '
    'instruction" (the instruction to be carried out now, in its words), and "action" (the next '
    "action).\n"
)
_PICTURE = (
    "the picture. It shows four views: front (upper left), right (upper right), behind (lower "
    "left) and left (lower right)."
)
_EXAMPLE = "An answer at some other place:\n"
_REASON = (
    "\nThink first: write your reasoning in plain text for as long as you need. Then, as the very "
    "last thing, give your answer."
)

#: Prompt name -> whether the model is asked to reason first.
PROMPTS: Mapping[str, bool] = {"paper": False, "reasoned": True}

_PLACES = {"front": "in front of you", "behind": "behind you"}
NO_LANDMARK = "No landmark nearby"
AT_INTERSECTION = "you are at an intersection"
OBSERVATION, INSTRUCTION, ACTION = "current observation", "current instruction", "action"

Landmarks = Sequence[Sequence[str]]


def landmark_text(name: str, sector: str) -> str:
    """`Ruby Bank is on your left front`; without a sector the name says all."""
    if not sector:
        return name
    return f"{name} is {_PLACES.get(sector, f'on your {sector}')}"


def observation_text(landmarks: Landmarks, intersection: bool) -> str:
    """An observation in words."""
    parts = [landmark_text(name, sector) for name, sector in landmarks] or [NO_LANDMARK]
    return "; ".join([*parts, *([AT_INTERSECTION] if intersection else [])])


def instruction_texts(legs: Sequence[Mapping[str, str]], rule: str, frames: str) -> list[str]:
    """The instructions of a route: two a leg, a turn and a walk."""
    return [instruction_text(legs, number, rule, frames) for number in range(1, 2 * len(legs) + 1)]


def instruction_text(legs: Sequence[Mapping[str, str]], number: int, rule: str, frames: str) -> str:
    """One instruction of a route, numbered from 1."""
    leg = legs[(number - 1) // 2]
    if number % 2:
        if frames == "both":
            turn = f"turn {leg['relative']} to face {leg['absolute']}."
        elif rule == "absolute":
            turn = f"turn to face {leg['absolute']}."
        else:
            turn = f"turn {leg['relative']}."
        return f"First, {turn}" if number == 1 else f"T{turn[1:]}"
    where = landmark_text(leg["landmark"], leg["sector"]) if leg["landmark"] else ""
    if number == 2 * len(legs):
        goal = "Move forward until you reach your destination"
        return f"{goal}, where {where}." if where else f"{goal}."
    if where:
        return f"Move forward until you reach an intersection where {where}."
    return "Move forward until you reach the next intersection."


def answer_text(observation: str, instruction: str, action: str) -> str:
    """A response in the answer format: valid JSON in one line."""
    return json.dumps({OBSERVATION: observation, INSTRUCTION: instruction, ACTION: action})


def prompt_text(state: Mapping[str, Any], prompt: str, *, pictured: bool = False) -> str:
    """The user message that asks for the action at a state. `pictured`: what is observed now is in
    a picture before it, and the text does not say it; earlier observations it does, as in the
    paper's vision-language form."""
    instructions = instruction_texts(state["legs"], state["rule"], state["frames"])
    history = [
        f"O_{number}: {observation}\nA_{number}: {action}\n"
        for number, (observation, action) in enumerate(state["history"], 1)
    ]
    latest = _PICTURE if pictured else observation_text(state["landmarks"], state["intersection"])
    return "".join(
        [
            _TASK,
            _INSTRUCTIONS,
            *(f"{number}. {text}\n" for number, text in enumerate(instructions, 1)),
            _ACTIONS.format(words=", ".join(RULES[state["rule"]])),
            _HISTORY,
            *history,
            f"O_{len(history) + 1}: {latest}\n",
            _PICTURED_ANSWER if pictured else _ANSWER,
            _EXAMPLE,
            EXAMPLE,
            _REASON if PROMPTS[prompt] else "",
        ]
    )


EXAMPLE = answer_text(
    NO_LANDMARK, "Move forward until you reach the next intersection.", "forward()"
)
"""Of an action that both vocabularies have: it hints at neither."""

_SEEN = "; ".join(
    [*(landmark_text("NAME", one) for one in ("front", "left front", "right", "behind"))]
)
_PICTURED_ANSWER = (
    '\nAnswer with one JSON object: "current observation" (what is beside the walker now, all '
    'joined by "; ": the landmarks within 25 meters, two at most, the nearest first, each as in '
    f'"{_SEEN}"; or "{NO_LANDMARK}"; and at an intersection also "{AT_INTERSECTION}"), "current '
    'instruction" (the instruction to be carried out now, in its words), and "action" (the next '
    "action).\n"
)


def phrases(*, pictured: bool = False) -> list[str]:
    """The constant stretches of prompts and answers, between the parts that vary; with `pictured`,
    of prompts with pictures.

    A tokenizer that holds them as single tokens reads these prompts in far fewer tokens.
    """
    before, after = _ACTIONS.format(words="\x00").split("\x00")
    found = [_TASK + _INSTRUCTIONS + "1. First, turn "]
    found += [before + ", ".join(words) + after + _HISTORY + "O_1: " for words in RULES.values()]
    for reason in ("", _REASON):
        asked = _PICTURE + "\n" + _PICTURED_ANSWER if pictured else "\n" + _ANSWER
        found.append(asked + _EXAMPLE + EXAMPLE + reason)
    found += [
        " to face ",
        ". Move forward until you reach an intersection where ",
        ". Move forward until you reach the next intersection.\n",
        ". Move forward until you reach your destination, where ",
        "Move forward until you reach an intersection where ",
        "Move forward until you reach the next intersection.",
        "Move forward until you reach your destination, where ",
        ". Turn ",
        "First, turn ",
        "Turn ",
        ".\n",
        " is on your ",
        " is in front of you",
        " is behind you",
        NO_LANDMARK,
        f"; {AT_INTERSECTION}",
        "; ",
        "\nA_",
        "\nO_",
        ": ",
        "turn_direction(",
        "forward()",
        "stop()",
        f'{{"{OBSERVATION}": "',
        f'", "{INSTRUCTION}": "',
        f'", "{ACTION}": "',
        '"}',
    ]
    return list(dict.fromkeys(found))
