"""The English sentence for every error and notice, by code, and hints where it does not say what to do.

One table, so that a code without a sentence cannot exist. What an error is, `errors` says.
"""

from __future__ import annotations

MESSAGES: dict[str, str] = {
    # request
    "request.unknown_field": "Unknown field {field!r}. Did you mean {nearest!r}? Known fields: {allowed}.",
    "request.invalid": "{field} = {value} is not accepted: {allowed}.",
    "request.missing_field": "{field} is missing.",
    "request.half_size": "height and width belong together: give both, or a resolution instead.",
    "request.two_sizes": (
        "Give either resolution ({resolution}) or height and width ({height} x {width}), not both."
    ),
    "request.blank_prompt": "prompt is blank: write what should happen, for example 'the camera pans left'.",
    "request.not_supported": "{title} does not take {field} (it was {value}).",
    "request.unknown_engine": "engine = {value} is not known: one of {allowed}.",
    # notices about the request
    "request.untrained_frames": (
        "{title} was trained on {low} to {high} frames; with {num_frames} the motion may drift."
    ),
    "request.scaled_up": (
        "{title} generates {generated_width} x {generated_height} pixels; the video is scaled up to"
        " {width} x {height}."
    ),
    "request.upscaled": (
        "{title} generates {generated_width} x {generated_height} pixels; the network {upscaler} enlarges"
        " them to {width} x {height}."
    ),
    "upscale.missing": (
        "{upscaler} is not installed: the video is scaled up by plain resampling, which is less sharp. Fix:"
        " bash scripts/setup.sh {extra}"
    ),
    "upscale.unusable": (
        "{upscaler} cannot enlarge the frames here ({reason}). Install it again (bash scripts/setup.sh"
        " {extra}) or set output.upscaler: lanczos for plain resampling."
    ),
    "request.size_changed": (
        "You asked for {asked_width} x {asked_height}; the video is {width} x {height}, because H.264 needs"
        " even sides."
    ),
    "request.size_rounded": (
        "{width} x {height} is not a multiple of {multiple}: the model generates"
        " {generated_width} x {generated_height} pixels, which are scaled."
    ),
    "request.target_fps_clamped": (
        "The model knows {low} to {high} frames a second: its condition is {target_fps}, the video plays at"
        " {fps}."
    ),
    "compile.failed": "torch.compile does not work here ({reason}): the clip was made without it.",
    "speed.not_measured": (
        "fast: not yet measured on these weights for this size, length, guidance and number of steps, so"
        " every step is made."
    ),
    "speed.unproven": (
        "fast: not yet measured on these weights for this size, length, guidance and number of steps. Compare"
        " it with speed: exact."
    ),
    "request.gradient_checkpointing": (
        "gradient_checkpointing saves no memory when generating (it only helps training), so nothing was"
        " changed. What does save memory: a smaller resolution, fewer frames, decoding one frame at a time"
        " (decode_chunk: 1)."
    ),
    "prompt.syntax": (
        "The prompt has {pieces}: here this is plain text. Weights, LoRAs, choices and flags of other"
        " programs have no effect."
    ),
    "prompt.negative_syntax": (
        "The negative prompt has {pieces}: here this is plain text. Weights, LoRAs, choices and flags of"
        " other programs have no effect."
    ),
    "prompt.truncated": "The model reads {limit} tokens of a prompt; this was cut off: {removed}",
    "prompt.negative_truncated": (
        "The model reads {limit} tokens of a negative prompt; this was cut off: {removed}"
    ),
    # advice: the request is fine as it is, but the clip may disappoint
    "advice.small_picture": "The picture is only {size} pixels; clips look better with {wanted} a side.",
    "advice.blurred_picture": (
        "The picture looks blurred, with the detail of one of {side} pixels. A sharp one makes a better clip."
    ),
    "advice.text_in_picture": (
        "There seems to be text in the picture. Letters warp in clips: crop them off or use another picture."
    ),
    "advice.long_prompt": (
        "The prompt has about {tokens} tokens; the model reads the first {limit}: put what matters first."
    ),
    "advice.abstract": "{words}: this names no motion. Say what moves, in which direction and how fast.",
    "advice.many_actions": "These are about {count} actions; up to {allowed} come out better.",
    "advice.language": "{title} only understands {languages}: write the prompt in that.",
    "advice.high_guidance": (
        "A guidance of {guidance_scale} distorts the picture: over {limit} it does; 6 to 9 is usual."
    ),
    "advice.low_fps": "{fps} frames a second look jerky; 8 is usual, 12 is smooth.",
    "advice.unknown_motion": "{title} only moves the camera. Write one of: {phrases}.",
    # the camera move over a photograph
    "camera.pan_left": "The camera pans left by {percent} % of the frame's width.",
    "camera.pan_right": "The camera pans right by {percent} % of the frame's width.",
    "camera.tilt_up": "The camera tilts up by {percent} % of the frame's height.",
    "camera.tilt_down": "The camera tilts down by {percent} % of the frame's height.",
    "camera.zoom_in": "The camera zooms in: at the end things are {percent} % of their first size.",
    "camera.zoom_out": "The camera zooms out: at the end things are {percent} % of their first size.",
    "camera.roll_clockwise": "The picture turns clockwise by {degrees} degrees.",
    "camera.roll_counterclockwise": "The picture turns counterclockwise by {degrees} degrees.",
    "camera.still": "The camera stays still: all frames are the same.",
    "camera.loop": "The camera goes there and back: the video can be repeated without a jump.",
    "camera.loop_easing": (
        "easing = {easing} has no effect: a loop slows down before it turns back, or it would jump."
    ),
    "camera.default_move": (
        "The prompt names no camera move, so the camera slowly zooms in. For another move write, for example,"
        " 'pan left' or 'zoom out'."
    ),
    "camera.contradiction": (
        "The prompt asks for opposite moves: the camera follows {kept!r} and leaves out {dropped!r}."
    ),
    "camera.room": (
        "The move needs room at the edges: the widest frame shows {percent} % of the picture's width, where a"
        " still camera would show {still_percent} %. Move less to see more."
    ),
    "camera.enlarged": (
        "The picture has too few pixels for this video: it is enlarged by Lanczos resampling, up to {factor}"
        " times, and looks soft. Use a larger picture, a smaller video or less zoom."
    ),
    # settings
    "settings.unknown_key": "{source}: unknown setting {key!r}. Did you mean {nearest!r}?",
    "settings.invalid": "{source}: {key} = {value} is not accepted: {allowed}.",
    "settings.unreadable": "{source} cannot be read as settings: {reason}",
    # weights
    "weights.missing_folder": "{title}: no model folder at {path}. {fix}",
    "weights.missing_file": "{title}: {path} is missing from the model folder. Fetch the model again.",
    "weights.bad_index": "{title}: the index {path} cannot be used: {reason}. Fetch the file again.",
    "weights.unreadable": "{title}: {path} cannot be read: {reason}. Fetch the file again.",
    "weights.offline": (
        "{title}: no complete model is in {path}, and models.offline is set, so nothing is fetched. Unset it,"
        " or bring the folder from another machine: i2v models add FOLDER"
    ),
    "weights.no_source": (
        "{title}: {file} cannot be fetched from any source ({reasons}). What is there already is kept: try"
        " again later, or set another mirror (models.sources)."
    ),
    "weights.captive_portal": (
        "{title}: this network answers with a page of its own ({page}), as in hotels and trains before you"
        " log in. Open any page in a browser, log in, and try again. What was downloaded is kept."
    ),
    "weights.disk_full": (
        "{path}: {needed} GB are still needed, and {free} GB of the disk are free. Free some, or set"
        " models.directory to another disk. What is there already is kept."
    ),
    "weights.unwritable": "{path} cannot be written: {reason}. Check the disk, and who may write there.",
    "weights.cancelled": "The download was stopped. What was fetched is kept: the next one goes on with it.",
    "weights.not_published": "{title} is a part of i2v: it cannot be downloaded, added or removed.",
    "weights.published_nowhere": (
        "{title} is not published where i2v could download it. Add the folder: i2v models add {name} FOLDER"
    ),
    "weights.licence": (
        "{title} is published under a licence that you must accept first: {licences}. Read it and accept it:"
        " run i2v models download {name} --accept-licence, or use the button on the page."
    ),
    "weights.which_model": (
        "{path} does not say which model it is of. Name one: i2v models add NAME FOLDER, with NAME one of"
        " {allowed}."
    ),
    "weights.no_folder": "There is no folder {path}. Name the one that holds model_index.json.",
    "weights.no_index": "{path} holds no model: {file} is missing. Name {title}'s own folder.",
    "weights.vgen_original": (
        "{path} is an original checkpoint of VGen: i2v does not read or convert those. The same weights in"
        " the right form: i2v models download {name}"
    ),
    "weights.pickle": (
        "{path} is a pickle, which can run any program when it is read: i2v reads safetensors only. The same"
        " weights in that form: i2v models download {name}"
    ),
    "weights.not_ours": "{title} is in {path}, which i2v found but did not make: delete it there yourself.",
    "weights.nothing_to_remove": "{title}: there is nothing to remove at {path}.",
    "weights.unconfirmed": "Nothing was removed: answer yes, or give --yes.",
    "weights.already_there": "{title} is there already: {path}. Nothing was fetched.",
    "weights.linked": (
        "{title} is complete. {count} of its files were on this machine already and are used where they are."
        " To check them: i2v models verify {name}"
    ),
    "weights.checked": "{title}: every file has the hash that {source} tells (SHA-256; git's, if small).",
    "weights.size_only": "{title}: size checked only, since no source told a hash of every file.",
    "weights.bad_files": (
        "{title}: not as they must be: {files}. Fetch them again: i2v models download {name}"
    ),
    "weights.missing_tensor": (
        "{path}: the tensor {tensor} is missing ({count} in all). The file is not of this model."
    ),
    "weights.unexpected_tensor": (
        "{path}: the tensor {tensor} is not known ({count} in all). The file is not of this model."
    ),
    "weights.misshapen_tensor": "{path}: the tensor {tensor} has shape {found}, expected {expected}.",
    "weights.wrong_class": "{path} describes {found}, expected {expected}. The folder is not of this model.",
    # models, in a running service
    "models.busy": "{title} is just being downloaded or checked. Wait for the end, or cancel it.",
    "models.check_stopped": "The check of {title} was stopped before its end.",
    "models.idle": "Nothing is under way with {title}: there is nothing to cancel.",
    "device.no_cuda": "device = cuda, but no CUDA device can be used here. Set device to cpu or auto.",
    "decode.tiled": (
        "The frames were decoded in tiles of {side} pixels (engine.vae_tiling), to save memory: they differ a"
        " little from frames decoded whole, most where tiles meet."
    ),
    "decode.nan": "{count} frames decoded to NaN in {dtype} and were decoded again in float32.",
    "decode.nan_float32": (
        "The frames decoded to NaN even in float32. The model's files may be damaged: fetch them again. If"
        " they are not, try another seed."
    ),
    # which engine auto means
    "engine.none": "engine = auto finds none that can run here. Name one of {allowed}.",
    "engine.auto_full": "auto runs {title}: a CUDA device was found, and its model folder is {path}.",
    "engine.auto_no_cuda": "auto runs the embedded demo model: no CUDA device was found.",
    "engine.auto_no_weights": (
        "auto runs the embedded demo model: a CUDA device was found, but no complete model is in {path}."
    ),
    "engine.auto_neither": (
        "auto runs the embedded demo model: no CUDA device was found, and no complete model is in {path}."
    ),
    # provenance
    "provenance.none": "{path} does not say how it was made: i2v did not write it, or its metadata is gone.",
    "provenance.unreadable": "{path} says how it was made in a form that cannot be read ({reason}).",
    "like.no_prompt": "{path} was written without its prompts: give --prompt.",
    "like.left_out": "{path} was written without its {what}: the frames may come out differently.",
    "like.unknown": (
        "{path} was made by a later version of i2v, with what this one does not know ({names}) and ignores:"
        " the frames may come out differently."
    ),
    "clip.unreadable": "{path} cannot be read as a video: {reason}.",
    "like.differs": ("{what} was {before} in {path} and is {now} now: the frames may come out differently."),
    # jobs as they run
    "job.cancelled": "The job was cancelled.",
    "job.internal": (
        "Something went wrong inside i2v ({kind}). The details are in the worker's log. Try the job again."
    ),
    "job.output_taken": "{path} was taken by another file meanwhile. Move it away, then try the job again.",
    "job.no_video": "The job {id} has no video: it is {status}.",
    "job.video_missing": "The video of the job {id} is gone: {path} was removed, moved away or emptied.",
    "job.video_broken": "The video of the job {id}, {path}, cannot be played: {reason}.",
    "job.not_removed": "{path} cannot be removed: {reason}. Check who may write to its folder and try again.",
    "job.picture_lost": "The job's picture {path} cannot be read ({reason}). Submit it again.",
    "worker.no_supervision": "No job can be run now ({reason}). The service keeps trying. Look into its log.",
    "worker.not_started": "The worker does not start. Look into {path}, or run i2v doctor.",
    "plan.seconds": "About {seconds} s, by this machine's finished jobs.",
    "plan.seconds_guess": "About {seconds} s at a first guess; finished jobs will tell.",
    "plan.fits": "Fits: {needed} of {free} GB.",
    "plan.small_chunks": "It computes in small chunks.",
    "plan.two_passes": "Guidance takes two passes.",
    "plan.offload_encoders": "The encoders wait in CPU memory.",
    "plan.offload_model": "The parts of the model take turns on the card and wait in CPU memory.",
    "plan.tiled": "Frames are decoded in tiles, so they differ a little from those of a larger card.",
    "plan.too_large": (
        "May not fit: it takes {needed} GB at the least, and {free} GB are free. Lower the resolution or the"
        " number of frames."
    ),
    "plan.too_large_ram": (
        "May not fit: it takes {needed} GB of CPU memory, and {free} GB are free. Close other programs."
    ),
    "plan.fewer_frames": "At this size {num_frames} frames would fit.",
    "plan.smaller": "At {resolution} {num_frames} frames would fit.",
    "plan.other_device": "It was planned for {before}; it runs on {now}, so its memory plan was made again.",
    "plan.made_again": (
        "Free memory or the settings have changed since it was submitted, so its memory plan was made again."
    ),
    "plan.unknown": "Not known yet: no job of this engine was finished on this machine.",
    # the bench
    "bench.not_writable": "{path} cannot be written: {reason}. Name another file with --json.",
    "bench.silent": "The measurement said nothing for {seconds} s and was ended. Run i2v doctor.",
    "bench.died": (
        "The measurement's process died (status {status}). Run i2v doctor. Its last words: {words}"
    ),
    "bench.no_stock": "No other program is known that runs {title}.",
    "bench.frames_apart": (
        "Frames are up to {highest} of 255 apart, {mean} on average: more than rounding makes."
    ),
    "bench.no_watch": "The numbers of {title} cannot be looked at.",
    "bench.not_finite": (
        "At step {step}, {count} numbers of the {what} are NaN or infinite in {dtype}. Set engine.dtype to"
        " another type."
    ),
    "bench.black": "{count} frames are black in {dtype}.",
    "bench.decoded_again": "{count} frames decoded to NaN in {dtype} and came out well in float32.",
    "bench.stops_late": "Cancelled in stage {stage}, the clip went on for {seconds} s.",
    "bench.keeps_memory": "Cancelled in stage {stage}, the clip left {mib} MiB behind.",
    "bench.other_frames_after": "After cancelled clips, the same clip came out otherwise.",
    "bench.no_shortage": "Memory did not run out however much was taken away: the ladder was not tried.",
    # HTTP
    "http.no_such_path": "There is nothing at {path}. Look at /docs for what there is.",
    "http.bad_method": "{method} is not possible at {path}: use {allowed}.",
    "http.bad_host": (
        "Host = {value} is not a name of this service. Use the address that it printed when it started, or"
        " add the name to security.allowed_hosts."
    ),
    "http.foreign_origin": (
        "Origin = {value}: a page from there may not change anything here. Use this service's own page, or"
        " add that page's host to security.allowed_hosts."
    ),
    "http.no_token": (
        "This service asks for its access token: use the header Authorization: Bearer TOKEN,"
        " or open /login in a browser."
    ),
    "http.wrong_token": "The access token is wrong. Give the one that the service printed when it was made.",
    "http.too_many_tokens": "Too many wrong access tokens came from there. Try again in {seconds} s.",
    "http.too_large": (
        "The request has more than {allowed} bytes. Send less, or raise security.max_request_megabytes."
    ),
    "http.media_type": "Content-Type = {value} is not accepted: use {allowed}.",
    "http.content_encoding": "Content-Encoding = {value} is not accepted: use a body that is not compressed.",
    "http.transfer_encoding": (
        "{field} comes with Content-Transfer-Encoding: {value}. Give it as it is, without that header."
    ),
    "http.charset": (
        "{field} declares the charset {value}, but text is read as UTF-8 only. Use UTF-8, and declare that or"
        " nothing."
    ),
    "http.not_utf8": (
        "{field} is not UTF-8; it may be GBK, Big5, Shift-JIS or Latin-1, which some Windows programs send."
        ' Send UTF-8. With curl, save the text as UTF-8 in a file and send that: -F "prompt=<prompt.txt" in'
        " a form, --data-binary @request.json for JSON."
    ),
    "http.malformed": "The request's body cannot be read: {reason}.",
    "http.repeated_field": "{field} is given more than once. Give it once.",
    "page.too_large": "What the page sent has more than {allowed} bytes. Choose fewer pictures at once.",
    "page.unknown_session": (
        "Nothing is under way for the window {value}. Try again after loading the page anew."
    ),
    "page.busy": "Too much is under way on the page at once. Try again in a moment.",
    "page.uploads_full": (
        "The pictures uploaded to the page take up all the space they may ({megabytes} MB). Try again in 10"
        " minutes."
    ),
    "http.internal": "Something went wrong inside i2v ({kind}). The details are in the service's log.",
    "job.no_thumbnail": "The picture of the job {id} is gone.",
    "job.no_preview": "The job {id} has no preview: it is {status}. There is one while it is denoising.",
    # the server
    "server.not_ready": "The worker is not ready yet, or will not start. Try again in a minute.",
    "server.not_now": "No job can be accepted or run now. With the access token, /readyz says why.",
    "server.halted": "The service no longer starts jobs. Stop it and start it again: the jobs are kept.",
    "server.stopping": "The service is stopping. The job {id} is kept and goes on when it starts again.",
    "server.bad_host": (
        "server.host = {host} is not an address of this machine ({reason}). Use 127.0.0.1 for this machine"
        " alone, 0.0.0.0 for the network."
    ),
    "server.token_file": (
        "The secret in {path} cannot be used: {reason}. Make it a file of yours alone (chmod 600), or"
        " move it away: the next start makes another."
    ),
    "server.port_taken": (
        "The port {port} of {host} cannot be opened: {reason}. Choose another one with --port, or look who"
        " has it: i2v doctor --port {port}"
    ),
    "server.data_in_use": (
        "Another service uses the folder {path}. Stop it, or choose another folder for this one with"
        " service.data_dir or I2V_DATA_DIR."
    ),
    # command line
    "job.interrupted": "Interrupted. Nothing was left behind.",
    "cli.result_lost": "The result could not be written to standard output: {reason}.",
    "cli.video_kept": "The video is at {path}.",
    "image.unreadable": "{path} cannot be read: {reason}.",
    "engine.out_of_memory": (
        "The device ran out of memory ({reason}). What helps: a smaller resolution, fewer frames,"
        " in config.yaml engine.cfg_passes: 2, engine.decode_chunk: 1 and, with CUDA, engine.offload: model."
    ),
    # out of memory on the way: why, then what is done another way from there
    "ladder.load": "Memory ran out while the model was loaded.",
    "ladder.condition": "Memory ran out while prompt and picture were encoded.",
    "ladder.denoise": "Memory ran out in a step; what was finished is kept.",
    "ladder.decode": "Memory ran out while frames were decoded; those that were finished are kept.",
    "ladder.short": "This machine's memory is nearly used up.",
    "ladder.after_death": (
        "The worker died {deaths} times under this job, perhaps for lack of memory: it is made with as little"
        " as goes."
    ),
    "ladder.chunk_tokens": "From there {chunk_tokens} tokens are taken at a time: slower, the same frames.",
    "ladder.decode_chunk": "From there frames are decoded {decode_chunk} at a time: slower, the same frames.",
    "ladder.cfg_passes": "From there guidance is computed in {cfg_passes} passes: slower, the same frames.",
    "ladder.offload_encoders": (
        "From there what encodes the prompt and the picture waits in CPU memory: slower, the same frames."
    ),
    "ladder.offload_model": "From there the model's parts wait in CPU memory: slower, the same frames.",
    "ladder.vae_tiling": "From there frames are decoded in tiles: they differ a little, and seams may show.",
    "ladder.exhausted": (
        "Memory ran out with the most saving options too ({reason}). Choose a smaller resolution or fewer"
        " frames, or close other programs."
    ),
    "ladder.exhausted_either": (
        "Memory ran out with the most saving options too ({reason}). Choose {num_frames} frames, or a"
        " resolution of {resolution}."
    ),
    "ladder.exhausted_fewer": (
        "Memory ran out with the most saving options too ({reason}). Choose {num_frames} frames."
    ),
    "ladder.exhausted_smaller": (
        "Memory ran out with the most saving options too ({reason}). Choose a resolution of {resolution}."
    ),
    # jobs
    "job.unknown": "There is no job {id}. It may have been deleted.",
    "job.unreadable": (
        "The details of this job cannot be read ({reason}). Another version of the program may have written"
        " them; cancel the job if it waits, and delete it."
    ),
    "job.queue_full": "{queued} jobs are waiting, and no more than {allowed} may. Try again later.",
    "job.idempotency_conflict": (
        "The Idempotency-Key {key} was used for another request. Use a new key for each request."
    ),
    "job.already_finished": "The job {id} is {status}: it cannot be cancelled any more.",
    "job.not_retryable": "The job {id} is {status}: only a failed or cancelled one can be retried.",
    "job.not_finished": "The job {id} is {status}: cancel it before you delete it.",
    "job.bad_cursor": "cursor = {cursor} is not accepted: use next_cursor of the page before.",
    "job.worker_died": (
        "The worker died {deaths} times under this job. Try a smaller resolution or fewer frames; the reason"
        " may stand in the log."
    ),
    "job.interrupted_too_often": (
        "The service was interrupted {interruptions} times under this job. If it was not you who stopped it,"
        " try a smaller resolution or fewer frames, then retry the job."
    ),
    # the data folder
    "data.not_a_folder": (
        "{path} is in the way: a folder belongs there. Move it away, or choose another data folder with"
        " service.data_dir or I2V_DATA_DIR."
    ),
    "data.not_a_file": "{path} is in the way: a file of the service belongs there. Move it away.",
    "data.is_link": (
        "{path} is a link, and links are not followed out of the data folder. Put in its place what it points"
        " to. To keep the data elsewhere, name the whole folder with service.data_dir or I2V_DATA_DIR."
    ),
    "data.unusable": (
        "The data folder cannot be used ({path}: {reason}). Check the disk, and who may write there, or"
        " choose another data folder with service.data_dir or I2V_DATA_DIR."
    ),
    "data.no_space": (
        "The disk of the data folder ({path}) has {free_mib} MiB left; {needed_mib} are needed."
        " Free some space."
    ),
    # databases
    "database.replaced": (
        "{path} was removed or replaced while the service was running. Put the same file back, or restart the"
        " service: until then, no job is accepted."
    ),
    "database.damaged": (
        "{path} is damaged ({reason}). Stop the program and move the file away, with those beside it that end"
        " in -wal and -shm, or put a copy back."
    ),
    "database.newer": (
        "{path} was written by a newer version of the program ({found}; this one knows {known}). Update it."
    ),
    "database.older": (
        "{path} was written by an older version of the program ({found}; this one needs {known})."
        " Run i2v serve once: it upgrades the file."
    ),
    "database.no_copy": (
        "{path} was written by an older version of the program. Before it is upgraded, a copy is kept beside"
        " it, and that failed ({reason}). Free some space there, check who may write there, and start again."
    ),
    "database.not_upgraded": (
        "{path} could not be upgraded from version {found} to {version} ({reason}), and is as it was. Use the"
        " program that wrote it, and report this."
    ),
    "database.unusable": "{path} cannot be used: {reason}. Check the disk, and who may write there.",
    # what a person names as a file
    "path.address": "{value} is an address, and i2v opens none: download it first. Name the saved file then.",
    "path.file_url": "{value} is an address. Name the file by its path: {path}",
    "path.data_url": "This is a data: address, not a file. Save the picture as a file first, then name that.",
    # image
    "image.no_space": (
        "The disk of {path} is full, so the picture cannot be kept ({reason}). Free some space there, then"
        " submit it again."
    ),
    "image.address": (
        "image = {value}: no address or path is opened here. Give the picture's file itself, in a form or as"
        " base64."
    ),
    "image.data_url": (
        "image = {value}: this data: URL is not in base64. Give the file as data:image/png;base64,..."
    ),
    "image.not_base64": (
        "image = {value} is not base64: it has the character {sign}. Give the picture's file as base64."
    ),
    "image.base64_cut": (
        "image = {value} has {count} characters of base64, which no file has: part of it was lost. Submit it"
        " again."
    ),
    "image.base64_spaces": (
        "image = {value} has spaces that may be line breaks or lost plus signs. Use base64 without spaces (in"
        " forms and URLs, + is written %2B)."
    ),
    "image.missing": (
        "{path} cannot be read: there is no such file. Check its name; relative ones begin at {folder}."
    ),
    "image.is_folder": "{path} is a folder. Name a picture in it.",
    "image.is_video": (
        "{path} is a video, and a picture is needed. Save one of its frames: ffmpeg -i CLIP -frames:v 1"
        " frame.png. To make a clip like one of i2v's, name that with --like."
    ),
    "image.empty": "The picture is empty (0 bytes). Choose the file again.",
    "image.too_many_bytes": "The picture has {bytes} bytes; at most {allowed} are accepted. Save it smaller.",
    "image.unknown_format": (
        "The file is not a picture that can be read here (it is {found}). Save it in one of these formats:"
        " {allowed}."
    ),
    "image.damaged": "The picture is damaged or incomplete ({reason}). Save or upload it again.",
    "image.too_slow": "Decoding the picture took over {allowed} s. Scale it down.",
    "image.decoder_died": "The picture made its decoder crash (status {status}: {reason}). Save it again.",
    "image.decoder_stopped": (
        "The process that reads the picture was ended from outside (status {status}), perhaps because memory"
        " ran out. The picture may be fine: try again."
    ),
    "image.decoder_missing": (
        "The process that reads pictures could not run ({reason}). The picture may be fine: try again in a"
        " minute."
    ),
    "image.decoders_busy": "Too many pictures are being read just now. Try again in a few seconds.",
    "image.too_many_scans": (
        "The picture is a JPEG of more than {allowed} scans, which takes too long to read. Save it again as"
        " an ordinary JPEG."
    ),
    "image.not_stored": "The picture cannot be kept in {path}: {reason}. Check the disk.",
    "image.too_large": "The picture is too large ({size}); at most {allowed} pixels fit. Scale it down.",
    "image.no_memory": "There is not enough memory to decode the picture. Scale it down.",
    "image.too_small": "The picture is {size} pixels; each side needs at least {allowed}. Use a larger one.",
    "image.too_narrow": "The picture is {size}: one side may be at most {allowed} times the other. Crop it.",
    "image.animated": "The file holds several frames or pages; the first one is used.",
    "image.transparent": "The picture is partly transparent; it was put on the background {background}.",
    "image.scaled_down": "The picture ({source} pixels) was scaled down to {size}, more than any clip has.",
    "image.extra_skipped": (
        "The file holds long texts or other data that is not part of the picture. They were left out; the"
        " picture is whole."
    ),
    "image.repaired": (
        "The file is damaged outside of its pixels (a wrong checksum, say, or a missing end). The picture is"
        " whole."
    ),
    "image.hdr": "The picture is HDR (PQ or HLG) and is used as an ordinary one, so it may look flat.",
    "image.profile_ignored": "The picture's colour profile is broken; it was ignored, so colours may differ.",
    "image.orientation_unknown": "The picture's EXIF data is broken. If it lies on its side, turn it.",
    "image.upscaled": "The picture is smaller than {size} and was enlarged {factor} times. Use a larger one.",
    "image.cropped": "The picture ({source}) was cropped: {left} pixels at the left, {top} at the top, "
    "{right} at the right and {bottom} at the bottom. Use fit = pad to keep all of it.",
    "image.padded": "The picture was padded to {size}: {left} pixels at the left, {top} at the top, {right} "
    "at the right and {bottom} at the bottom. Use fit = crop to fill the frame.",
    # video
    "output.bad_extension": "The output {path} does not end in .mp4. Name a file that does.",
    "output.bad_name": "The output name {path} cannot be used: {reason}. Choose another name.",
    "output.exists": "The output {path} exists already. Choose another name, or pass --force to replace it.",
    "output.not_a_file": "The output {path} is a folder. Name a file in it.",
    "output.not_a_folder": "The output folder {path} is not a folder. Choose another one.",
    "output.not_writable": "Nothing can be written to the folder {path} ({reason}). Choose another one, or "
    "change its permissions.",
    "output.no_space": "The disk of {path} has {free_mib} MiB left, {needed_mib} are needed. Free some.",
    "encode.no_ffmpeg": (
        "ffmpeg cannot be run ({reason}). Install imageio-ffmpeg 0.6 or newer, or set IMAGEIO_FFMPEG_EXE to"
        " an ffmpeg that runs here."
    ),
    "encode.no_libx264": (
        "The ffmpeg at {path} (version {version}) was built without libx264, which encodes the videos. Set"
        " IMAGEIO_FFMPEG_EXE to one that has it, or unset it and install imageio-ffmpeg 0.6 or newer."
    ),
    "encode.no_aac": (
        "The ffmpeg at {path} (version {version}) was built without AAC, which encodes the sound. Set"
        " IMAGEIO_FFMPEG_EXE to one that has it, or unset it and install imageio-ffmpeg 0.6 or newer."
    ),
    "encode.old_ffmpeg": (
        "The ffmpeg at {path} has version {version}; {oldest} or newer is needed. Install imageio-ffmpeg 0.6"
        " or newer, which brings one, or set IMAGEIO_FFMPEG_EXE to a newer one."
    ),
    "encode.unfit_ffmpeg": (
        "The ffmpeg at {path} (version {version}) failed to make a small test clip: {reason}. Install"
        " imageio-ffmpeg 0.6 or newer, or set IMAGEIO_FFMPEG_EXE to another ffmpeg."
    ),
    "encode.bad_input": "{field} = {value} cannot be encoded: {allowed}.",
    "encode.no_frames": "No frame was given, so there is no video to write.",
    "encode.no_space": "The disk of {path} became full while writing ({reason}). Free some space.",
    "encode.out_of_memory": (
        "Memory ran out while frames were scaled and encoded ({reason}). Choose a smaller size, or close"
        " other programs."
    ),
    "encode.failed": "The video could not be written to {path}: {reason}.",
    "encode.frames_lost": "{found} of {expected} frames arrived in the video; it was removed. Try again.",
    "encode.mismatch": "The video came out with {field} = {found} instead of {expected}; it was removed.",
    "encode.broken": "The video {path} cannot be decoded: {reason}.",
    "unpublished.kept": (
        "The decoded frames are kept for {days} days. Once the cause is fixed, a retry publishes the video"
        " without computing it again."
    ),
    "unpublished.not_kept": (
        "The decoded frames could not be kept either ({path}: {reason}), so a retry computes them again."
    ),
    "unpublished.published": (
        "The frames of an earlier attempt were kept; the video was published from them, and nothing was"
        " computed again."
    ),
    "unpublished.unreadable": (
        "{path} holds no frames that can be published ({reason}). Name a file that i2v generate said it kept."
    ),
    "unpublished.lost": (
        "The kept frames in {path} could not be read ({reason}). Make the clip again, or retry its job, which"
        " computes them again."
    ),
    # doctor: what was found, and what to do about it
    "doctor.memory": (
        "{free} of {total} GiB memory are free; the embedded model's largest preset was measured at {needed}."
    ),
    "doctor.memory_unknown": (
        "{free} of {total} GiB memory are free; what {title} takes on this device was not measured."
    ),
    "doctor.card_memory": "{free} of {total} GiB of the card are free; published needs: {figures} GB.",
    "doctor.memory_fix": (
        "End other programs; choose a smaller resolution or fewer frames; in config.yaml set"
        " engine.decode_chunk: 1, engine.cfg_passes: 2 and engine.offload: model."
    ),
    "doctor.weights_ok": "{title}: the model folder {path} is complete.",
    "doctor.reading": (
        "{title}: {megabytes} MB at {speed} MB/s: reading takes at least {seconds} s, once after a start."
    ),
    "doctor.reading_fix": "Wait for the first clip, or put the folder on a faster disk (models.directory).",
    "doctor.motion": "Stiff motion comes of a vague prompt, which cannot be checked here.",
    "doctor.motion_fix": (
        "Write direction and pace ('the camera slowly pans left') and at most three actions; leave out"
        " 'beautiful' and 'perfect'. For motion that runs backwards: more steps, and the negative prompt"
        " 'reverse motion, backward flow'."
    ),
    "doctor.ffmpeg_ok": "ffmpeg wrote and read a small H.264 clip in {seconds} s.",
    "doctor.ffmpeg_broken": "ffmpeg made no clip: {reason}",
    "doctor.ffmpeg_broken_fix": (
        "Run bash scripts/setup.sh, and unset IMAGEIO_FFMPEG_EXE or let it name an ffmpeg with libx264."
    ),
    "doctor.port_free": "Port {port} is free.",
    "doctor.port_ours": "Port {port} is open, by this very process.",
    "doctor.port_taken": "Port {port} is taken by {name} (process {pid}).",
    "doctor.port_taken_fix": "End it: kill {pid}",
    "doctor.port_taken_unseen": "Port {port} is taken by a program that this user may not see.",
    "doctor.port_taken_unseen_fix": "Find and end it: sudo ss -ltnp 'sport = :{port}'",
    "doctor.port_closed": "Port {port} cannot be opened: {reason}.",
    "doctor.port_closed_fix": "Choose a port above 1023.",
    "doctor.card_ok": "{card}, driver {driver}: nothing is seen that keeps torch from it.",
    "doctor.card_silent": "There must be an NVIDIA card, but it does not answer: {reason}.",
    "doctor.card_silent_fix": "Install the NVIDIA driver, or repair it, until nvidia-smi lists the card.",
    "doctor.card_hidden": "CUDA_VISIBLE_DEVICES = {value} leaves torch no card.",
    "doctor.card_hidden_fix": "Unset CUDA_VISIBLE_DEVICES.",
    "doctor.no_card": "There is no NVIDIA card: everything runs on the CPU.",
    "doctor.no_card_fix": "The embedded demo model is made for that; I2VGen-XL is not.",
    "doctor.cpu_chosen": "The settings choose the CPU (engine.device: cpu).",
    "doctor.torch_missing": "torch is not installed, or its files are gone.",
    "doctor.torch_rocm": "torch {torch} is built for ROCm; AMD cards are not checked here.",
    "doctor.torch_without_cuda": "torch {torch} is built without CUDA, so {card} is not used.",
    "doctor.torch_without_cuda_fix": "Run I2V_TORCH=cuda bash scripts/setup.sh.",
    "doctor.driver_old": (
        "{card}: its driver {driver} is too old for torch's CUDA {cuda}, which needs {oldest} or newer."
    ),
    "doctor.driver_old_fix": (
        "Update the NVIDIA driver; or remove the environment, set I2V_TORCH_INDEX to an index with builds"
        " for an older CUDA, and run bash scripts/setup.sh."
    ),
    "doctor.full_precision": "engine.dtype: float32 takes twice the card's memory that half precision takes.",
    "doctor.full_precision_fix": "Set engine.dtype: auto.",
    "doctor.threads_free": "torch finds the number of CPU threads itself; cores: {cores}.",
    "doctor.threads": "CPU threads that are set: {threads}; cores: {cores}.",
    "doctor.threads_fix": "Set engine.threads: 0 and unset OMP_NUM_THREADS: torch finds the number itself.",
    "doctor.alone": "No other program was seen that holds the card, or torch in much memory.",
    "doctor.card_shared": "{name} (process {pid}) uses the card too.",
    "doctor.memory_shared": "{name} (process {pid}) runs torch too and holds {gib} GiB of memory.",
    "doctor.others_fix": "Run one job at a time: wait for it, or end it.",
    "doctor.python": "Python is {version}; supported: {wanted}.",
    "doctor.packages_ok": "All {count} packages are installed in supported versions.",
    "doctor.package_missing": "The package {name} is not installed.",
    "doctor.package_version": "The package {name} is installed as {version}, but {wanted} is needed.",
    "doctor.setup_fix": "Run bash scripts/setup.sh.",
    "doctor.settings_default": "The settings are the defaults (configs/default.yaml) and the environment's.",
    "doctor.settings_ok": "The settings in {path} are valid.",
    "doctor.not_checked": "Not checked: this depends on the settings, which are not valid.",
    "doctor.output_ok": "Videos can be written to {path}, where {free} GiB are free.",
    "doctor.output_low": "Videos can be written to {path}, but only {free} GiB are free there.",
    "doctor.output_low_fix": "Delete old videos, or set output.directory to another disk.",
    "doctor.logs_ok": "Logs can be written to {path}.",
    "doctor.logs_unwritable": "Logs cannot be written to {path} ({reason}): details of failures are lost.",
    "doctor.logs_unwritable_fix": "Change the permissions of that folder.",
    "doctor.clock_ok": "The clock says {now}.",
    "doctor.clock_back": "The clock says {now}, but i2v's files were written at {written}.",
    "doctor.clock_back_fix": "Set the clock: names of videos and downloads depend on it.",
    "doctor.variables": "Proxies and mirrors that are set: {variables}.",
    "doctor.no_variables": "No proxy and no mirror is set.",
}

# What to do, where the sentence above does not say it itself.
HINTS: dict[str, str] = {
    "request.missing_field": "Add the field to the request.",
    "request.not_supported": "Leave it out, or choose another model.",
    "weights.cancelled": "Start it again when you like: i2v models download i2vgen-xl",
    "models.check_stopped": "Check it again when you like.",
    "models.idle": "Nothing needs to be done.",
    "weights.not_published": "Name another model: i2v models",
    "weights.vgen_original": "Download the right files: i2v models download i2vgen-xl",
    "weights.pickle": "Download the right files: i2v models download i2vgen-xl",
    "weights.not_ours": "Delete the folder by hand if nothing else uses it.",
    "weights.nothing_to_remove": "Nothing needs to be done.",
    "weights.missing_tensor": "Fetch the model again.",
    "weights.unexpected_tensor": "Fetch the model again.",
    "weights.misshapen_tensor": "Fetch the model again.",
    "weights.wrong_class": "Fetch the model again.",
    "cli.result_lost": "Redirect standard output to where it can be written, then run the command again.",
    "job.cancelled": "Retry the job if you want the video after all.",
    "job.no_video": "Follow the job until it has succeeded.",
    "job.video_missing": "Put the file back, make the clip again with the same settings, or delete the job.",
    "job.video_broken": "Put a copy back, make the clip again with the same settings, or delete the job.",
    "job.unknown": "List the jobs there are: GET /api/v1/jobs",
    "job.already_finished": "Nothing needs to be done.",
    "job.not_retryable": "Wait until it has ended; for one more video, submit a new job.",
    "job.no_thumbnail": "Nothing else is missing: show the job without it.",
    "job.no_preview": "Follow the job's events: they tell when there is a preview.",
    "http.malformed": "See /docs for what this address reads.",
    "http.internal": "Try again; if it happens again, report it with what stands in the log.",
    "server.stopping": "Ask for the job again when the service runs: GET /api/v1/jobs",
    "encode.no_frames": "Retry the job; if it happens again, report it with what stands in the log.",
    "encode.failed": "Check the disk and who may write there, then retry the job.",
    "encode.mismatch": "Retry the job.",
    "encode.broken": "Make the video again.",
}
