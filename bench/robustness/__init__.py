"""Faults, hostile input, other machines and long runs: is the answer still right?"""
