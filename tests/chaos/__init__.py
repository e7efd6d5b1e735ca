"""Chaos: the whole program under load, with faults drawn at random, and the proof that no click was lost or doubled."""
