"""How the shipped model is made: recorded notes, MIDI, soundfonts and a teacher -> material -> a trained, calibrated model."""
