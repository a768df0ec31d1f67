"""Public collections come in; plans and audio files to build a data set from go out."""
