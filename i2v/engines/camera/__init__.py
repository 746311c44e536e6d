"""A camera's move over a photograph: what a prompt or numbers ask for, its path, and sharp frames along it.

    prompt, options -> resolve -> Move -> path -> views -> render -> frames

`move` says how far the camera moves, `phrases` reads that from a prompt, `options` and `resolve` let fields
of a request decide instead. `path` fits the move into the photograph. `render` makes the frames: `level`
keeps the photograph at a density just above the video's, `resample` scales it, `turn` rotates it, and `light`
is the transfer function of sRGB. No torch. Deliberately does not know engines, jobs, files or pages.
"""
