"""The card of a model that the recipe `mfcc-cnn` made."""

# ruff: noqa: E501 - the card's lines are as long as their sentences

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..model.config import ModelConfig


def card(config: ModelConfig, facts: Mapping[str, Any]) -> str:
    """Return the model's card: what it is, what it was trained on, how good it was, what it cannot do."""
    rows, people = facts["rows"], facts["recordings"]
    named = ", ".join(label.id for label in config.labels)
    measured = ", ".join(f"{name} {value:.3f}" for name, value in facts["validation"].items()) or "no validation rows"
    semitones = ", ".join(f"{value:+g}" if value else "0" for value in facts["variants_semitones"])
    exclusive = config.activation == "softmax"
    limits = (
        "Its scores share one unit of probability: in a duet the instruments compete, and silence or speech still scores."
        if exclusive
        else "Its thresholds were chosen on the validation rows, and hold for recordings like those."
    )
    return f"""# {config.id}

A recogniser of {named}: the student report's network ({config.activation}), trained by whoplays {facts["whoplays"]}.

- Reads: {config.features.feature_type} of {config.window_s:g} s windows at {config.features.sample_rate} Hz; a recording's score is the mean over windows.
- Trained on: {rows["training"]} rows of {people["training"]} recordings, pitch variants {semitones} semitones; left out {rows["skipped"]["training"]} rows that the loss cannot use.
- Settings: {json.dumps(facts["settings"])}
- Stopped after {len(facts["history"])} epochs ({facts["stopped"]}); the weights are those of epoch {facts["best_epoch"]}.
- On {rows["validation"]} validation rows of {people["validation"]} recordings, on which the epoch was chosen: {measured}.
- Test: run `whoplays evaluate`; what this card says about quality is on the optimistic side.

## Limits

{limits}
It knows nothing but the recordings it was trained on: measure it on others before relying on it there.
The licence of the training recordings is not known to whoplays; whoever passes the model on should state it here.
"""
