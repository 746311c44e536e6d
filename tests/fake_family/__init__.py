"""A family of engines that differs from I2VGen-XL in all that an engine may differ in, for the contract.

No prompt and no guidance, options of its own, 16 latent channels, four frames a latent and 4n + 1 of them,
sizes in multiples of 32, sharded weights, bfloat16 on CUDA, sound, and a memory model whose stages hold other
weights. What it computes is small and of no use, but it is computed: the picture, the seed, the options and
the weights all bear on the frames.
"""
