"""Operations of several steps in one pass over memory, for all families of engines.

`plain` has each of them in torch; `fused` in Triton, for CUDA; `choice` says which of the two a device gets.
"""
