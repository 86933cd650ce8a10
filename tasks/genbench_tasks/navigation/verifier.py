"""Judging a response to one state: pure, total, bounded. The only place where a rule is applied.

`action` alone decides; `current observation` and `current instruction` affect the checks alone. A
response without an answer object has no observation to be wrong: its checks are null.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genbench.task import CORRECT, TRUNCATED, Verdict
from genbench_tasks.answers import MAX_RESPONSE_CHARS, find_answer, last_line_like
from genbench_tasks.navigation.actions import Action, read_action
from genbench_tasks.navigation.prompts import (
    ACTION,
    INSTRUCTION,
    OBSERVATION,
    instruction_text,
    landmark_text,
    observation_text,
)

OUTCOMES = (
    CORRECT,
    "wrong_direction",
    "wrong_action",
    "right_in_other_words",
    "wrong_in_other_words",
    "illegal_action",
    "off_route",
    "unparsable",
    "empty",
    "too_long",
    TRUNCATED,
)
"""`right_in_other_words`: the right turn, in the words of the other rule's action space.
`off_route`: of a walker that has left the route, so that no action is the expert's."""

#: Reward tables by outcome; "other" is what a table does not name. `paper`: appendix B, where a
#: wrong observation costs more than a wrong action.
REWARDS: Mapping[str, Mapping[str, float]] = {
    "outcome": {CORRECT: 1.0, "other": 0.0, "wrong observation": 0.0},
    "paper": {CORRECT: 1.0, "other": -1.0, "wrong observation": -1.5},
}

REVISION = "You failed this step because "
_NOT_IN_SPACE = "your action is not in the action space."
FEEDBACK = {
    "wrong_direction": "your action turns another way than the one that is due.",
    "wrong_action": "your action is not the one that is due here.",
    "right_in_other_words": _NOT_IN_SPACE,
    "wrong_in_other_words": _NOT_IN_SPACE,
    "illegal_action": _NOT_IN_SPACE,
    "off_route": "you have left the route.",
    "unparsable": "no answer was found in your response.",
    "empty": "your response was empty.",
    "too_long": "your response was too long.",
    TRUNCATED: "your response was cut off at the token limit.",
}

_MOST_SHOWN = 300
_BARE = re.compile(r"(?:(?:final )?(?:action|answer)\s*[:=]\s*)?([a-z_]{4,14} ?\([^()]{0,40}\))\.?",
                   re.IGNORECASE)  # fmt: skip
_NUMBERED = re.compile(r"(?:instruction\s*)?#?([0-9]{1,3})(?:[.):]\s*(.*)|)", re.IGNORECASE)
_INTERSECTION = re.compile(r"\b(?:intersection|crossing|junction)")
_DENIED = re.compile(r"(?:\bno\b|\bnot\b|n't\b)[^.;,]*$")
_CLAUSE = 24  # characters before the word in which a denial of it is looked for


def expert_of(step: Mapping[str, Any]) -> dict[str, Any]:
    """What of a stored step is the expert's: its action, in both words where it is a turn, and
    the number of the instruction that it carries out."""
    return {
        key: step[key] for key in ("action", "absolute", "relative", "instruction") if key in step
    }


def expert_action(state: Mapping[str, Any]) -> Action | None:
    """The right action at a state in its own vocabulary; None off the route."""
    expert = state["expert"]
    if expert is None:
        return None
    if expert["action"] == "turn":
        return Action("turn", expert[state["rule"]])
    return Action(expert["action"])


def judge(
    state: Mapping[str, Any],
    response: str,
    *,
    truncated: bool,
    feedback: str,
    rewards: Mapping[str, float],
) -> Verdict:
    """The verdict on a response at a state (`Navigation.states`)."""
    fields: Mapping[str, Any] | None = None
    extraction, strict = "none", False
    action: Action | None = None
    if not response or response.isspace():
        outcome = "empty"
    elif len(response) > MAX_RESPONSE_CHARS:
        outcome = "too_long"
    else:
        answer = find_answer(response, ACTION)
        fields, extraction, strict = answer.fields, answer.extraction, answer.strict
        if fields is None and not answer.exhausted:
            bare = last_line_like(response, _BARE)
            if bare is not None:
                fields, extraction = {ACTION: bare}, "bare"
        if fields is None:
            outcome = "too_long" if answer.exhausted else "unparsable"
        else:
            said = fields[ACTION]
            action = read_action(said) if isinstance(said, str) else None
            strict = strict and action is not None and str(action) == said
            outcome = _outcome(state, action)
    checks = _checks(state, fields, action, outcome)
    if truncated and outcome != CORRECT:
        outcome = TRUNCATED
    return Verdict(
        correct=outcome == CORRECT,
        outcome=outcome,
        reward=_reward(outcome, checks, rewards),
        feedback=_feedback(outcome, checks, feedback),
        checks=checks,
        fields=_shown(fields, action),
        readings=_readings(action),
        extraction=extraction,
        strict=strict,
    )


def _outcome(state: Mapping[str, Any], action: Action | None) -> str:
    expert = state["expert"]
    if action is None:
        return "illegal_action"
    if expert is None:
        return "off_route"
    if action == expert_action(state):
        return CORRECT
    if action.kind == "turn" and action.rule != state["rule"]:
        right = expert["action"] == "turn" and action.word in (
            expert["absolute"],
            expert["relative"],
        )
        return "right_in_other_words" if right else "wrong_in_other_words"
    if action.kind == "turn" and expert["action"] == "turn":
        return "wrong_direction"
    return "wrong_action"


def _reward(outcome: str, checks: Mapping[str, bool | None], rewards: Mapping[str, float]) -> float:
    if outcome in rewards:
        return rewards[outcome]
    return rewards["wrong observation" if checks["perception"] is False else "other"]


def _feedback(outcome: str, checks: Mapping[str, bool | None], level: str) -> str:
    """True at every level, and no part of the solution."""
    if outcome == CORRECT:
        return "Correct."
    if level == "none":
        return "your answer is not correct."
    found = FEEDBACK[outcome]
    if level == "detail":
        if checks["perception"] is False:
            found += " Your observation is not the latest one that is given."
        if checks["instruction"] is False:
            found += " The instruction that you chose is not the one to be carried out now."
    return found


def _checks(
    state: Mapping[str, Any],
    fields: Mapping[str, Any] | None,
    action: Action | None,
    outcome: str,
) -> dict[str, bool | None]:
    """perception: the observation is the latest one. instruction: the one that is due was chosen.
    rule: a turn is in the words of the action space. action: it is the right one, in whichever
    words. None where the response does not say, or where nothing is right (off the route)."""
    fields, expert = fields or {}, state["expert"]
    observed, chosen = fields.get(OBSERVATION), fields.get(INSTRUCTION)
    instruction = meant = None
    if expert is not None:
        if isinstance(chosen, str | int) and not isinstance(chosen, bool):
            instruction = _chooses(state, str(chosen), expert["instruction"])
        if ACTION in fields:
            meant = outcome in (CORRECT, "right_in_other_words")
    turned = action is not None and action.kind == "turn"
    return {
        "perception": _perceives(state, observed) if isinstance(observed, str) else None,
        "rule": action.rule == state["rule"] if action is not None and turned else None,
        "instruction": instruction,
        "action": meant,
    }


def _plain(text: str) -> str:
    """Lower case, single spaces, no punctuation at the ends."""
    return " ".join(text[:4000].casefold().split()).strip(" .;,:\"'`*")


def _perceives(state: Mapping[str, Any], said: str) -> bool:
    """Whether the text has the landmarks where they are, no other of the route's, and says of the
    intersection what is true; in the words of the prompt or in others."""
    landmarks: Sequence[Sequence[str]] = state["landmarks"]
    intersection: bool = state["intersection"]
    text = _plain(said)
    if text == _plain(observation_text(landmarks, intersection)):
        return True
    if not all(_plain(landmark_text(*mark)) in text for mark in landmarks):
        return False
    seen = {_plain(name) for name, _ in landmarks}
    others = {_plain(leg["landmark"]) for leg in state["legs"] if leg["landmark"]} - seen
    if any(name in text for name in others):
        return False
    named = [
        _DENIED.search(text[max(0, match.start() - _CLAUSE) : match.start()]) is None
        for match in _INTERSECTION.finditer(text)
    ]
    return intersection == (bool(named) and all(named))


def _chooses(state: Mapping[str, Any], said: str, due: int) -> bool:
    """Whether the text is the instruction that is due: its number, its words, or both."""
    right = _plain(instruction_text(state["legs"], due, state["rule"], state["frames"]))
    text = _plain(said)
    if text == right:
        return True
    match = _NUMBERED.fullmatch(text)
    if match is None:
        return False
    return int(match[1]) == due and _plain(match[2] or "") in ("", right)


def _readings(action: Action | None) -> tuple[tuple[str, str], ...]:
    """Which vocabulary a turn was taken from: what the rules read differently."""
    if action is None or action.kind != "turn" or action.rule is None:
        return ()
    return (("turn", action.rule),)


def _shown(fields: Mapping[str, Any] | None, action: Action | None) -> dict[str, Any]:
    """What of the answer is kept in the verdict, in bounded size."""
    if not fields:
        return {}

    def text(value: Any) -> str | None:
        return value[:_MOST_SHOWN] if isinstance(value, str) else None

    return {
        "observation": text(fields.get(OBSERVATION)),
        "instruction": text(fields.get(INSTRUCTION)),
        "action": str(action) if action is not None else text(fields[ACTION]),
    }


def revision_sentences() -> list[str]:
    """The user messages after a failed attempt, at the feedback level `outcome`."""
    return [REVISION + text for text in dict.fromkeys(FEEDBACK.values())]
