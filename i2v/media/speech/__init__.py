"""Texts spoken by a synthetic voice: which voices there are (`voices`), and a process with limits that speaks
(`process`) by espeak-ng (`espeak`) or Piper (`piper`), both optional.

Deliberately does not know what is done with the sound.
"""
