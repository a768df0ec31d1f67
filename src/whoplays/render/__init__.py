"""Labelled music from recorded notes, MIDI and soundfonts: the material that the model that ships was trained on."""
