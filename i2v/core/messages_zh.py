"""The sentences of `messages.MESSAGES` and `messages.HINTS` in Simplified Chinese, by code.

A test holds both tables to the same codes and params. This module knows no page.
"""

from __future__ import annotations

CHINESE: dict[str, str] = {
    # the request
    "request.unknown_field": "未知字段 {field!r}。是否想写 {nearest!r}？可用字段：{allowed}。",
    "request.invalid": "{field} = {value} 不可用，要求：{allowed}。",
    "request.missing_field": "缺少 {field}。",
    "request.half_size": "height 和 width 要一起给出；也可以只给 resolution。",
    "request.two_sizes": "resolution（{resolution}）与 height、width（{height} x {width}）只能给其中一种。",
    "request.blank_prompt": "提示词为空：请写出画面里要发生什么，例如“the camera pans left”。",
    "request.not_supported": "{title} 不支持 {field}（收到 {value}）。",
    "request.unknown_engine": "没有名为 {value} 的模型，可选：{allowed}。",
    "request.untrained_frames": "{title} 按 {low} 到 {high} 帧训练；用 {num_frames} 帧时运动可能不稳定。",
    "request.scaled_up": (
        "{title} 生成 {generated_width} x {generated_height} 像素，视频放大到 {width} x {height}。"
    ),
    "request.upscaled": (
        "{title} 生成 {generated_width} x {generated_height} 像素，由神经网络 {upscaler} 放大到"
        " {width} x {height}。"
    ),
    "upscale.missing": (
        "{upscaler} 尚未安装：视频改用普通重采样放大，清晰度较低。解决办法：bash scripts/setup.sh {extra}"
    ),
    "upscale.unusable": (
        "{upscaler} 无法在此放大画面（{reason}）。解决办法：bash scripts/setup.sh {extra}，或设"
        " output.upscaler: lanczos 改用普通重采样。"
    ),
    "request.size_changed": (
        "请求的尺寸是 {asked_width} x {asked_height}，视频是 {width} x {height}：H.264 的边长必须是偶数。"
    ),
    "request.size_rounded": (
        "{width} x {height} 不是 {multiple} 的倍数：模型生成 {generated_width} x {generated_height}"
        " 像素，再缩放。"
    ),
    "request.target_fps_clamped": (
        "模型适用于每秒 {low} 到 {high} 帧：生成条件取 {target_fps}，视频按 {fps} 播放。"
    ),
    "compile.failed": "torch.compile 在本机无法使用（{reason}）：此片段未经编译生成。",
    "speed.not_measured": "快速模式：尚未在这些权重上按此尺寸、帧数、引导强度和步数测量，因此逐步完整采样。",
    "speed.unproven": (
        "快速模式：尚未在这些权重上按此尺寸、帧数、引导强度和步数测量。请与 speed: exact 的结果比较。"
    ),
    "request.gradient_checkpointing": (
        "gradient_checkpointing 在生成时不省内存（只对训练有用），因此没有任何改变。真正省内存的办法："
        "降低分辨率、减少帧数、逐帧解码（decode_chunk: 1）。"
    ),
    "prompt.syntax": "提示词中的 {pieces} 在这里只是普通文字：其他程序的权重、LoRA、选项和参数写法不起作用。",
    "prompt.negative_syntax": (
        "反向提示词中的 {pieces} 在这里只是普通文字：其他程序的权重、LoRA、选项和参数写法不起作用。"
    ),
    "prompt.truncated": "模型最多读取提示词的 {limit} 个 token，以下部分被截去：{removed}",
    "prompt.negative_truncated": "模型最多读取反向提示词的 {limit} 个 token，以下部分被截去：{removed}",
    # advice
    "advice.small_picture": "图片只有 {size} 像素，各边至少 {wanted} 像素时效果更好。",
    "advice.blurred_picture": "图片看起来模糊，细节只相当于长边 {side} 像素的图片：请换一张更清晰的。",
    "advice.text_in_picture": "图片里似乎有文字，动起来会变形：请裁掉文字，或换一张图片。",
    "advice.long_prompt": "提示词约 {tokens} 个 token，模型只读前 {limit} 个：把最重要的写在前面。",
    "advice.abstract": "“{words}”没有说明任何动作：请写清谁在动、朝哪个方向、快慢如何。",
    "advice.many_actions": "这里大约有 {count} 个动作，{allowed} 个以内效果更好。",
    "advice.language": "{title} 只理解这些语言：{languages}。请换一种语言书写。",
    "advice.high_guidance": "引导强度 {guidance_scale} 超过 {limit} 时画面会变形，通常取 6 到 9。",
    "advice.low_fps": "每秒 {fps} 帧会显得卡顿；8 较常用，12 更流畅。",
    "advice.unknown_motion": "{title} 只会镜头运动，请写其中一种：{phrases}。",
    # the camera move over a photograph
    "camera.pan_left": "镜头向左平移画面宽度的 {percent}%。",
    "camera.pan_right": "镜头向右平移画面宽度的 {percent}%。",
    "camera.tilt_up": "镜头向上移动画面高度的 {percent}%。",
    "camera.tilt_down": "镜头向下移动画面高度的 {percent}%。",
    "camera.zoom_in": "镜头推近：结束时景物为起始大小的 {percent}%。",
    "camera.zoom_out": "镜头拉远：结束时景物为起始大小的 {percent}%。",
    "camera.roll_clockwise": "画面顺时针旋转 {degrees} 度。",
    "camera.roll_counterclockwise": "画面逆时针旋转 {degrees} 度。",
    "camera.still": "镜头静止：所有帧都相同。",
    "camera.loop": "镜头往返移动：视频可以无缝循环播放。",
    "camera.loop_easing": "easing = {easing} 不起作用：循环在折返前必须减速，否则会有跳动。",
    "camera.default_move": (
        "提示词没有提到镜头运动，因此镜头缓慢推近。需要其他运动时，请写明，例如“向左平移”或“拉远”。"
    ),
    "camera.contradiction": "提示词要求了相反的运动：采用 {kept!r}，忽略 {dropped!r}。",
    "camera.room": (
        "运动需要在画面边缘留出余地：最宽的一帧显示图片宽度的 {percent}%，镜头静止时为 {still_percent}%。"
        "减小运动幅度可以看到更多内容。"
    ),
    "camera.enlarged": (
        "图片的像素不足以生成此尺寸的视频：画面用 Lanczos 重采样放大，最多 {factor} 倍，会显得不够清晰。"
        "请使用更大的图片、更小的视频尺寸，或减小推近幅度。"
    ),
    # settings
    "settings.unknown_key": "{source}：未知设置 {key!r}。是否想写 {nearest!r}？",
    "settings.invalid": "{source}：{key} = {value} 不可用，要求：{allowed}。",
    "settings.unreadable": "{source} 无法作为设置读取：{reason}",
    # weights and devices
    "weights.missing_folder": "{title}：{path} 处没有模型文件夹。{fix}",
    "weights.missing_file": "{title}：模型文件夹缺少 {path}。请重新获取模型。",
    "weights.bad_index": "{title}：分片索引 {path} 无法使用：{reason}。请重新获取该文件。",
    "weights.unreadable": "{title}：无法读取 {path}：{reason}。请重新获取该文件。",
    "weights.offline": (
        "{title}：{path} 中没有完整的模型，且已设置 models.offline，因此不会下载。"
        "请取消该设置，或从另一台机器拷来文件夹：i2v models add FOLDER"
    ),
    "weights.no_source": (
        "{title}：无法从任何来源获取 {file}（{reasons}）。已下载的部分会保留：请稍后再试，"
        "或设置其他镜像（models.sources）。"
    ),
    "weights.captive_portal": (
        "{title}：当前网络对所有来源都返回它自己的网页（{page}），酒店、列车的网络在登录之前就是这样。请用浏览器"
        "打开任意网页，登录后重试。已下载的部分会保留。"
    ),
    "weights.disk_full": (
        "{path}：还需要 {needed} GB，而磁盘只剩 {free} GB。请腾出空间，或把 models.directory 设到别的磁盘。"
        "已下载的部分会保留。"
    ),
    "weights.unwritable": "无法写入 {path}：{reason}。请检查磁盘和写入权限。",
    "weights.cancelled": "下载已停止。已下载的部分会保留：下次从断点继续。",
    "weights.not_published": "{title} 是 i2v 自带的：不能下载、添加或删除。",
    "weights.published_nowhere": (
        "{title} 没有可供 i2v 下载的发布位置。请添加文件夹：i2v models add {name} FOLDER"
    ),
    "weights.licence": (
        "{title} 的许可需要您先接受：{licences}。请阅读并接受："
        "运行 i2v models download {name} --accept-licence，或使用页面上的按钮。"
    ),
    "weights.which_model": (
        "无法从 {path} 看出它属于哪个模型。请写明：i2v models add NAME FOLDER，NAME 为以下之一：{allowed}。"
    ),
    "weights.no_folder": "没有文件夹 {path}。请指定包含 model_index.json 的文件夹。",
    "weights.no_index": "{path} 中没有模型：缺少 {file}。请指定 {title} 自己的文件夹。",
    "weights.vgen_original": (
        "{path} 是 VGen 的原始检查点：i2v 不读取也不转换它。"
        "同样的权重、正确的格式：i2v models download {name}"
    ),
    "weights.pickle": (
        "{path} 是 pickle 文件，读取时可能运行任意程序：i2v 只读 safetensors。"
        "同样的权重、该格式：i2v models download {name}"
    ),
    "weights.not_ours": "{title} 位于 {path}，是 i2v 找到的，不是它创建的：请自行到那里删除。",
    "weights.nothing_to_remove": "{title}：{path} 处没有可删除的内容。",
    "weights.unconfirmed": "没有删除任何内容：请回答 yes，或使用 --yes。",
    "weights.already_there": "{title} 已经在 {path}。没有下载任何内容。",
    "weights.linked": (
        "{title} 已完整。其中 {count} 个文件本机已有，直接在原处使用。要校验它们：i2v models verify {name}"
    ),
    "weights.checked": "{title}：每个文件都与 {source} 给出的一致（SHA-256；小文件用 git 的哈希）。",
    "weights.size_only": "{title}：只检查了大小，因为没有来源给出每个文件的哈希。",
    "weights.bad_files": "{title}：以下文件不正确：{files}。请重新获取：i2v models download {name}",
    "weights.missing_tensor": "{path}：缺少张量 {tensor}（共 {count} 个）。该文件不属于此模型。",
    "weights.unexpected_tensor": "{path}：多出张量 {tensor}（共 {count} 个）。该文件不属于此模型。",
    "weights.misshapen_tensor": "{path}：张量 {tensor} 的形状是 {found}，应为 {expected}。",
    "weights.wrong_class": "{path} 描述的是 {found}，应为 {expected}。该文件夹不属于此模型。",
    "models.busy": "{title} 正在下载或校验。请等它结束，或先取消。",
    "models.check_stopped": "{title} 的校验在完成前已停止。",
    "models.idle": "{title} 没有正在进行的操作，无需取消。",
    "device.no_cuda": "device = cuda，但这里没有可用的 CUDA 设备。请把 device 设为 cpu 或 auto。",
    "decode.tiled": (
        "为节省内存，帧按 {side} 像素的分块解码（engine.vae_tiling）：与整帧解码略有差别，分块相接处最明显。"
    ),
    "decode.nan": "{count} 帧在 {dtype} 下解码为 NaN，已用 float32 重新解码。",
    "decode.nan_float32": (
        "即使用 float32，帧也解码为 NaN。模型文件可能已损坏：请重新获取；若未损坏，请换一个种子。"
    ),
    "engine.none": "engine = auto 在本机找不到可以运行的模型。请指定其一：{allowed}。",
    "engine.auto_full": "auto 使用 {title}：找到了 CUDA 设备，模型文件夹是 {path}。",
    "engine.auto_no_cuda": "auto 使用内置演示模型：没有找到 CUDA 设备。",
    "engine.auto_no_weights": "auto 使用内置演示模型：有 CUDA 设备，但 {path} 中没有完整的模型。",
    "engine.auto_neither": "auto 使用内置演示模型：没有找到 CUDA 设备，{path} 中也没有完整的模型。",
    "engine.out_of_memory": (
        "设备内存不足（{reason}）。可行的办法：降低分辨率、减少帧数；在 config.yaml 中设"
        " engine.cfg_passes: 2、engine.decode_chunk: 1，使用 CUDA 时再设 engine.offload: model。"
    ),
    "ladder.condition": "编码提示词和图片时内存不足。",
    "ladder.load": "加载模型时内存不足。",
    "ladder.denoise": "去噪时内存不足；已完成的步骤保留。",
    "ladder.decode": "解码帧时内存不足；已完成的帧保留。",
    "ladder.short": "本机内存即将用尽。",
    "ladder.after_death": "执行此任务时工作进程异常退出了 {deaths} 次，可能是内存不足：改用最省内存的方式。",
    "ladder.chunk_tokens": "此后每次处理 {chunk_tokens} 个 token：较慢，画面不变。",
    "ladder.decode_chunk": "此后每次解码 {decode_chunk} 帧：较慢，画面不变。",
    "ladder.cfg_passes": "此后引导分 {cfg_passes} 遍计算：较慢，画面不变。",
    "ladder.offload_encoders": "此后提示词和图片的编码器留在内存中：较慢，画面不变。",
    "ladder.offload_model": "此后模型各部分留在内存中：较慢，画面不变。",
    "ladder.vae_tiling": "此后分块解码帧：画面略有差别，可能看到接缝。",
    "ladder.exhausted": "用最省内存的方式仍然内存不足（{reason}）。请降低分辨率、减少帧数，或关闭其他程序。",
    "ladder.exhausted_either": (
        "用最省内存的方式仍然内存不足（{reason}）。请改用 {num_frames} 帧，或 {resolution} 分辨率。"
    ),
    "ladder.exhausted_fewer": "用最省内存的方式仍然内存不足（{reason}）。请改用 {num_frames} 帧。",
    "ladder.exhausted_smaller": "用最省内存的方式仍然内存不足（{reason}）。请改用 {resolution} 分辨率。",
    "encode.out_of_memory": "缩放和编码帧时内存不足（{reason}）。请选择较小的尺寸，或关闭其他程序。",
    # provenance
    "provenance.none": "{path} 没有记录生成方式：它不是 i2v 写的，或元数据已丢失。",
    "provenance.unreadable": "{path} 中的生成记录无法读取（{reason}）。",
    "like.no_prompt": "{path} 写入时没有保存提示词：请给出 --prompt。",
    "like.left_out": "{path} 写入时没有保存 {what}：画面可能不同。",
    "like.unknown": (
        "{path} 由更新版本的 i2v 生成，其中有本版本不认识的内容（{names}），已忽略：画面可能不同。"
    ),
    "like.differs": "{path} 中的 {what} 是 {before}，现在是 {now}：画面可能不同。",
    "clip.unreadable": "{path} 无法作为视频读取：{reason}。",
    # jobs
    "job.cancelled": "任务已取消。",
    "job.internal": "i2v 内部出错（{kind}），详情见工作进程的日志。请重试任务。",
    "job.output_taken": "{path} 已被另一个文件占用。请把它移走，再重试任务。",
    "job.no_video": "任务 {id} 没有视频：状态为 {status}。",
    "job.video_missing": "任务 {id} 的视频已不存在：{path} 已被删除、移走或清空。",
    "job.video_broken": "任务 {id} 的视频 {path} 无法播放：{reason}。",
    "job.not_removed": "无法删除 {path}：{reason}。请检查其所在文件夹的写入权限，然后重试。",
    "job.picture_lost": "任务的图片 {path} 无法读取（{reason}）。请重新提交。",
    "job.no_thumbnail": "任务 {id} 的图片已不存在。",
    "job.no_preview": "任务 {id} 没有预览：状态为 {status}。去噪阶段才有预览。",
    "job.interrupted": "已中断，没有留下任何文件。",
    "cli.result_lost": "结果无法写到标准输出：{reason}。",
    "cli.video_kept": "视频在 {path}。",
    "job.unknown": "没有任务 {id}，它可能已被删除。",
    "job.unreadable": (
        "无法读取此任务的详细信息（{reason}），可能由其他版本的程序写入。若仍在排队，请先取消，再将其删除。"
    ),
    "job.queue_full": "已有 {queued} 个任务在等待，上限为 {allowed}。请稍后再试。",
    "job.idempotency_conflict": "Idempotency-Key {key} 已用于另一个请求。每个新请求请用新的值。",
    "job.already_finished": "任务 {id} 的状态是 {status}，不能再取消。",
    "job.not_retryable": "任务 {id} 的状态是 {status}：只有失败或已取消的任务可以重试。",
    "job.not_finished": "任务 {id} 的状态是 {status}：请先取消再删除。",
    "job.bad_cursor": "cursor = {cursor} 不可用：请使用上一页的 next_cursor。",
    "job.worker_died": "工作进程在此任务中崩溃了 {deaths} 次。请降低分辨率或减少帧数；原因可能在日志里。",
    "job.interrupted_too_often": (
        "服务在此任务中被中断了 {interruptions} 次。如果不是你停止的，请降低分辨率或减少帧数后重试。"
    ),
    "worker.no_supervision": "目前无法运行任务（{reason}）。服务会继续重试，详情见服务日志。",
    "worker.not_started": "工作进程无法启动。请查看 {path}，或运行 i2v doctor。",
    "plan.seconds": "约 {seconds} 秒（按本机已完成的任务估计）。",
    "plan.seconds_guess": "初步估计约 {seconds} 秒；完成任务后会更准确。",
    "plan.fits": "放得下：需要 {needed} GB，可用 {free} GB。",
    "plan.small_chunks": "计算分成小块进行。",
    "plan.two_passes": "引导分两遍计算。",
    "plan.offload_encoders": "编码器在内存中等候。",
    "plan.offload_model": "模型各部分轮流使用显卡，其余时间在内存中等候。",
    "plan.tiled": "画面分块解码，与显存更大时的画面略有差别。",
    "plan.too_large": "可能放不下：至少需要 {needed} GB，可用 {free} GB。请降低分辨率或减少帧数。",
    "plan.too_large_ram": "可能放不下：需要 {needed} GB 内存，可用 {free} GB。请关闭其他程序。",
    "plan.fewer_frames": "按此尺寸，{num_frames} 帧放得下。",
    "plan.smaller": "按 {resolution}，{num_frames} 帧放得下。",
    "plan.other_device": "任务提交时按 {before} 规划，现在在 {now} 上运行，已重新规划内存。",
    "plan.made_again": "提交之后可用内存或设置有变化，已重新规划内存。",
    "plan.unknown": "暂不清楚：本机还没有用此模型完成过任务。",
    # HTTP and the server
    "bench.not_writable": "无法写入 {path}：{reason}。请用 --json 指定其他文件。",
    "bench.silent": "测量进程 {seconds} 秒没有响应，已被结束。请运行 i2v doctor。",
    "bench.died": "测量进程意外结束（状态 {status}）。请运行 i2v doctor。最后的输出：{words}",
    "bench.no_stock": "没有已知的其他程序可以运行 {title}。",
    "bench.frames_apart": "帧最多相差 {highest}（满值 255），平均 {mean}：超出舍入误差。",
    "bench.no_watch": "无法检查 {title} 的数值。",
    "bench.not_finite": (
        "第 {step} 步：{what} 在 {dtype} 下有 {count} 个数为 NaN 或无穷大。请更换 engine.dtype。"
    ),
    "bench.black": "{dtype} 下有 {count} 帧全黑。",
    "bench.decoded_again": "{count} 帧在 {dtype} 下解码为 NaN，改用 float32 后正常。",
    "bench.stops_late": "在 {stage} 阶段取消后，又运行了 {seconds} 秒。",
    "bench.keeps_memory": "在 {stage} 阶段取消后，有 {mib} MiB 内存没有释放。",
    "bench.other_frames_after": "取消之后，同样的短片结果不同。",
    "bench.no_shortage": "无论减少多少内存都没有耗尽：没有试到逐级降低内存占用。",
    "http.no_such_path": "{path} 处没有内容。可用的地址见 /docs。",
    "http.bad_method": "{path} 不支持 {method}，请用 {allowed}。",
    "http.bad_host": (
        "Host = {value} 不是本服务的名称。请用服务启动时显示的地址，或把它加入 security.allowed_hosts。"
    ),
    "http.foreign_origin": (
        "Origin = {value}：来自那里的页面不能在这里做任何更改。请用本服务自己的页面，或把该页面的主机加入"
        " security.allowed_hosts。"
    ),
    "http.no_token": (
        "此服务需要访问令牌。请发送请求头 Authorization: Bearer TOKEN，或在浏览器中打开 /login。"
    ),
    "http.wrong_token": "访问令牌不正确。请使用服务生成令牌时显示的那一个。",
    "http.too_many_tokens": "来自该处的错误令牌过多，请在 {seconds} 秒后再试。",
    "http.too_large": "请求超过 {allowed} 字节。请减小内容，或调高 security.max_request_megabytes。",
    "http.media_type": "Content-Type = {value} 不可用，请用 {allowed}。",
    "http.content_encoding": "Content-Encoding = {value} 不可用：请发送未压缩的内容。",
    "http.transfer_encoding": (
        "{field} 带有 Content-Transfer-Encoding: {value}。请去掉该请求头，直接发送原内容。"
    ),
    "http.charset": (
        "{field} 声明的字符集是 {value}，但这里只读 UTF-8。请发送 UTF-8，并声明为 UTF-8 或不声明。"
    ),
    "http.not_utf8": (
        "{field} 不是 UTF-8 文本，可能是 GBK、Big5、Shift-JIS 或 Latin-1（Windows 上的一些程序会这样发送）。"
        '请发送 UTF-8。用 curl 时，请把文字存成 UTF-8 文件再发送：表单用 -F "prompt=<prompt.txt"，'
        "JSON 用 --data-binary @request.json。"
    ),
    "http.malformed": "请求内容无法读取：{reason}。",
    "http.repeated_field": "{field} 给出了不止一次，请只给一次。",
    "page.too_large": "页面发送的内容超过 {allowed} 字节。请一次少选几张图片。",
    "page.unknown_session": "窗口 {value} 没有正在进行的操作。请重新加载页面。",
    "page.busy": "页面上同时进行的操作太多，请稍后再试。",
    "page.uploads_full": "页面上传的图片已占满允许的空间（{megabytes} MB），请 10 分钟后再试。",
    "http.internal": "i2v 内部出错（{kind}），详情见服务日志。",
    "server.not_ready": "工作进程还没有就绪，或无法启动。请一分钟后再试。",
    "server.not_now": "目前无法接收或运行任务。带上访问令牌再查询 /readyz，即可看到原因。",
    "server.halted": "启动任务的部分已经结束。请重新启动服务，任务都已保存。",
    "server.stopping": "服务正在停止。任务 {id} 已保存，下次启动后继续。",
    "server.bad_host": (
        "server.host = {host} 不是本机的地址（{reason}）。"
        "只供本机使用请填 127.0.0.1，供网络使用请填 0.0.0.0。"
    ),
    "server.token_file": (
        "{path} 中的密钥无法使用：{reason}。请让该文件只归您所有（chmod 600），或把它移走，下次启动时会"
        "生成新的密钥。"
    ),
    "server.port_taken": (
        "{host} 的端口 {port} 无法打开：{reason}。请用 --port 换一个，或查看谁占用了它："
        "i2v doctor --port {port}"
    ),
    "server.data_in_use": (
        "另一个服务正在使用文件夹 {path}。请停止它，或用 service.data_dir、I2V_DATA_DIR 为本服务另选一个。"
    ),
    # the data folder
    "data.not_a_folder": (
        "{path} 处应当是文件夹，现在是别的东西。请把它移走，或用 service.data_dir、I2V_DATA_DIR 另选一个数据"
        "文件夹。"
    ),
    "data.not_a_file": "{path} 处应当是服务的文件，现在是别的东西。请把它移走。",
    "data.is_link": (
        "{path} 是链接，服务不会跟随链接离开数据文件夹。请把它指向的内容放到这里。若要把数据存放在别处，"
        "请用 service.data_dir 或 I2V_DATA_DIR 指定整个文件夹。"
    ),
    "data.unusable": (
        "数据文件夹无法使用（{path}：{reason}）。请检查磁盘和写入权限，或用 service.data_dir、I2V_DATA_DIR"
        " 另选一个数据文件夹。"
    ),
    "data.no_space": "数据文件夹（{path}）所在磁盘只剩 {free_mib} MiB，需要 {needed_mib} MiB。请清理出空间。",
    # databases
    "database.replaced": (
        "{path} 在服务运行时被删除或替换。请放回原来的文件，或重新启动服务；在此之前不接受任务。"
    ),
    "database.damaged": (
        "{path} 已损坏（{reason}）。请停止程序，把该文件和旁边以 -wal、-shm 结尾的文件移走，或放回一份副本。"
    ),
    "database.newer": "{path} 由更新版本的程序写入（{found}；本程序只认识 {known}）。请更新程序。",
    "database.older": (
        "{path} 由较早版本的程序写入（{found}；本程序需要 {known}）。请运行一次 i2v serve，它会升级该文件。"
    ),
    "database.no_copy": (
        "{path} 由较早版本的程序写入。升级之前要在旁边保留一份副本，但没有成功（{reason}）。"
        "请清理出空间或检查写入权限，然后重新启动。"
    ),
    "database.not_upgraded": (
        "{path} 无法从版本 {found} 升级到 {version}（{reason}），文件保持原样。"
        "请继续使用写入它的程序，并报告此问题。"
    ),
    "database.unusable": "{path} 无法使用：{reason}。请检查磁盘和写入权限。",
    # pictures
    "path.address": "{value} 是网址，i2v 不打开网址：请先下载，再给出文件。",
    "path.file_url": "{value} 是网址。请直接写文件的路径：{path}",
    "path.data_url": "这是 data: 网址，不是文件。请先把图片存成文件，再给出该文件。",
    "image.missing": "无法读取 {path}：没有这个文件。请检查文件名；相对路径从 {folder} 开始。",
    "image.is_folder": "{path} 是文件夹。请给出其中的一张图片。",
    "image.is_video": (
        "{path} 是视频，而这里需要图片。请存下它的一帧：ffmpeg -i CLIP -frames:v 1 frame.png。"
        "要照着 i2v 的某个视频再做一个，请用 --like 给出它。"
    ),
    "image.unreadable": "无法读取 {path}：{reason}。",
    "image.no_space": "{path} 所在磁盘已满，图片无法保存（{reason}）。请腾出空间，再重新发送。",
    "image.address": (
        "image = {value}：这里不会打开地址或路径。请发送图片文件本身：用表单，或用 base64 文本。"
    ),
    "image.data_url": (
        "image = {value}：该 data: URL 没有注明 base64。请写成 data:image/png;base64,… 的形式。"
    ),
    "image.not_base64": ("image = {value} 不是 base64：其中有字符 {sign}。请把图片文件编码为 base64。"),
    "image.base64_cut": (
        "image = {value} 有 {count} 个 base64 字符，长度不可能正确：有一部分丢失了。请重新发送。"
    ),
    "image.base64_spaces": (
        "image = {value} 中有空格，可能是换行，也可能是丢失的加号。请发送不含空格的 base64"
        "（在表单和网址中，+ 要写成 %2B）。"
    ),
    "image.empty": "图片为空（0 字节）。请重新选择文件。",
    "image.too_many_bytes": "图片有 {bytes} 字节，最多 {allowed}。请存成更小的文件。",
    "image.unknown_format": "此文件不是这里能读取的图片（它是 {found}）。请存成以下格式之一：{allowed}。",
    "image.damaged": "图片损坏或不完整（{reason}）。请重新保存或上传。",
    "image.too_slow": "解码图片超过 {allowed} 秒。请缩小图片。",
    "image.decoder_died": "该图片使解码程序崩溃（状态 {status}：{reason}）。请重新保存。",
    "image.decoder_stopped": (
        "读取图片的进程被外部终止（状态 {status}），可能是内存用尽。图片本身可能没有问题：请重试。"
    ),
    "image.decoder_missing": "读取图片的进程无法运行（{reason}）。图片本身可能没有问题：请一分钟后重试。",
    "image.decoders_busy": "正在读取的图片太多。请过几秒再试。",
    "image.too_many_scans": "该 JPEG 图片的扫描次数超过 {allowed}，读取太慢。请重新存成普通的 JPEG。",
    "image.not_stored": "图片无法保存到 {path}：{reason}。请检查磁盘。",
    "image.too_large": "图片过大（{size}），最多 {allowed} 像素。请缩小。",
    "image.no_memory": "内存不足，无法解码图片。请缩小图片。",
    "image.too_small": "图片为 {size} 像素，每边至少 {allowed}。请用更大的图片。",
    "image.too_narrow": "图片为 {size}：长边最多是短边的 {allowed} 倍。请裁剪。",
    "image.animated": "文件含有多帧或多页，只用第一帧。",
    "image.transparent": "图片有透明部分，已铺上背景色 {background}。",
    "image.scaled_down": "图片（{source} 像素）已缩小为 {size}；视频本来就比这更小。",
    "image.extra_skipped": "文件含有很长的文字或其他不属于图片的数据，已略去；图片本身完整。",
    "image.repaired": "文件在像素之外有损坏（例如校验和错误或缺少结尾）。图片本身完整。",
    "image.hdr": "图片是 HDR（PQ 或 HLG），按普通图片使用，可能显得灰暗。",
    "image.profile_ignored": "图片的色彩配置文件已损坏并被忽略，颜色可能有偏差。",
    "image.orientation_unknown": "图片的 EXIF 数据已损坏。如果方向不对，请自行旋转。",
    "image.upscaled": "图片小于 {size}，已放大 {factor} 倍。请用更大的图片。",
    "image.cropped": (
        "图片（{source}）已裁剪：左 {left}、上 {top}、右 {right}、下 {bottom} 像素。"
        "要保留全部，请用 fit = pad。"
    ),
    "image.padded": (
        "图片已填充到 {size}：左 {left}、上 {top}、右 {right}、下 {bottom} 像素。"
        "要铺满画面，请用 fit = crop。"
    ),
    # videos
    "output.bad_extension": "输出 {path} 不以 .mp4 结尾。请换一个以 .mp4 结尾的文件名。",
    "output.bad_name": "输出名 {path} 不可用：{reason}。请换一个名称。",
    "output.exists": "输出 {path} 已存在。请换一个名称，或用 --force 覆盖。",
    "output.not_a_file": "输出 {path} 是文件夹。请给出其中的文件名。",
    "output.not_a_folder": "输出位置 {path} 不是文件夹。请另选一个。",
    "output.not_writable": "无法写入文件夹 {path}（{reason}）。请另选一个，或更改权限。",
    "output.no_space": "{path} 所在磁盘剩余 {free_mib} MiB，需要 {needed_mib} MiB。请腾出空间。",
    "encode.no_ffmpeg": (
        "无法运行 ffmpeg（{reason}）。请安装 imageio-ffmpeg 0.6 或更新版本，"
        "或把 IMAGEIO_FFMPEG_EXE 设为能在本机运行的 ffmpeg。"
    ),
    "encode.no_libx264": (
        "{path} 处的 ffmpeg（版本 {version}）不含编码视频所需的 libx264。请把 IMAGEIO_FFMPEG_EXE 设为含有它的"
        " ffmpeg，或取消该变量并安装 imageio-ffmpeg 0.6 或更新版本。"
    ),
    "encode.no_aac": (
        "{path} 处的 ffmpeg（版本 {version}）不含编码声音所需的 AAC。请把 IMAGEIO_FFMPEG_EXE 设为含有它的"
        " ffmpeg，或取消该变量并安装 imageio-ffmpeg 0.6 或更新版本。"
    ),
    "encode.old_ffmpeg": (
        "{path} 处的 ffmpeg 版本为 {version}，需要 {oldest} 或更新版本。请安装自带 ffmpeg 的"
        " imageio-ffmpeg 0.6 或更新版本，或把 IMAGEIO_FFMPEG_EXE 设为更新的 ffmpeg。"
    ),
    "encode.unfit_ffmpeg": (
        "{path} 处的 ffmpeg（版本 {version}）未能生成测试短片：{reason}。请安装 imageio-ffmpeg"
        " 0.6 或更新版本，或把 IMAGEIO_FFMPEG_EXE 设为其他 ffmpeg。"
    ),
    "encode.bad_input": "{field} = {value} 无法编码：{allowed}。",
    "encode.no_frames": "没有任何帧，因此没有视频可写。",
    "encode.no_space": "写入时 {path} 所在磁盘已满（{reason}）。请腾出空间。",
    "encode.failed": "视频无法写入 {path}：{reason}。",
    "encode.frames_lost": "视频只有 {found} 帧，应有 {expected} 帧，已删除。请重试。",
    "encode.mismatch": "视频的 {field} 是 {found}，应为 {expected}，已删除。",
    "encode.broken": "视频 {path} 无法解码：{reason}。",
    "unpublished.kept": "解码好的帧会保留 {days} 天：排除上述问题后重试，即可直接发布视频，无需重新计算。",
    "unpublished.not_kept": "解码好的帧也未能保留（{path}：{reason}），重试时需要重新计算。",
    "unpublished.published": "上次尝试的帧已保留；视频由这些帧发布，没有重新计算。",
    "unpublished.unreadable": "{path} 中没有可以发布的帧（{reason}）。请指定 i2v generate 提示已保留的文件。",
    "unpublished.lost": "无法读取保留在 {path} 中的帧（{reason}）。请重新制作，或重试该任务（会重新计算）。",
    # doctor
    "doctor.memory": "内存剩余 {free} GiB，共 {total} GiB；内置模型最大的预设实测需要 {needed} GiB。",
    "doctor.memory_unknown": "内存剩余 {free} GiB，共 {total} GiB；没有测过 {title} 在此设备上的占用。",
    "doctor.card_memory": "显存剩余 {free} GiB，共 {total} GiB；公布的需求：{figures} GB。",
    "doctor.memory_fix": (
        "请关闭其他程序；降低分辨率或减少帧数；在 config.yaml 中设 engine.decode_chunk: 1、"
        "engine.cfg_passes: 2 和 engine.offload: model。"
    ),
    "doctor.weights_ok": "{title}：模型文件夹 {path} 完整。",
    "doctor.reading": (
        "{title}：{megabytes} MB，读取速度 {speed} MB/s：每次启动后首次读取至少需要 {seconds} 秒。"
    ),
    "doctor.reading_fix": "请等待第一个视频，或把文件夹放到更快的磁盘（models.directory）。",
    "doctor.motion": "动作僵硬多因提示词含糊，这里无法检查。",
    "doctor.motion_fix": (
        "请写明方向和快慢（“the camera slowly pans left”），动作最多三个，不要写“beautiful”“perfect”。"
        "动作倒放时：增加步数，并用反向提示词“reverse motion, backward flow”。"
    ),
    "doctor.ffmpeg_ok": "ffmpeg 用 {seconds} 秒写出并读回了一小段 H.264 视频。",
    "doctor.ffmpeg_broken": "ffmpeg 没有生成视频：{reason}",
    "doctor.ffmpeg_broken_fix": (
        "请运行 bash scripts/setup.sh，并取消 IMAGEIO_FFMPEG_EXE，或让它指向带 libx264 的 ffmpeg。"
    ),
    "doctor.port_free": "端口 {port} 空闲。",
    "doctor.port_ours": "端口 {port} 由本进程打开。",
    "doctor.port_taken": "端口 {port} 被 {name}（进程 {pid}）占用。",
    "doctor.port_taken_fix": "结束它：kill {pid}",
    "doctor.port_taken_unseen": "端口 {port} 被一个当前用户看不到的程序占用。",
    "doctor.port_taken_unseen_fix": "找到并结束它：sudo ss -ltnp 'sport = :{port}'",
    "doctor.port_closed": "端口 {port} 无法打开：{reason}。",
    "doctor.port_closed_fix": "请选择大于 1023 的端口。",
    "doctor.card_ok": "{card}，驱动 {driver}：没有发现妨碍 torch 使用它的问题。",
    "doctor.card_silent": "应有一块 NVIDIA 显卡，但它没有响应：{reason}。",
    "doctor.card_silent_fix": "请安装或修复 NVIDIA 驱动，直到 nvidia-smi 能列出显卡。",
    "doctor.card_hidden": "CUDA_VISIBLE_DEVICES = {value} 使 torch 看不到显卡。",
    "doctor.card_hidden_fix": "请取消 CUDA_VISIBLE_DEVICES。",
    "doctor.no_card": "没有 NVIDIA 显卡：全部在 CPU 上运行。",
    "doctor.no_card_fix": "内置演示模型适合 CPU，I2VGen-XL 不适合。",
    "doctor.cpu_chosen": "设置选择了 CPU（engine.device: cpu）。",
    "doctor.torch_missing": "没有安装 torch，或其文件丢失。",
    "doctor.torch_rocm": "torch {torch} 是 ROCm 版本；这里不检查 AMD 显卡。",
    "doctor.torch_without_cuda": "torch {torch} 不带 CUDA，因此没有使用 {card}。",
    "doctor.torch_without_cuda_fix": "请运行 I2V_TORCH=cuda bash scripts/setup.sh。",
    "doctor.driver_old": "{card}：驱动 {driver} 对 torch 的 CUDA {cuda} 过旧，需要 {oldest} 或更新。",
    "doctor.driver_old_fix": (
        "请更新 NVIDIA 驱动；或删除环境，把 I2V_TORCH_INDEX 设为提供旧 CUDA 版本的索引，"
        "再运行 bash scripts/setup.sh。"
    ),
    "doctor.full_precision": "engine.dtype: float32 占用的显存是半精度的两倍。",
    "doctor.full_precision_fix": "请设 engine.dtype: auto。",
    "doctor.threads_free": "CPU 线程数由 torch 自行决定；核心数：{cores}。",
    "doctor.threads": "已设置的 CPU 线程：{threads}；核心数：{cores}。",
    "doctor.threads_fix": "请设 engine.threads: 0 并取消 OMP_NUM_THREADS：torch 会自行决定。",
    "doctor.alone": "没有发现其他程序占用显卡，或用 torch 占用大量内存。",
    "doctor.card_shared": "{name}（进程 {pid}）也在使用显卡。",
    "doctor.memory_shared": "{name}（进程 {pid}）也在运行 torch，占用 {gib} GiB 内存。",
    "doctor.others_fix": "一次只运行一个任务：请等它完成，或结束它。",
    "doctor.python": "Python 版本是 {version}；支持：{wanted}。",
    "doctor.packages_ok": "全部 {count} 个软件包的版本都受支持。",
    "doctor.package_missing": "没有安装软件包 {name}。",
    "doctor.package_version": "软件包 {name} 的版本是 {version}，需要 {wanted}。",
    "doctor.setup_fix": "请运行 bash scripts/setup.sh。",
    "doctor.settings_default": "使用默认设置（configs/default.yaml）和环境变量。",
    "doctor.settings_ok": "{path} 中的设置有效。",
    "doctor.not_checked": "未检查：这取决于设置，而设置无效。",
    "doctor.output_ok": "视频可写入 {path}，剩余 {free} GiB。",
    "doctor.output_low": "视频可写入 {path}，但只剩 {free} GiB。",
    "doctor.output_low_fix": "请删除旧视频，或把 output.directory 设到另一块磁盘。",
    "doctor.logs_ok": "日志可写入 {path}。",
    "doctor.logs_unwritable": "日志无法写入 {path}（{reason}）：失败的详情会丢失。",
    "doctor.logs_unwritable_fix": "请更改该文件夹的权限。",
    "doctor.clock_ok": "系统时间是 {now}。",
    "doctor.clock_back": "系统时间是 {now}，但 i2v 的文件写于 {written}。",
    "doctor.clock_back_fix": "请校准时间：视频名称和下载都依赖它。",
    "doctor.variables": "已设置的代理和镜像：{variables}。",
    "doctor.no_variables": "没有设置代理或镜像。",
}

HINTS: dict[str, str] = {
    "request.missing_field": "请在请求中加上该字段。",
    "request.not_supported": "请去掉该项，或换一个模型。",
    "weights.cancelled": "随时可以重新开始：i2v models download i2vgen-xl",
    "models.check_stopped": "需要时可重新校验。",
    "models.idle": "无需任何操作。",
    "weights.not_published": "请指定其他模型：i2v models",
    "weights.vgen_original": "请下载正确的文件：i2v models download i2vgen-xl",
    "weights.pickle": "请下载正确的文件：i2v models download i2vgen-xl",
    "weights.not_ours": "如果没有其他程序使用该文件夹，请手动删除。",
    "weights.nothing_to_remove": "无需处理。",
    "weights.missing_tensor": "请重新获取模型。",
    "weights.unexpected_tensor": "请重新获取模型。",
    "weights.misshapen_tensor": "请重新获取模型。",
    "weights.wrong_class": "请重新获取模型。",
    "cli.result_lost": "请把标准输出重定向到可写的位置，然后重新运行命令。",
    "job.cancelled": "如果仍然需要视频，请重试任务。",
    "job.no_video": "请跟踪任务，直到成功。",
    "job.video_missing": "请把文件放回原处，或用相同设置重新生成，或删除该任务。",
    "job.video_broken": "请用备份替换该文件，或用相同设置重新生成，或删除该任务。",
    "job.unknown": "请查看现有任务：GET /api/v1/jobs",
    "job.already_finished": "无需处理。",
    "job.not_retryable": "请等它结束；要再生成一个视频，请提交新任务。",
    "job.no_thumbnail": "其余内容完好：请不带图片显示该任务。",
    "job.no_preview": "请跟踪任务的事件：有预览时会通知。",
    "http.malformed": "该地址接受的内容见 /docs。",
    "http.internal": "请重试；如果再次出现，请附上日志报告。",
    "server.stopping": "服务运行后再查询任务：GET /api/v1/jobs",
    "encode.no_frames": "请重试任务；如果再次出现，请附上日志报告。",
    "encode.failed": "请检查磁盘和写入权限，再重试任务。",
    "encode.mismatch": "请重试任务。",
    "encode.broken": "请重新生成视频。",
}
