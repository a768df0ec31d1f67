"""The labels that can be detected: the names, colours and AudioSet ids of each go out to every other room; nothing comes in."""
