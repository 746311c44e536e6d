"""The English sentence for every error and notice, by code, and hints where it does not say what to do.

One table, so that a code without a sentence cannot exist. What an error is, `errors` says.
"""

from __future__ import annotations

MESSAGES: dict[str, str] = {
    # request
    "request.unknown_field": "Unknown field {field!r}. Did you mean {nearest!r}? Known fields: {allowed}.",
    "request.invalid": "{field} must be {allowed} (got {value}).",
    "request.missing_field": "{field} is required.",
    "request.half_size": "height and width go together: set both, or use resolution instead.",
    "request.two_sizes": (
        "Set either resolution ({resolution}) or height and width ({height} x {width}), not both."
    ),
    "request.blank_prompt": (
        "The prompt is empty. Describe what should happen, for example 'the camera pans left'."
    ),
    "request.not_supported": "{title} does not support {field} (got {value}).",
    "request.unknown_engine": "There is no model {value}. Set engine to one of: {allowed}.",
    # notices about the request
    "request.untrained_frames": (
        "{title} was trained on {low} to {high} frames; with {num_frames} frames the motion may drift."
    ),
    "request.scaled_up": (
        "{title} generates {generated_width} x {generated_height} pixels; the video is enlarged to {width} x"
        " {height}."
    ),
    "request.upscaled": (
        "{title} generates {generated_width} x {generated_height} pixels; {upscaler} enlarges the frames to"
        " {width} x {height}."
    ),
    "upscale.missing": (
        "{upscaler} is not installed, so frames are enlarged by plain resampling, which is less sharp. To"
        " install it: bash scripts/setup.sh {extra}"
    ),
    "upscale.unusable": (
        "{upscaler} does not work on this machine ({reason}). Reinstall it (bash scripts/setup.sh {extra}),"
        " or set output.upscaler: lanczos to use plain resampling."
    ),
    "request.size_changed": (
        "The video is {width} x {height} instead of {asked_width} x {asked_height}, because H.264 needs even"
        " sides."
    ),
    "request.size_rounded": (
        "{width} x {height} is not a multiple of {multiple}, so the model generates {generated_width} x"
        " {generated_height} pixels, which are then scaled."
    ),
    "request.target_fps_clamped": (
        "The model was trained on {low} to {high} frames per second, so it is conditioned on {target_fps}."
        " The video plays at {fps}."
    ),
    "compile.failed": (
        "torch.compile does not work on this machine ({reason}), so the clip was made without it."
    ),
    "speed.not_measured": (
        "Fast mode has not been verified for these weights at this size, length, guidance and step count, so"
        " every step is run."
    ),
    "speed.unproven": (
        "Fast mode has not been verified for these weights at this size, length, guidance and step count."
        " Compare the result with speed: exact."
    ),
    "request.gradient_checkpointing": (
        "gradient_checkpointing only saves memory in training, so it has no effect here. To save memory,"
        " lower the resolution, use fewer frames, or decode one frame at a time (engine.decode_chunk: 1)."
    ),
    "prompt.syntax": (
        "{pieces} in the prompt is read as plain text. Weights, LoRAs, alternatives and flags from other"
        " programs have no effect."
    ),
    "prompt.negative_syntax": (
        "{pieces} in the negative prompt is read as plain text. Weights, LoRAs, alternatives and flags from"
        " other programs have no effect."
    ),
    "prompt.truncated": (
        "The prompt is longer than the {limit} tokens that the model reads. This was cut off: {removed}"
    ),
    "prompt.negative_truncated": (
        "The negative prompt is longer than the {limit} tokens that the model reads. This was cut off:"
        " {removed}"
    ),
    # advice: the request is fine as it is, but the clip may disappoint
    "advice.small_picture": (
        "The picture is only {size} pixels. Clips look better from {wanted} pixels on each side."
    ),
    "advice.blurred_picture": (
        "The picture looks blurry: it has no more detail than one of {side} pixels. A sharper one makes a"
        " better clip."
    ),
    "advice.text_in_picture": (
        "The picture seems to contain text, and letters warp when they move. Crop the text out, or use"
        " another picture."
    ),
    "advice.long_prompt": (
        "The prompt has about {tokens} tokens, but the model only reads the first {limit}. Put what matters"
        " most first."
    ),
    "advice.abstract": "{words}: this describes no motion. Say what moves, in which direction and how fast.",
    "advice.many_actions": (
        "The prompt has about {count} actions. Clips come out better with {allowed} or fewer."
    ),
    "advice.language": "{title} only understands {languages}. Translate the prompt.",
    "advice.high_guidance": (
        "Guidance above {limit} distorts the picture (yours is {guidance_scale}). 6 to 9 is usual."
    ),
    "advice.no_guidance": (
        "{title} is made to run at guidance {limit} (yours is {guidance_scale}). More may distort the"
        " picture."
    ),
    "advice.one_motion": (
        "{title} is weak at several camera moves at once. The clip may follow only one of them."
    ),
    "advice.low_fps": "{fps} frames per second look jerky. 8 is usual, 12 is smooth.",
    "advice.unknown_motion": "{title} can only move the camera. Use one of these phrases: {phrases}.",
    # the camera move over a photograph
    "camera.pan_left": "The camera pans left by {percent} % of the frame's width.",
    "camera.pan_right": "The camera pans right by {percent} % of the frame's width.",
    "camera.tilt_up": "The camera tilts up by {percent} % of the frame's height.",
    "camera.tilt_down": "The camera tilts down by {percent} % of the frame's height.",
    "camera.zoom_in": "The camera zooms in: at the end, things are {percent} % of their initial size.",
    "camera.zoom_out": "The camera zooms out: at the end, things are {percent} % of their initial size.",
    "camera.roll_clockwise": "The picture turns clockwise by {degrees} degrees.",
    "camera.roll_counterclockwise": "The picture turns counterclockwise by {degrees} degrees.",
    "camera.still": "The camera stays still: all frames are the same.",
    "camera.loop": "The camera moves there and back, so the video loops without a jump.",
    "camera.loop_easing": "easing = {easing} has no effect on a loop, which slows down before it turns back.",
    "camera.default_move": (
        "The prompt names no camera move, so the camera slowly zooms in. For another move, write for example"
        " 'pan left' or 'zoom out'."
    ),
    "camera.contradiction": (
        "The prompt asks for opposite moves. The camera follows {kept!r} and ignores {dropped!r}."
    ),
    "camera.room": (
        "The move needs room at the edges: the widest frame shows {percent} % of the picture's width (a"
        " still camera: {still_percent} %). Use a smaller move to see more."
    ),
    "camera.enlarged": (
        "The picture has too few pixels for this video: it is enlarged by Lanczos resampling, up to {factor}"
        " times, and looks soft. Use a larger picture, a smaller video or less zoom."
    ),
    # settings
    "settings.unknown_key": "{source}: unknown setting {key!r}. Did you mean {nearest!r}?",
    "settings.invalid": "{source}: {key} = {value} is not valid: {allowed}.",
    "settings.unreadable": "Cannot read settings from {source}: {reason}",
    # weights
    "weights.missing_folder": "{title} is not installed: no model folder at {path}. {fix}",
    "weights.missing_file": "{title} is incomplete: {path} is missing. Download the model again.",
    "weights.unreadable": "{title}: cannot read {path}: {reason}. Download the file again.",
    "weights.bad_index": "{title}: cannot use the index {path}: {reason}. Download the file again.",
    "weights.offline": (
        "{title} is not installed in {path}, and models.offline is set, so it cannot be downloaded. Unset"
        " models.offline, or copy the model folder from another machine and run: i2v models add FOLDER"
    ),
    "weights.no_source": (
        "{title}: could not download {file} from any source ({reasons}). Try again later, or set a mirror in"
        " models.sources. Files downloaded so far are kept."
    ),
    "weights.captive_portal": (
        "{title}: the network returned a page of its own ({page}) instead of the file, as hotel networks do"
        " before login. Log in to the network in a browser and try again. Files downloaded so far are kept."
    ),
    "weights.disk_full": (
        "Disk full: {path} needs {needed} GB more, but only {free} GB is free. Free up space, or set"
        " models.directory to a folder on another disk. Files downloaded so far are kept."
    ),
    "weights.unwritable": "Cannot write to {path}: {reason}. Check the disk and the folder's permissions.",
    "weights.cancelled": "The download was cancelled. Files downloaded so far are kept.",
    "weights.not_published": "{title} comes with i2v; it cannot be downloaded, added or removed.",
    "weights.no_folder": "There is no folder {path}. Choose the model's folder.",
    "weights.no_index": (
        "{path} is not a model folder: it has no {file}. Choose the folder of {title} itself."
    ),
    "weights.published_nowhere": (
        "{title} cannot be downloaded by i2v. Download it yourself, then run: i2v models add {name} FOLDER"
    ),
    "weights.licence": (
        "{title} has a licence that you must accept first: {licences}. To accept it, run"
        " i2v models download {name} --accept-licence, or use the button on the page."
    ),
    "weights.which_model": (
        "Cannot tell which model is in {path}. Run i2v models add NAME FOLDER, with one of {allowed} as NAME."
    ),
    "weights.none_needed": "{title} uses no model: there is nothing to download, check, add or remove.",
    "weights.vgen_original": (
        "{path} is an original VGen checkpoint, which i2v cannot read or convert. Download the same weights"
        " in the right format: i2v models download {name}"
    ),
    "weights.pickle": (
        "{path} is a pickle file, which can run any code when it is loaded; i2v only reads safetensors."
        " Download the same weights as safetensors: i2v models download {name}"
    ),
    "weights.not_ours": (
        "{title} is in {path}, a folder that i2v found but did not create, so i2v does not delete it."
    ),
    "weights.nothing_to_remove": "{title} is not installed: there is nothing to remove at {path}.",
    "weights.unconfirmed": "Nothing was removed. Answer yes to confirm, or pass --yes.",
    "weights.already_there": "{title} is already installed in {path}. Nothing was downloaded.",
    "weights.checked": (
        "{title}: all files match the checksums from {source} (SHA-256; git hashes for small files)."
    ),
    "weights.size_only": (
        "{title}: only the file sizes were checked, because no source provided checksums for every file."
    ),
    "weights.linked": (
        "{title} is installed. {count} of its files were already on this machine and are used from there."
        " To check them, run i2v models verify {name}"
    ),
    "weights.bad_files": (
        "{title}: these files are damaged or missing: {files}. Download them again: i2v models download"
        " {name}"
    ),
    "weights.missing_tensor": (
        "{path}: tensor {tensor} is missing ({count} missing in total). This file is not part of this model."
    ),
    "weights.unexpected_tensor": (
        "{path}: unexpected tensor {tensor} ({count} in total). This file is not part of this model."
    ),
    "weights.misshapen_tensor": "{path}: tensor {tensor} has shape {found} instead of {expected}.",
    "weights.wrong_class": (
        "{path} describes {found} instead of {expected}. This folder is not of this model."
    ),
    # models, in a running service
    "models.busy": "{title} is being downloaded or verified. Wait until that is finished, or cancel it.",
    "models.check_stopped": "Verification of {title} was cancelled.",
    "models.idle": "{title}: no download or verification is running, so there is nothing to cancel.",
    "device.no_cuda": "device = cuda, but no CUDA GPU can be used. Set device to auto or cpu.",
    "decode.tiled": (
        "To save memory, frames were decoded in tiles of {side} pixels (engine.vae_tiling). They differ"
        " slightly from frames decoded whole, mostly where tiles meet."
    ),
    "decode.nan": "{count} frames decoded to NaN in {dtype} and were decoded again in float32.",
    "decode.nan_float32": (
        "The frames decoded to NaN even in float32. Try another seed. If that does not help, the model files"
        " may be damaged: download the model again."
    ),
    # which engine auto means
    "engine.none": "engine is auto, but no model can run on this machine. Set engine to one of: {allowed}.",
    "engine.auto_full": "auto selects {title}: there is a CUDA GPU, and the model is installed in {path}.",
    "engine.auto_no_cuda": "auto selects the demo model: there is no CUDA GPU.",
    "engine.auto_no_weights": (
        "auto selects the demo model: there is a CUDA GPU, but no complete model in {path}."
    ),
    "engine.auto_neither": (
        "auto selects the demo model: there is no CUDA GPU, and no complete model in {path}."
    ),
    # provenance
    "provenance.none": (
        "{path} has no generation settings in it: it was not made by i2v, or its metadata was removed."
    ),
    "provenance.unreadable": "The generation settings in {path} cannot be read: {reason}",
    "like.no_prompt": "{path} was saved without its prompt. Pass --prompt.",
    "like.left_out": "{path} was saved without its {what}, so the frames may differ.",
    "like.unknown": (
        "{path} was made by a newer version of i2v. Settings that this version does not know are ignored"
        " ({names}), so the frames may differ."
    ),
    "clip.unreadable": "{path} cannot be read as a video: {reason}.",
    "like.differs": "{what} was {before} in {path} and is {now} now, so the frames may differ.",
    # jobs as they run
    "job.cancelled": "The job was cancelled.",
    "job.internal": "Internal error in i2v ({kind}). Details are in the worker log. Try the job again.",
    "job.output_taken": (
        "Another file appeared at {path} while the job was running. Move it away, then try the job again."
    ),
    "job.no_video": "Job {id} has no video: it is {status}.",
    "job.video_missing": "The video of job {id} is gone: {path} was deleted, moved or emptied.",
    "job.video_broken": "The video of job {id} ({path}) cannot be played: {reason}.",
    "job.not_removed": "Cannot delete {path}: {reason}. Check the permissions of its folder and try again.",
    "job.picture_lost": "Cannot read the job's picture {path} ({reason}). Submit the job again.",
    "worker.no_supervision": (
        "Jobs cannot run at the moment ({reason}). The server keeps trying. Check the server log."
    ),
    "worker.not_started": "The worker does not start. Check {path}, or run i2v doctor.",
    "plan.seconds": "About {seconds} s, based on jobs finished on this machine.",
    "plan.range": "About {low} to {high} s, based on jobs finished on this machine.",
    "plan.seconds_guess": "About {seconds} s (a rough estimate until the first job has finished).",
    "plan.fits": "Fits in memory: {needed} of {free} GB.",
    "plan.small_chunks": "Computes in small chunks.",
    "plan.two_passes": "Computes guidance in two passes.",
    "plan.offload_encoders": "Keeps the encoders in RAM.",
    "plan.offload_model": "Keeps the model in RAM and loads one part at a time onto the GPU.",
    "plan.tiled": "Decodes frames in tiles, so they differ slightly from those of a larger GPU.",
    "plan.too_large": (
        "May not fit: needs at least {needed} GB of memory, but only {free} GB is free. Lower the resolution"
        " or use fewer frames."
    ),
    "plan.too_large_ram": (
        "May not fit: needs {needed} GB of RAM, but only {free} GB is free. Close other programs."
    ),
    "plan.fewer_frames": "{num_frames} frames would fit at this size.",
    "plan.smaller": "{num_frames} frames would fit at {resolution}.",
    "plan.other_device": (
        "The job was planned for {before} but runs on {now}, so its memory plan was updated."
    ),
    "plan.made_again": (
        "Free memory or the settings changed after the job was submitted, so its memory plan was updated."
    ),
    "plan.unknown": "No estimate yet: no job with this model has finished on this machine.",
    # the bench
    "bench.not_writable": "Cannot write {path}: {reason}. Choose another file with --json.",
    "bench.silent": "The measurement did not respond for {seconds} s and was stopped. Run i2v doctor.",
    "bench.died": (
        "The measurement process crashed (status {status}). Run i2v doctor. Its last output: {words}"
    ),
    "bench.no_stock": "There is no other implementation of {title} to compare with.",
    "bench.frames_apart": (
        "Frames differ by up to {highest} of 255 ({mean} on average), which is more than rounding explains."
    ),
    "bench.no_watch": "The intermediate values of {title} cannot be checked.",
    "bench.not_finite": (
        "Step {step}: {count} values of the {what} are NaN or infinite in {dtype}. Set engine.dtype to"
        " another type."
    ),
    "bench.black": "{count} frames are black in {dtype}.",
    "bench.decoded_again": "{count} frames decoded to NaN in {dtype}, but decoded well in float32.",
    "bench.stops_late": "The clip kept running for {seconds} s after it was cancelled in stage {stage}.",
    "bench.keeps_memory": (
        "{mib} MB of memory was not released after the clip was cancelled in stage {stage}."
    ),
    "bench.other_frames_after": "After cancelled clips, the same request gave different frames.",
    "bench.no_shortage": "Memory never ran out, however little was left, so saving memory was not tested.",
    # HTTP
    "http.no_such_path": "There is nothing at {path}. See /docs for the API.",
    "http.bad_method": "{path} does not support {method}: use {allowed}.",
    "http.bad_host": (
        "This server does not answer to the host name {value}. Use the address that it printed at startup,"
        " or add the name to security.allowed_hosts."
    ),
    "http.foreign_origin": (
        "Pages from {value} (header Origin) may not change anything here. Use this server's own page, or add"
        " that page's host to security.allowed_hosts."
    ),
    "http.no_token": (
        "An access token is required. Send the header Authorization: Bearer TOKEN, or open /login in a"
        " browser."
    ),
    "http.wrong_token": "Wrong access token. Use the one that the server printed when it was first started.",
    "http.too_many_tokens": "Too many wrong access tokens from this address. Try again in {seconds} s.",
    "http.too_large": (
        "The request is larger than {allowed} bytes. Send less, or raise security.max_request_megabytes."
    ),
    "http.media_type": "Content-Type {value} is not supported: use {allowed}.",
    "http.content_encoding": "Content-Encoding {value} is not supported. Send the body uncompressed.",
    "http.transfer_encoding": (
        "{field} has the header Content-Transfer-Encoding: {value}, which is not supported. Send it"
        " unencoded, without that header."
    ),
    "http.charset": "{field} declares the charset {value}, but only UTF-8 is supported. Send UTF-8.",
    "http.not_utf8": (
        "{field} is not UTF-8. Some Windows programs send GBK, Big5, Shift-JIS or Latin-1. Send UTF-8. With"
        ' curl, save the text as UTF-8 in a file and send that: -F "prompt=<prompt.txt" in a form,'
        " --data-binary @request.json for JSON."
    ),
    "http.malformed": "Cannot read the request body: {reason}.",
    "http.repeated_field": "{field} is given more than once. Send it once.",
    "page.too_large": "The upload is larger than {allowed} bytes. Choose fewer pictures at once.",
    "page.unknown_session": (
        "The server no longer knows this page (session {value}). Try again after reloading it."
    ),
    "page.busy": "The page sent too many requests at once. Try again in a moment.",
    "page.uploads_full": (
        "There is no space left for uploaded pictures ({megabytes} MB in use). Try again in 10 minutes."
    ),
    "http.internal": "Internal error in i2v ({kind}). Details are in the server log.",
    "job.no_thumbnail": "The picture of job {id} is gone.",
    "job.no_preview": (
        "Job {id} has no preview: it is {status}. Previews exist only while a job is denoising."
    ),
    # the server
    "server.not_ready": "The worker is not ready yet, or cannot start. Try again in a minute.",
    "server.not_now": (
        "Jobs cannot be accepted or run at the moment. Send the access token to /readyz to see why."
    ),
    "server.halted": "The server no longer starts jobs. Restart it: all jobs are kept.",
    "server.stopping": "The server is stopping. Job {id} is kept and continues after a restart.",
    "server.bad_host": (
        "server.host = {host} is not an address of this machine ({reason}). Use 127.0.0.1 for this machine"
        " only, or 0.0.0.0 for the network."
    ),
    "server.token_file": (
        "The secret in {path} cannot be used: {reason}. Make the file readable by you alone (chmod 600), or"
        " move it away: the next start creates a new one."
    ),
    "server.port_taken": (
        "Cannot open port {port} on {host}: {reason}. Choose another one with --port, or find out what uses"
        " it: i2v doctor --port {port}"
    ),
    "server.data_in_use": (
        "Another server is using the data folder {path}. Stop it, or choose another data folder with"
        " service.data_dir or I2V_DATA_DIR."
    ),
    # command line
    "job.interrupted": "Interrupted. No files were left behind.",
    "cli.result_lost": (
        "Cannot write the result to standard output: {reason}. Redirect it to a file that can be written,"
        " then run the command again."
    ),
    "cli.video_kept": "The video was saved to {path}.",
    "image.unreadable": "Cannot read {path}: {reason}.",
    "engine.out_of_memory": (
        "Out of memory ({reason}). Lower the resolution or use fewer frames. To save memory, set in"
        " config.yaml engine.cfg_passes: 2, engine.decode_chunk: 1 and, on a GPU, engine.offload: model."
    ),
    # out of memory on the way: why, then what is done another way from there
    "ladder.load": "Out of memory while loading the model.",
    "ladder.condition": "Out of memory while encoding the prompt and the picture.",
    "ladder.denoise": "Out of memory while denoising; finished steps are kept.",
    "ladder.decode": "Out of memory while decoding frames; finished frames are kept.",
    "ladder.short": "This machine is almost out of memory.",
    "ladder.after_death": (
        "The worker crashed while running this job (attempt {deaths}), possibly out of memory. Retrying with"
        " the lowest-memory settings."
    ),
    "ladder.chunk_tokens": "Now computing {chunk_tokens} tokens at a time: slower, same frames.",
    "ladder.decode_chunk": "Now decoding frames {decode_chunk} at a time: slower, same frames.",
    "ladder.cfg_passes": "Now computing guidance in {cfg_passes} passes: slower, same frames.",
    "ladder.offload_encoders": "Now keeping the encoders in RAM: slower, same frames.",
    "ladder.offload_model": (
        "Now keeping the model in RAM, one part at a time on the GPU: slower, same frames."
    ),
    "ladder.vae_tiling": "Now decoding frames in tiles: they differ slightly, and seams may show.",
    "ladder.exhausted": (
        "Out of memory even with every memory-saving option on ({reason}). Lower the resolution, use fewer"
        " frames, or close other programs."
    ),
    "ladder.exhausted_either": (
        "Out of memory even with every memory-saving option on ({reason}). Use {num_frames} frames, or a"
        " resolution of {resolution}."
    ),
    "ladder.exhausted_fewer": (
        "Out of memory even with every memory-saving option on ({reason}). Use {num_frames} frames."
    ),
    "ladder.exhausted_smaller": (
        "Out of memory even with every memory-saving option on ({reason}). Use a resolution of {resolution}."
    ),
    # jobs
    "job.unknown": "There is no job {id}. It may have been deleted.",
    "job.unreadable": (
        "Cannot read the details of this job ({reason}). Another version of i2v may have written them."
        " Cancel the job if it is still waiting, then delete it."
    ),
    "job.queue_full": (
        "The queue is full: {queued} jobs are waiting, and the limit is {allowed}. Try again later."
    ),
    "job.idempotency_conflict": (
        "Idempotency-Key {key} was already used for another request. Use a new key for each request."
    ),
    "job.already_finished": "Job {id} is already {status}, so it cannot be cancelled.",
    "job.not_retryable": "Job {id} is {status}: only failed or cancelled jobs can be retried.",
    "job.not_finished": "Job {id} is {status}: cancel it before you delete it.",
    "job.bad_cursor": "cursor = {cursor} is not valid. Use next_cursor from the previous page.",
    "job.worker_died": (
        "The worker crashed {deaths} times while running this job. Try a lower resolution or fewer frames;"
        " the worker log may show the reason."
    ),
    "job.interrupted_too_often": (
        "The server was interrupted {interruptions} times while running this job. If you did not stop it"
        " yourself, try a lower resolution or fewer frames, then retry the job."
    ),
    # the data folder
    "data.not_a_folder": (
        "{path} is not a folder, but the server needs a folder there. Move it away, or choose another data"
        " folder with service.data_dir or I2V_DATA_DIR."
    ),
    "data.not_a_file": "{path} is not a file, but the server needs a file there. Move it away.",
    "data.is_link": (
        "{path} is a symbolic link, and i2v does not follow links out of the data folder. Put what it points"
        " to in its place. To keep the data elsewhere, set service.data_dir or I2V_DATA_DIR."
    ),
    "data.unusable": (
        "Cannot use the data folder ({path}: {reason}). Check the disk and the folder's permissions, or"
        " choose another data folder with service.data_dir or I2V_DATA_DIR."
    ),
    "data.no_space": (
        "Disk full: the data folder ({path}) has only {free_mib} MB left and needs {needed_mib} MB. Free up"
        " space."
    ),
    # databases
    "database.replaced": (
        "{path} was deleted or replaced while the server was running. Put the original file back, or restart"
        " the server. Until then, no jobs are accepted."
    ),
    "database.damaged": (
        "{path} is damaged ({reason}). Stop the server and move the file away, together with the -wal and"
        " -shm files beside it, or restore a backup."
    ),
    "database.newer": (
        "{path} was written by a newer version of i2v (format {found}; this version reads up to {known})."
        " Update i2v."
    ),
    "database.older": (
        "{path} was written by an older version of i2v (format {found}; this version needs {known}). Run i2v"
        " serve once to upgrade it."
    ),
    "database.no_copy": (
        "{path} was written by an older version of i2v, and backing it up before the upgrade failed"
        " ({reason}). Free up space and check the folder's permissions, then start again."
    ),
    "database.not_upgraded": (
        "{path} could not be upgraded from format {found} to {version} ({reason}) and was not changed. Use"
        " the version of i2v that wrote it, and report this."
    ),
    "database.unusable": "Cannot use {path}: {reason}. Check the disk and the file's permissions.",
    # what a person names as a file
    "path.address": (
        "{value} is a URL, and i2v does not open URLs. Download the file first, then use the path of the"
        " download."
    ),
    "path.file_url": "{value} is a URL. Use the path of the file: {path}",
    "path.data_url": (
        "This is a data: URL, not a file. Save it as a file first, then use the path of that file."
    ),
    # image
    "image.no_space": (
        "Disk full: the picture cannot be saved in {path} ({reason}). Free up space, then submit it again."
    ),
    "image.address": (
        "image = {value}: i2v does not open URLs or paths. Send the picture file itself, in a form or as"
        " base64."
    ),
    "image.data_url": "image = {value}: this data: URL is not base64. Send data:image/png;base64,...",
    "image.not_base64": "image = {value} is not base64: it contains {sign}. Send the picture file as base64.",
    "image.base64_cut": (
        "image = {value} has {count} base64 characters, so part of it is missing. Send it again."
    ),
    "image.base64_spaces": (
        "image = {value} contains spaces, which may be line breaks or lost plus signs. Send base64 without"
        " spaces (in forms and URLs, write + as %2B)."
    ),
    "image.missing": (
        "Cannot read {path}: there is no such file. Check the name; relative paths start at {folder}."
    ),
    "image.is_folder": "{path} is a folder. Choose a picture inside it.",
    "image.is_video": (
        "{path} is a video, but a picture is needed. Save one of its frames: ffmpeg -i CLIP -frames:v 1"
        " frame.png. To reuse the settings of a clip, pass it with --like."
    ),
    "image.empty": "The picture file is empty (0 bytes). Choose another file.",
    "image.too_many_bytes": (
        "The picture file is too large: {bytes} bytes, and the limit is {allowed}. Save a smaller version."
    ),
    "image.unknown_format": (
        "This file is not a picture that i2v can read (it is {found}). Save it as one of these: {allowed}."
    ),
    "image.damaged": "The picture is damaged or incomplete ({reason}). Save or upload it again.",
    "image.too_slow": "Decoding the picture took more than {allowed} s. Scale it down.",
    "image.decoder_died": (
        "The picture crashed the decoder (status {status}: {reason}). Save it again, for example as PNG."
    ),
    "image.decoder_stopped": (
        "The picture decoder was killed (status {status}), possibly because memory ran out. The picture may"
        " be fine: try again."
    ),
    "image.decoder_missing": (
        "The picture decoder could not run ({reason}). The picture may be fine: try again in a minute."
    ),
    "image.decoders_busy": "Too many pictures are being decoded right now. Try again in a few seconds.",
    "image.too_many_scans": (
        "This JPEG has more than {allowed} scans, which takes too long to decode. Save it again as an"
        " ordinary JPEG."
    ),
    "image.not_stored": "Cannot save the picture in {path}: {reason}. Check the disk.",
    "image.too_large": "The picture is too large: {size}, and the limit is {allowed} pixels. Scale it down.",
    "image.no_memory": "Not enough memory to decode the picture. Scale it down.",
    "image.too_small": (
        "The picture is too small ({size} pixels). Use one with at least {allowed} pixels on each side."
    ),
    "image.too_narrow": (
        "The picture is too narrow ({size}): one side may be at most {allowed} times the other. Crop it."
    ),
    "image.animated": "The file has several frames or pages; only the first one is used.",
    "image.transparent": "The picture is partly transparent; it was put on a background of {background}.",
    "image.scaled_down": (
        "The picture ({source} pixels) was scaled down to {size}, which is still larger than any clip."
    ),
    "image.extra_skipped": (
        "The file contains long text or other extra data, which was skipped. The picture is complete."
    ),
    "image.repaired": (
        "The file is slightly damaged (a wrong checksum or a missing end, for example), but the picture is"
        " complete."
    ),
    "image.hdr": "The picture is HDR (PQ or HLG) and is used as SDR, so it may look flat.",
    "image.profile_ignored": (
        "The picture's colour profile is damaged and was ignored, so colours may be off."
    ),
    "image.orientation_unknown": (
        "The picture's EXIF data is damaged. If the picture lies on its side, rotate it."
    ),
    "image.upscaled": (
        "The picture is smaller than {size} and was enlarged {factor} times. A larger one makes a sharper"
        " clip."
    ),
    "image.cropped": (
        "The picture ({source}) was cropped by {left} pixels on the left, {top} at the top, {right} on the"
        " right and {bottom} at the bottom. Set fit to pad to keep all of it."
    ),
    "image.padded": (
        "The picture was padded to {size}: {left} pixels on the left, {top} at the top, {right} on the right"
        " and {bottom} at the bottom. Set fit to crop to fill the frame."
    ),
    # video
    "output.bad_extension": "The output file {path} does not end in .mp4. Choose a name that does.",
    "output.bad_name": "The output name {path} is not valid: {reason}. Choose another name.",
    "output.exists": "{path} already exists. Choose another name, or pass --force to replace it.",
    "output.not_a_file": "{path} is a folder. Choose a file name inside it.",
    "output.not_a_folder": "The output folder {path} is not a folder. Choose another one.",
    "output.not_writable": (
        "Cannot write to the output folder {path} ({reason}). Choose another one, or change its permissions."
    ),
    "output.no_space": (
        "Disk full: {path} has only {free_mib} MB left and needs {needed_mib} MB. Free up space."
    ),
    "encode.no_ffmpeg": (
        "Cannot run ffmpeg ({reason}). Install imageio-ffmpeg 0.6 or newer, or set IMAGEIO_FFMPEG_EXE to an"
        " ffmpeg that runs on this machine."
    ),
    "encode.no_libx264": (
        "The ffmpeg at {path} (version {version}) was built without libx264, which is needed to encode"
        " videos. Set IMAGEIO_FFMPEG_EXE to an ffmpeg that has it, or unset it and install imageio-ffmpeg"
        " 0.6 or newer."
    ),
    "encode.no_aac": (
        "The ffmpeg at {path} (version {version}) was built without AAC, which is needed to encode sound."
        " Set IMAGEIO_FFMPEG_EXE to an ffmpeg that has it, or unset it and install imageio-ffmpeg 0.6 or"
        " newer."
    ),
    "encode.old_ffmpeg": (
        "The ffmpeg at {path} is version {version}, but {oldest} or newer is required. Install"
        " imageio-ffmpeg 0.6 or newer, which includes one, or set IMAGEIO_FFMPEG_EXE to a newer one."
    ),
    "encode.unfit_ffmpeg": (
        "The ffmpeg at {path} (version {version}) could not encode a test clip: {reason}. Install"
        " imageio-ffmpeg 0.6 or newer, or set IMAGEIO_FFMPEG_EXE to another ffmpeg."
    ),
    "encode.bad_input": "Cannot encode {field} = {value}: {allowed}.",
    "encode.no_frames": "There are no frames to encode.",
    "encode.no_space": "Disk full while writing to {path} ({reason}). Free up space.",
    "encode.out_of_memory": (
        "Out of memory while scaling and encoding frames ({reason}). Choose a smaller size, or close other"
        " programs."
    ),
    "encode.failed": "Cannot write the video to {path}: {reason}.",
    "encode.frames_lost": (
        "Only {found} of {expected} frames were written, so the video was deleted. Try again."
    ),
    "encode.mismatch": "The video has {field} = {found} instead of {expected}, so it was deleted.",
    "encode.broken": "Cannot decode the video {path}: {reason}.",
    "unpublished.kept": (
        "The finished frames are kept for {days} days. Fix the problem and retry: the video is then written"
        " without generating anything again."
    ),
    "unpublished.not_kept": (
        "The finished frames could not be saved either ({path}: {reason}), so a retry starts from the"
        " beginning."
    ),
    "unpublished.published": (
        "The video was written from the saved frames of an earlier attempt; nothing was generated again."
    ),
    "unpublished.unreadable": (
        "{path} does not contain saved frames that can be used ({reason}). Use the file that i2v generate"
        " printed."
    ),
    "unpublished.lost": (
        "Cannot read the saved frames in {path} ({reason}). Generate the clip again, or retry its job, which"
        " starts from the beginning."
    ),
    # doctor: what was found, and what to do about it
    "doctor.memory": (
        "{free} of {total} GB of RAM is free; the demo model's largest preset needs {needed} GB."
    ),
    "doctor.memory_unknown": (
        "{free} of {total} GB of RAM is free; how much {title} needs on this device was not measured."
    ),
    "doctor.card_memory": (
        "{free} of {total} GB of GPU memory is free; published requirements in GB: {figures}."
    ),
    "doctor.memory_fix": (
        "Close other programs, or choose a lower resolution or fewer frames. To save memory, set in"
        " config.yaml engine.decode_chunk: 1, engine.cfg_passes: 2 and engine.offload: model."
    ),
    "doctor.weights_ok": "{title}: the model folder {path} is complete.",
    "doctor.reading": (
        "{title}: {megabytes} MB at {speed} MB/s, so loading takes at least {seconds} s, once per start."
    ),
    "doctor.reading_fix": (
        "Wait for the first clip, or move the model folder to a faster disk (models.directory)."
    ),
    "doctor.motion": "Stiff motion usually comes from a vague prompt, which cannot be checked here.",
    "doctor.motion_fix": (
        "Name the direction and the speed ('the camera slowly pans left') and at most three actions; leave"
        " out words like 'beautiful' and 'perfect'. If the motion runs backwards, use more steps and the"
        " negative prompt 'reverse motion, backward flow'."
    ),
    "doctor.ffmpeg_ok": "ffmpeg encoded and decoded a test clip in {seconds} s.",
    "doctor.ffmpeg_broken": "ffmpeg could not make a test clip: {reason}",
    "doctor.ffmpeg_broken_fix": (
        "Run bash scripts/setup.sh. If IMAGEIO_FFMPEG_EXE is set, unset it or point it to an ffmpeg with"
        " libx264."
    ),
    "doctor.port_free": "Port {port} is free.",
    "doctor.port_ours": "Port {port} is in use by this server.",
    "doctor.port_taken": "Port {port} is in use by {name} (process {pid}).",
    "doctor.port_taken_fix": "Stop it (kill {pid}), or choose another port.",
    "doctor.port_taken_unseen": "Port {port} is in use by another user's program.",
    "doctor.port_taken_unseen_fix": (
        "Find it (sudo ss -ltnp 'sport = :{port}') and stop it, or choose another port."
    ),
    "doctor.port_closed": "Cannot open port {port}: {reason}.",
    "doctor.port_closed_fix": "Choose a port above 1023.",
    "doctor.card_ok": "{card}, driver {driver}: no problem found.",
    "doctor.card_silent": "There is an NVIDIA GPU, but it does not respond: {reason}.",
    "doctor.card_silent_fix": "Install or repair the NVIDIA driver, until nvidia-smi lists the GPU.",
    "doctor.card_hidden": "CUDA_VISIBLE_DEVICES = {value} hides every GPU from torch.",
    "doctor.card_hidden_fix": "Unset CUDA_VISIBLE_DEVICES.",
    "doctor.no_card": "No NVIDIA GPU found: everything runs on the CPU.",
    "doctor.no_card_fix": "Use the demo model, which is made for CPUs. I2VGen-XL would be very slow.",
    "doctor.cpu_chosen": "The settings select the CPU (engine.device: cpu).",
    "doctor.torch_missing": "torch is not installed, or its files are missing.",
    "doctor.torch_rocm": "torch {torch} is built for ROCm. AMD GPUs are not checked.",
    "doctor.torch_without_cuda": "torch {torch} is built without CUDA, so {card} is not used.",
    "doctor.torch_without_cuda_fix": "Run I2V_TORCH=cuda bash scripts/setup.sh.",
    "doctor.driver_old": (
        "{card}: driver {driver} is too old for CUDA {cuda}, which torch uses. It needs {oldest} or newer."
    ),
    "doctor.driver_old_fix": (
        "Update the NVIDIA driver. Or delete the environment, set I2V_TORCH_INDEX to an index with builds"
        " for an older CUDA, and run bash scripts/setup.sh."
    ),
    "doctor.full_precision": "engine.dtype: float32 needs twice the GPU memory of half precision.",
    "doctor.full_precision_fix": "Set engine.dtype: auto.",
    "doctor.threads_free": "torch chooses the number of CPU threads; this machine has {cores} cores.",
    "doctor.threads": "{threads} CPU threads are set; this machine has {cores} cores.",
    "doctor.threads_fix": (
        "Set engine.threads: 0 and unset OMP_NUM_THREADS, so that torch chooses the number."
    ),
    "doctor.alone": "No other program uses the GPU, or much memory with torch.",
    "doctor.card_shared": "{name} (process {pid}) is also using the GPU.",
    "doctor.memory_shared": "{name} (process {pid}) is also running torch and uses {gib} GB of memory.",
    "doctor.others_fix": "Run one at a time: wait for it, or stop it.",
    "doctor.python": "Python {version}; supported: {wanted}.",
    "doctor.packages_ok": "All {count} packages are installed in supported versions.",
    "doctor.package_missing": "Package {name} is not installed.",
    "doctor.package_version": "Package {name} is version {version}, but {wanted} is required.",
    "doctor.setup_fix": "Run bash scripts/setup.sh.",
    "doctor.settings_default": "Default settings (configs/default.yaml) and environment variables are used.",
    "doctor.settings_ok": "The settings in {path} are valid.",
    "doctor.not_checked": "Not checked, because the settings are not valid.",
    "doctor.output_ok": "Videos can be written to {path} ({free} GB free).",
    "doctor.output_low": "Videos can be written to {path}, but only {free} GB is free there.",
    "doctor.output_low_fix": "Delete old videos, or set output.directory to a folder on another disk.",
    "doctor.logs_ok": "Logs can be written to {path}.",
    "doctor.logs_unwritable": "Cannot write logs to {path} ({reason}), so details of errors are lost.",
    "doctor.logs_unwritable_fix": "Change the permissions of that folder.",
    "doctor.clock_ok": "The system clock says {now}.",
    "doctor.clock_back": "The system clock says {now}, but i2v has files written at {written}.",
    "doctor.clock_back_fix": "Set the clock: video names and downloads depend on it.",
    "doctor.variables": "Proxy and mirror variables: {variables}.",
    "doctor.no_variables": "No proxy or mirror is set.",
}

# What to do, where the sentence above does not say it itself.
HINTS: dict[str, str] = {
    "request.missing_field": "Add it and try again.",
    "request.not_supported": "Leave it out, or choose another model.",
    "weights.cancelled": "To continue: i2v models download i2vgen-xl",
    "models.check_stopped": "Verify it again at any time.",
    "models.idle": "No action is needed.",
    "weights.not_published": "Choose another model; i2v models lists them.",
    "weights.not_ours": "Delete the folder yourself if nothing else uses it.",
    "weights.nothing_to_remove": "No action is needed.",
    "weights.missing_tensor": "Download the model again.",
    "weights.unexpected_tensor": "Download the model again.",
    "weights.misshapen_tensor": "Download the model again.",
    "weights.wrong_class": "Download the model again.",
    "job.cancelled": "Retry it if you still want the clip.",
    "job.no_video": "Wait until it has succeeded.",
    "job.video_missing": (
        "Put the file back, generate the clip again with the same settings, or delete the job."
    ),
    "job.video_broken": "Restore a copy, generate the clip again with the same settings, or delete the job.",
    "job.unknown": "List the jobs: GET /api/v1/jobs",
    "job.already_finished": "No action is needed.",
    "job.not_retryable": "To make another clip, submit a new job.",
    "job.no_thumbnail": "The rest of the job is complete: show it without the picture.",
    "job.no_preview": "Follow the job's events, which report each preview.",
    "http.malformed": "See /docs for the expected format.",
    "http.internal": "Try again. If it keeps happening, report it with the log.",
    "server.stopping": "Ask for the job again when the server is running: GET /api/v1/jobs",
    "encode.no_frames": "Try again. If it keeps happening, report it with the log.",
    "encode.failed": "Check the disk and the folder's permissions, then try again.",
    "encode.mismatch": "Try again.",
    "encode.broken": "Generate it again.",
}
