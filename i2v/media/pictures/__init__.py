"""Pictures as files: what they are, what in them is pixels, and those pixels as 8-bit sRGB.

All of it is made for bytes from strangers and imports nothing but Pillow and the words for errors (numpy
where a picture needs it), so that the process with limits starts quickly. It does not know where the bytes
came from or what is made of the pixels.
"""
