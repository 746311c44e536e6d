"""Sound files and what is made of them: read from strangers (`files`), brought to a loudness
(`loudness`), fitted to a clip (`track`), put together (`mix`); all by ffmpeg's `filters`.

ffmpeg is run by `i2v.media.video.program`. Deliberately does not know frames, nor where a clip's sound goes.
"""
