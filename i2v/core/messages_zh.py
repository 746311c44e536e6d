"""The sentences of `messages.MESSAGES` and `messages.HINTS` in Simplified Chinese, by code.

A test holds both tables to the same codes and params. This module knows no page.
"""

from __future__ import annotations

CHINESE: dict[str, str] = {
    # the request
    "request.unknown_field": "未知字段 {field!r}，是不是 {nearest!r}？可用字段：{allowed}。",
    "request.invalid": "{field} 的值 {value} 无效，要求：{allowed}。",
    "request.missing_field": "缺少 {field}。",
    "request.half_size": "height 和 width 必须同时设置；也可以只设置 resolution。",
    "request.two_sizes": "resolution（{resolution}）和 height、width（{height} x {width}）只能设置其中一种。",
    "request.blank_prompt": "提示词为空。请描述画面里要发生什么，例如“镜头向左平移”。",
    "request.not_supported": "{title} 不支持 {field}（当前值 {value}）。",
    "request.unknown_engine": "没有名为 {value} 的模型。engine 可选：{allowed}。",
    "request.untrained_frames": (
        "{title} 训练时使用 {low} 到 {high} 帧；生成 {num_frames} 帧时运动可能不稳定。"
    ),
    "request.scaled_up": (
        "{title} 生成 {generated_width} x {generated_height} 像素，视频再放大到 {width} x {height}。"
    ),
    "request.upscaled": (
        "{title} 生成 {generated_width} x {generated_height} 像素，再由 {upscaler} 放大到 {width} x"
        " {height}。"
    ),
    "upscale.missing": (
        "未安装 {upscaler}，改用普通重采样放大，清晰度较低。安装方法：bash scripts/setup.sh {extra}"
    ),
    "upscale.unusable": (
        "{upscaler} 无法在本机运行（{reason}）。请重新安装（bash scripts/setup.sh {extra}），或设置"
        " output.upscaler: lanczos，改用普通重采样。"
    ),
    "request.size_changed": (
        "H.264 要求边长为偶数，因此视频是 {width} x {height}，而不是 {asked_width} x {asked_height}。"
    ),
    "request.size_rounded": (
        "{width} x {height} 不是 {multiple} 的倍数，模型会生成 {generated_width} x {generated_height} 像素，"
        "然后缩放。"
    ),
    "request.target_fps_clamped": (
        "模型训练时使用每秒 {low} 到 {high} 帧，因此生成时按每秒 {target_fps} 帧，视频按每秒 {fps} 帧播放。"
    ),
    "compile.failed": "本机无法使用 torch.compile（{reason}），此视频未经编译生成。",
    "speed.not_measured": "快速模式尚未在此模型的这一尺寸、帧数、引导强度和步数下验证，因此运行全部步数。",
    "speed.unproven": (
        "快速模式尚未在此模型的这一尺寸、帧数、引导强度和步数下验证。建议与精确模式（speed:"
        " exact）的结果对比。"
    ),
    "request.gradient_checkpointing": (
        "gradient_checkpointing 只在训练时节省内存，这里没有作用。要节省内存，请降低分辨率、减少帧数，"
        "或逐帧解码（engine.decode_chunk: 1）。"
    ),
    "prompt.syntax": (
        "提示词中的 {pieces} 会当作普通文字。其他软件的权重、LoRA、选项和参数写法在这里不起作用。"
    ),
    "prompt.negative_syntax": (
        "反向提示词中的 {pieces} 会当作普通文字。其他软件的权重、LoRA、选项和参数写法在这里不起作用。"
    ),
    "prompt.truncated": "提示词太长，模型只读取前 {limit} 个 token，以下内容被截断：{removed}",
    "prompt.negative_truncated": "反向提示词太长，模型只读取前 {limit} 个 token，以下内容被截断：{removed}",
    # advice
    "advice.small_picture": "图片只有 {size} 像素，每边至少 {wanted} 像素效果更好。",
    "advice.blurred_picture": "图片看起来模糊，细节只相当于 {side} 像素的图片。换一张更清晰的，效果更好。",
    "advice.text_in_picture": "图片里似乎有文字，动起来会变形。请裁掉文字，或换一张图片。",
    "advice.long_prompt": "提示词约有 {tokens} 个 token，模型只读取前 {limit} 个。请把最重要的内容写在前面。",
    "advice.abstract": "“{words}”没有描述动作。请写清楚什么在动、往哪个方向、多快。",
    "advice.many_actions": "提示词里大约有 {count} 个动作，不超过 {allowed} 个时效果更好。",
    "advice.language": "{title} 只支持以下语言的提示词：{languages}。请翻译后再试。",
    "advice.high_guidance": "引导强度超过 {limit} 时画面会变形（当前 {guidance_scale}），一般取 6 到 9。",
    "advice.no_guidance": ("{title} 的引导强度应为 {limit}（当前 {guidance_scale}），更高时画面可能变形。"),
    "advice.one_motion": "{title} 不擅长同时做多种运镜，视频可能只体现提示词中的一种。",
    "advice.low_fps": "每秒 {fps} 帧会显得卡顿。一般用 8，12 更流畅。",
    "advice.unknown_motion": "{title} 只能移动镜头，请使用以下说法之一：{phrases}。",
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
    "camera.loop_easing": "easing = {easing} 对循环视频不起作用：循环在折返前总会减速。",
    "camera.default_move": (
        "提示词没有提到镜头运动，因此镜头会缓慢推近。如需其他运动，请写明，例如“向左平移”或“拉远”。"
    ),
    "camera.contradiction": "提示词包含相反的运动：采用 {kept!r}，忽略 {dropped!r}。",
    "camera.room": (
        "运动需要在画面边缘留出余地：最宽的一帧只显示图片宽度的 {percent}%（镜头静止时为 {still_percent}%）。"
        "减小运动幅度可以看到更多内容。"
    ),
    "camera.enlarged": (
        "图片的像素不足以生成此尺寸的视频：画面用 Lanczos 重采样放大，最多 {factor} 倍，会显得不够清晰。"
        "请使用更大的图片、更小的视频尺寸，或减小推近幅度。"
    ),
    # settings
    "settings.unknown_key": "{source}：未知设置 {key!r}，是不是 {nearest!r}？",
    "settings.invalid": "{source}：{key} 的值 {value} 无效：{allowed}。",
    "settings.unreadable": "无法读取 {source} 中的设置：{reason}",
    # weights and devices
    "weights.missing_folder": "{title} 未安装：{path} 没有模型文件夹。{fix}",
    "weights.missing_file": "{title} 不完整：缺少 {path}。请重新下载模型。",
    "weights.unreadable": "{title}：无法读取 {path}：{reason}。请重新下载该文件。",
    "weights.bad_index": "{title}：分片索引 {path} 无法使用：{reason}。请重新下载该文件。",
    "weights.offline": (
        "{title} 未安装在 {path}，而设置了 models.offline，无法下载。请取消该设置，"
        "或从另一台电脑拷贝模型文件夹，然后运行：i2v models add FOLDER"
    ),
    "weights.no_source": (
        "{title}：所有来源都无法下载 {file}（{reasons}）。请稍后重试，或在 models.sources 中设置其他镜像。"
        "已下载的文件会保留。"
    ),
    "weights.captive_portal": (
        "{title}：网络返回的是自己的网页（{page}），而不是文件，可能需要先登录网络（如酒店 Wi-Fi）。"
        "请在浏览器中登录后重试。已下载的文件会保留。"
    ),
    "weights.disk_full": (
        "磁盘空间不足：{path} 还需要 {needed} GB，只剩 {free} GB。请清理空间，或把 models.directory"
        " 设为另一块磁盘上的文件夹。已下载的文件会保留。"
    ),
    "weights.unwritable": "无法写入 {path}：{reason}。请检查磁盘和文件夹权限。",
    "weights.cancelled": "下载已取消，已下载的文件会保留。",
    "weights.not_published": "{title} 是 i2v 自带的模型，不能下载、添加或删除。",
    "weights.no_folder": "文件夹 {path} 不存在。请选择模型所在的文件夹。",
    "weights.no_index": "{path} 不是模型文件夹：缺少 {file}。请选择 {title} 自己的文件夹。",
    "weights.published_nowhere": ("i2v 无法下载 {title}。请自行下载，然后运行：i2v models add {name} FOLDER"),
    "weights.licence": (
        "使用 {title} 前需要接受许可证：{licences}。要接受，请运行"
        " i2v models download {name} --accept-licence，或点击页面上的按钮。"
    ),
    "weights.which_model": (
        "无法判断 {path} 中是哪个模型。请运行 i2v models add NAME FOLDER，NAME 为以下之一：{allowed}。"
    ),
    "weights.none_needed": "{title} 不需要模型文件：无需下载、校验、添加或删除。",
    "weights.vgen_original": (
        "{path} 是 VGen 原始权重，i2v 无法读取或转换。请下载格式正确的同一权重：i2v models download {name}"
    ),
    "weights.pickle": (
        "{path} 是 pickle 文件，加载时可能执行任意代码；i2v 只读取 safetensors。请下载 safetensors"
        " 格式的同一权重：i2v models download {name}"
    ),
    "weights.not_ours": "{title} 在 {path}，这个文件夹不是 i2v 创建的，因此不会删除。",
    "weights.nothing_to_remove": "{title} 未安装：{path} 没有可删除的内容。",
    "weights.unconfirmed": "没有删除任何内容。请回答 yes 确认，或加上 --yes。",
    "weights.already_there": "{title} 已安装在 {path}，没有下载任何内容。",
    "weights.checked": "{title}：所有文件都与 {source} 提供的校验值一致（SHA-256；小文件用 git 哈希）。",
    "weights.size_only": "{title}：只检查了文件大小，因为没有来源提供全部文件的校验值。",
    "weights.bad_files": "{title}：以下文件损坏或缺失：{files}。请重新下载：i2v models download {name}",
    "weights.missing_tensor": "{path}：缺少张量 {tensor}（共缺少 {count} 个）。该文件不属于此模型。",
    "weights.unexpected_tensor": "{path}：有多余的张量 {tensor}（共 {count} 个）。该文件不属于此模型。",
    "weights.linked": (
        "{title} 已安装，其中 {count} 个文件直接使用本机已有的副本。要校验这些文件，请运行"
        " i2v models verify {name}"
    ),
    "weights.misshapen_tensor": "{path}：张量 {tensor} 的形状是 {found}，应为 {expected}。",
    "weights.wrong_class": "{path} 描述的是 {found}，而不是 {expected}。该文件夹不属于此模型。",
    "models.busy": "{title} 正在下载或校验。请等待完成，或先取消。",
    "models.check_stopped": "{title} 的校验已取消。",
    "models.idle": "{title} 没有正在进行的下载或校验，无需取消。",
    "device.no_cuda": "device = cuda，但没有可用的 CUDA 显卡。请把 device 设为 auto 或 cpu。",
    "decode.tiled": (
        "为节省显存，画面按 {side} 像素的分块解码（engine.vae_tiling），与整帧解码略有差别，接缝处最明显。"
    ),
    "decode.nan": "{count} 帧在 {dtype} 下解码出 NaN，已用 float32 重新解码。",
    "decode.nan_float32": (
        "使用 float32 时画面仍解码出 NaN。请换一个种子；如果仍不行，可能是模型文件损坏，请重新下载模型。"
    ),
    "engine.none": "engine 为 auto，但没有模型可以在本机运行。请把 engine 设为以下之一：{allowed}。",
    "engine.auto_full": "auto 选用 {title}：有 CUDA 显卡，模型安装在 {path}。",
    "engine.auto_no_cuda": "auto 选用演示模型：没有 CUDA 显卡。",
    "engine.auto_no_weights": "auto 选用演示模型：有 CUDA 显卡，但 {path} 中没有完整的模型。",
    "engine.auto_neither": "auto 选用演示模型：没有 CUDA 显卡，{path} 中也没有完整的模型。",
    "engine.out_of_memory": (
        "内存或显存不足（{reason}）。请降低分辨率或减少帧数。也可以在 config.yaml 中设置 engine.cfg_passes:"
        " 2、engine.decode_chunk: 1，使用显卡时再设置 engine.offload: model 来节省内存。"
    ),
    "ladder.condition": "编码提示词和图片时内存不足。",
    "ladder.load": "加载模型时内存不足。",
    "ladder.denoise": "去噪时内存不足，已完成的步骤会保留。",
    "ladder.decode": "解码画面时内存不足，已完成的帧会保留。",
    "ladder.short": "本机内存快要用完。",
    "ladder.after_death": (
        "运行此任务时工作进程崩溃（第 {deaths} 次），可能是内存不足。正在用最省内存的设置重试。"
    ),
    "ladder.chunk_tokens": "改为每次计算 {chunk_tokens} 个 token：速度较慢，画面不变。",
    "ladder.decode_chunk": "改为每次解码 {decode_chunk} 帧：速度较慢，画面不变。",
    "ladder.cfg_passes": "改为分 {cfg_passes} 遍计算引导：速度较慢，画面不变。",
    "ladder.offload_encoders": "改为把编码器放在内存中：速度较慢，画面不变。",
    "ladder.offload_model": "改为把模型放在内存中，用到的部分才载入显卡：速度较慢，画面不变。",
    "ladder.vae_tiling": "改为分块解码：画面略有差别，可能看到接缝。",
    "ladder.exhausted": (
        "已启用所有节省内存的选项，内存仍然不足（{reason}）。请降低分辨率、减少帧数，或关闭其他程序。"
    ),
    "ladder.exhausted_either": (
        "已启用所有节省内存的选项，内存仍然不足（{reason}）。请改用 {num_frames} 帧，或 {resolution} 分辨率。"
    ),
    "ladder.exhausted_fewer": "已启用所有节省内存的选项，内存仍然不足（{reason}）。请改用 {num_frames} 帧。",
    "ladder.exhausted_smaller": (
        "已启用所有节省内存的选项，内存仍然不足（{reason}）。请改用 {resolution} 分辨率。"
    ),
    "encode.out_of_memory": "缩放和编码画面时内存不足（{reason}）。请选择较小的尺寸，或关闭其他程序。",
    # provenance
    "provenance.none": "{path} 中没有生成参数：它不是 i2v 生成的，或者元数据已被删除。",
    "provenance.unreadable": "无法读取 {path} 中的生成参数：{reason}",
    "like.no_prompt": "{path} 没有保存提示词，请用 --prompt 指定。",
    "like.left_out": "{path} 没有保存 {what}，画面可能不同。",
    "like.unknown": "{path} 由更新版本的 i2v 生成，当前版本不支持的设置（{names}）已忽略，画面可能不同。",
    "like.differs": "{what} 在 {path} 中是 {before}，现在是 {now}，画面可能不同。",
    "clip.unreadable": "{path} 不是可以读取的视频：{reason}。",
    # jobs
    "job.cancelled": "任务已取消。",
    "job.internal": "i2v 内部错误（{kind}），详情见工作进程日志。请重试任务。",
    "job.output_taken": "任务运行期间，{path} 处出现了另一个文件。请把它移走，然后重试任务。",
    "job.no_video": "任务 {id} 没有视频，状态为{status}。",
    "job.video_missing": "任务 {id} 的视频已不存在：{path} 被删除、移动或清空。",
    "job.video_broken": "任务 {id} 的视频 {path} 无法播放：{reason}。",
    "job.not_removed": "无法删除 {path}：{reason}。请检查所在文件夹的权限，然后重试。",
    "job.picture_lost": "无法读取任务的图片 {path}（{reason}）。请重新提交任务。",
    "job.no_thumbnail": "任务 {id} 的图片已不存在。",
    "job.no_preview": "任务 {id} 没有预览，状态为{status}。只有去噪阶段才有预览。",
    "job.interrupted": "已中断，没有留下任何文件。",
    "cli.result_lost": "无法把结果写到标准输出：{reason}。请重定向到可写的文件，然后重新运行命令。",
    "cli.video_kept": "视频已保存到 {path}。",
    "job.unknown": "任务 {id} 不存在，可能已被删除。",
    "job.unreadable": (
        "无法读取此任务的详细信息（{reason}），可能是其他版本的 i2v 写入的。如果任务还在排队，请先取消，"
        "然后删除。"
    ),
    "job.queue_full": "队列已满：有 {queued} 个任务在排队，上限为 {allowed}。请稍后重试。",
    "job.idempotency_conflict": "Idempotency-Key {key} 已用于另一个请求。每个请求请使用新的值。",
    "job.already_finished": "任务 {id} 的状态为{status}，不能取消。",
    "job.not_retryable": "任务 {id} 的状态为{status}，只有失败或已取消的任务可以重试。",
    "job.not_finished": "任务 {id} 的状态为{status}，请先取消再删除。",
    "job.bad_cursor": "cursor = {cursor} 无效。请使用上一页返回的 next_cursor。",
    "job.worker_died": (
        "运行此任务时工作进程崩溃了 {deaths} 次。请降低分辨率或减少帧数；原因可能在工作进程日志中。"
    ),
    "job.interrupted_too_often": (
        "运行此任务时服务中断了 {interruptions} 次。如果不是手动停止的，请降低分辨率或减少帧数，"
        "然后重试任务。"
    ),
    "worker.no_supervision": "暂时无法运行任务（{reason}）。服务会继续尝试，请查看服务日志。",
    "worker.not_started": "工作进程无法启动。请查看 {path}，或运行 i2v doctor。",
    "plan.seconds": "约 {seconds} 秒（根据本机已完成的任务估算）。",
    "plan.range": "约 {low} 到 {high} 秒（根据本机已完成的任务估算）。",
    "plan.seconds_guess": "约 {seconds} 秒（粗略估算，完成第一个任务后会更准确）。",
    "plan.fits": "内存足够：需要 {needed} GB，可用 {free} GB。",
    "plan.small_chunks": "分小块计算。",
    "plan.two_passes": "引导分两遍计算。",
    "plan.offload_encoders": "编码器放在内存中。",
    "plan.offload_model": "模型放在内存中，各部分轮流载入显卡。",
    "plan.tiled": "画面分块解码，与显存更大的显卡相比略有差别。",
    "plan.too_large": "内存可能不足：至少需要 {needed} GB，可用 {free} GB。请降低分辨率或减少帧数。",
    "plan.too_large_ram": "内存可能不足：需要 {needed} GB 内存，可用 {free} GB。请关闭其他程序。",
    "plan.fewer_frames": "此尺寸下可以生成 {num_frames} 帧。",
    "plan.smaller": "{resolution} 分辨率下可以生成 {num_frames} 帧。",
    "plan.other_device": "任务原计划在 {before} 上运行，现在改用 {now}，已重新规划内存。",
    "plan.made_again": "任务提交后，可用内存或设置有变化，已重新规划内存。",
    "plan.unknown": "暂无估算：本机还没有用此模型完成过任务。",
    # HTTP and the server
    "bench.not_writable": "无法写入 {path}：{reason}。请用 --json 指定其他文件。",
    "bench.silent": "测量进程 {seconds} 秒没有响应，已停止。请运行 i2v doctor。",
    "bench.died": "测量进程崩溃（状态 {status}）。请运行 i2v doctor。最后的输出：{words}",
    "bench.no_stock": "没有 {title} 的其他实现可以对比。",
    "bench.frames_apart": "画面最多相差 {highest}（满值 255），平均 {mean}，超出舍入误差。",
    "bench.no_watch": "无法检查 {title} 的中间数值。",
    "bench.not_finite": (
        "第 {step} 步：{what} 在 {dtype} 下有 {count} 个值是 NaN 或无穷大。请更换 engine.dtype。"
    ),
    "bench.black": "{dtype} 下有 {count} 帧全黑。",
    "bench.decoded_again": "{count} 帧在 {dtype} 下解码出 NaN，用 float32 解码正常。",
    "bench.stops_late": "在 {stage} 阶段取消后，仍然运行了 {seconds} 秒。",
    "bench.keeps_memory": "在 {stage} 阶段取消后，有 {mib} MB 内存没有释放。",
    "bench.other_frames_after": "取消视频之后，同样的请求得到了不同的画面。",
    "bench.no_shortage": "无论怎样减少，内存都没有用完，因此没有测到节省内存的过程。",
    "http.no_such_path": "{path} 不存在。可用接口见 /docs。",
    "http.bad_method": "{path} 不支持 {method}，请用 {allowed}。",
    "http.bad_host": (
        "本服务不接受主机名 {value}。请使用服务启动时显示的地址，或把该名称加入 security.allowed_hosts。"
    ),
    "http.foreign_origin": (
        "来自 {value}（请求头 Origin）的页面不能在这里修改任何内容。请使用本服务自己的页面，"
        "或把该页面的主机名加入 security.allowed_hosts。"
    ),
    "http.no_token": "需要访问令牌。请发送请求头 Authorization: Bearer TOKEN，或在浏览器中打开 /login。",
    "http.wrong_token": "访问令牌错误。请使用服务首次启动时显示的令牌。",
    "http.too_many_tokens": "此地址尝试错误令牌的次数过多，请 {seconds} 秒后再试。",
    "http.too_large": "请求超过 {allowed} 字节。请减少内容，或调高 security.max_request_megabytes。",
    "http.media_type": "不支持 Content-Type {value}，请使用 {allowed}。",
    "http.content_encoding": "不支持 Content-Encoding {value}，请发送未压缩的内容。",
    "http.transfer_encoding": (
        "{field} 带有请求头 Content-Transfer-Encoding: {value}，不支持这种编码。请去掉该请求头，"
        "直接发送原内容。"
    ),
    "http.charset": "{field} 声明的字符集是 {value}，但只支持 UTF-8。请用 UTF-8 发送。",
    "http.not_utf8": (
        "{field} 不是 UTF-8 文本。一些 Windows 程序会发送 GBK、Big5、Shift-JIS 或 Latin-1，请改用 UTF-8。"
        '使用 curl 时，请把文字存成 UTF-8 文件再发送：表单用 -F "prompt=<prompt.txt"，JSON 用 --data-binary'
        " @request.json。"
    ),
    "http.malformed": "无法读取请求内容：{reason}。",
    "http.repeated_field": "{field} 出现了多次，请只发送一次。",
    "page.too_large": "上传内容超过 {allowed} 字节。请减少一次选择的图片数量。",
    "page.unknown_session": "服务不再认识此页面（会话 {value}）。请重新加载页面，然后重试。",
    "page.busy": "页面同时发送的请求太多，请稍后重试。",
    "page.uploads_full": "上传图片的空间已满（已用 {megabytes} MB），请 10 分钟后重试。",
    "http.internal": "i2v 内部错误（{kind}），详情见服务日志。",
    "server.not_ready": "工作进程尚未就绪，或无法启动。请一分钟后重试。",
    "server.not_now": "暂时无法接收或运行任务。请带上访问令牌请求 /readyz 查看原因。",
    "server.halted": "服务不再启动任务。请重新启动服务，所有任务都会保留。",
    "server.stopping": "服务正在停止。任务 {id} 会保留，重新启动后继续。",
    "server.bad_host": (
        "server.host = {host} 不是本机的地址（{reason}）。仅本机使用请填 127.0.0.1，供网络使用请填 0.0.0.0。"
    ),
    "server.token_file": (
        "{path} 中的密钥无法使用：{reason}。请把文件设为仅自己可读（chmod 600），或把它移走，"
        "下次启动时会生成新的密钥。"
    ),
    "server.port_taken": (
        "无法打开 {host} 的端口 {port}：{reason}。请用 --port 换一个端口，或查看占用端口的程序：i2v doctor"
        " --port {port}"
    ),
    "server.data_in_use": (
        "另一个服务正在使用数据文件夹 {path}。请停止它，或用 service.data_dir 或 I2V_DATA_DIR"
        " 指定其他数据文件夹。"
    ),
    # the data folder
    "data.not_a_folder": (
        "{path} 不是文件夹，而服务需要一个文件夹。请把它移走，或用 service.data_dir 或 I2V_DATA_DIR"
        " 指定其他数据文件夹。"
    ),
    "data.not_a_file": "{path} 不是文件，而服务需要一个文件。请把它移走。",
    "data.is_link": (
        "{path} 是符号链接，i2v 不会跟随数据文件夹内的链接。请换成链接指向的内容。要把数据存放在别处，请设置"
        " service.data_dir 或 I2V_DATA_DIR。"
    ),
    "data.unusable": (
        "无法使用数据文件夹（{path}：{reason}）。请检查磁盘和文件夹权限，或用 service.data_dir 或"
        " I2V_DATA_DIR 指定其他数据文件夹。"
    ),
    "data.no_space": (
        "磁盘空间不足：数据文件夹（{path}）只剩 {free_mib} MB，需要 {needed_mib} MB。请清理空间。"
    ),
    # databases
    "database.replaced": (
        "{path} 在服务运行时被删除或替换。请放回原来的文件，或重新启动服务。在此之前不接收任务。"
    ),
    "database.damaged": (
        "{path} 已损坏（{reason}）。请停止服务，把该文件和同名的 -wal、-shm 文件一起移走，或恢复备份。"
    ),
    "database.newer": "{path} 由更新版本的 i2v 写入（格式 {found}，当前版本最高支持 {known}）。请更新 i2v。",
    "database.older": (
        "{path} 由旧版本的 i2v 写入（格式 {found}，当前版本需要 {known}）。请运行一次 i2v serve 进行升级。"
    ),
    "database.no_copy": (
        "{path} 由旧版本的 i2v 写入，升级前备份失败（{reason}）。请清理空间并检查文件夹权限，然后重新启动。"
    ),
    "database.not_upgraded": (
        "{path} 无法从格式 {found} 升级到 {version}（{reason}），文件未改动。请使用写入它的 i2v 版本，"
        "并反馈此问题。"
    ),
    "database.unusable": "无法使用 {path}：{reason}。请检查磁盘和文件权限。",
    # pictures
    "path.address": "{value} 是网址，i2v 不会打开网址。请先下载文件，再使用文件路径。",
    "path.file_url": "{value} 是网址。请直接使用文件路径：{path}",
    "path.data_url": "这是 data: 网址，不是文件。请先保存成文件，再使用文件路径。",
    "image.missing": "无法读取 {path}：文件不存在。请检查文件名；相对路径从 {folder} 开始。",
    "image.is_folder": "{path} 是文件夹。请选择其中的一张图片。",
    "image.is_video": (
        "{path} 是视频，这里需要图片。请截取一帧：ffmpeg -i CLIP -frames:v 1 frame.png。要沿用 i2v"
        " 视频的设置，请用 --like 指定该视频。"
    ),
    "image.unreadable": "无法读取 {path}：{reason}。",
    "image.no_space": "磁盘空间不足：图片无法保存到 {path}（{reason}）。请清理空间，然后重新提交。",
    "image.address": "image = {value}：i2v 不会打开网址或路径。请用表单或 base64 发送图片文件本身。",
    "image.data_url": "image = {value}：这个 data: URL 不是 base64。请发送 data:image/png;base64,…",
    "image.not_base64": "image = {value} 不是 base64：含有字符 {sign}。请把图片文件编码为 base64 再发送。",
    "image.base64_cut": "image = {value} 有 {count} 个 base64 字符，缺少一部分内容。请重新发送。",
    "image.base64_spaces": (
        "image = {value} 中有空格，可能是换行，也可能是丢失的加号。请发送不含空格的 base64"
        "（在表单和网址中，+ 要写成 %2B）。"
    ),
    "image.empty": "图片文件为空（0 字节）。请换一个文件。",
    "image.too_many_bytes": "图片文件太大：{bytes} 字节，上限为 {allowed}。请保存成更小的文件。",
    "image.unknown_format": "i2v 无法读取此图片（{found}）。请保存成以下格式之一：{allowed}。",
    "image.damaged": "图片损坏或不完整（{reason}）。请重新保存或上传。",
    "image.too_slow": "解码图片超过 {allowed} 秒。请缩小图片。",
    "image.decoder_died": "此图片导致解码程序崩溃（状态 {status}：{reason}）。请重新保存，例如存成 PNG。",
    "image.decoder_stopped": (
        "图片解码进程被终止（状态 {status}），可能是内存不足。图片本身可能没有问题，请重试。"
    ),
    "image.decoder_missing": "图片解码进程无法运行（{reason}）。图片本身可能没有问题，请一分钟后重试。",
    "image.decoders_busy": "正在解码的图片太多，请几秒后重试。",
    "image.too_many_scans": "此 JPEG 的扫描次数超过 {allowed}，解码太慢。请重新保存成普通 JPEG。",
    "image.not_stored": "图片无法保存到 {path}：{reason}。请检查磁盘。",
    "image.too_large": "图片太大：{size}，上限为 {allowed} 像素。请缩小图片。",
    "image.no_memory": "内存不足，无法解码图片。请缩小图片。",
    "image.too_small": "图片太小（{size} 像素）。请使用每边至少 {allowed} 像素的图片。",
    "image.too_narrow": "图片太窄（{size}）：长边不能超过短边的 {allowed} 倍。请裁剪。",
    "image.animated": "文件有多帧或多页，只使用第一帧。",
    "image.transparent": "图片有透明部分，已填充背景色 {background}。",
    "image.scaled_down": "图片（{source} 像素）已缩小到 {size}，仍大于任何视频的尺寸。",
    "image.extra_skipped": "文件含有大段文字或其他附加数据，已忽略。图片完整。",
    "image.repaired": "文件有轻微损坏（例如校验和错误或缺少结尾），但图片完整。",
    "image.hdr": "图片是 HDR（PQ 或 HLG），按 SDR 使用，可能显得灰暗。",
    "image.profile_ignored": "图片的色彩配置文件已损坏，已忽略，颜色可能有偏差。",
    "image.orientation_unknown": "图片的 EXIF 数据已损坏。如果方向不对，请手动旋转。",
    "image.upscaled": "图片小于 {size}，已放大 {factor} 倍。使用更大的图片，视频会更清晰。",
    "image.cropped": (
        "图片（{source}）已裁剪：左 {left}、上 {top}、右 {right}、下 {bottom} 像素。要保留全部内容，请把 fit"
        " 设为 pad。"
    ),
    "image.padded": (
        "图片已填充到 {size}：左 {left}、上 {top}、右 {right}、下 {bottom} 像素。要铺满画面，请把 fit 设为"
        " crop。"
    ),
    # videos
    "output.bad_extension": "输出文件 {path} 不以 .mp4 结尾。请使用以 .mp4 结尾的文件名。",
    "output.bad_name": "输出文件名 {path} 无效：{reason}。请换一个名称。",
    "output.exists": "{path} 已存在。请换一个名称，或加上 --force 覆盖。",
    "output.not_a_file": "{path} 是文件夹。请指定其中的文件名。",
    "output.not_a_folder": "输出文件夹 {path} 不是文件夹。请另选一个。",
    "output.not_writable": "无法写入输出文件夹 {path}（{reason}）。请另选一个，或修改权限。",
    "output.no_space": "磁盘空间不足：{path} 只剩 {free_mib} MB，需要 {needed_mib} MB。请清理空间。",
    "encode.no_ffmpeg": (
        "无法运行 ffmpeg（{reason}）。请安装 imageio-ffmpeg 0.6 或更新版本，或把 IMAGEIO_FFMPEG_EXE"
        " 设为本机可用的 ffmpeg。"
    ),
    "encode.no_libx264": (
        "{path} 处的 ffmpeg（版本 {version}）不含编码视频所需的 libx264。请把 IMAGEIO_FFMPEG_EXE 设为含有"
        " libx264 的 ffmpeg，或取消该变量并安装 imageio-ffmpeg 0.6 或更新版本。"
    ),
    "encode.no_aac": (
        "{path} 处的 ffmpeg（版本 {version}）不含编码声音所需的 AAC。请把 IMAGEIO_FFMPEG_EXE 设为含有 AAC 的"
        " ffmpeg，或取消该变量并安装 imageio-ffmpeg 0.6 或更新版本。"
    ),
    "encode.old_ffmpeg": (
        "{path} 处的 ffmpeg 版本是 {version}，需要 {oldest} 或更新版本。请安装自带 ffmpeg 的 imageio-ffmpeg"
        " 0.6 或更新版本，或把 IMAGEIO_FFMPEG_EXE 设为更新的 ffmpeg。"
    ),
    "encode.unfit_ffmpeg": (
        "{path} 处的 ffmpeg（版本 {version}）无法编码测试视频：{reason}。请安装 imageio-ffmpeg 0.6"
        " 或更新版本，或把 IMAGEIO_FFMPEG_EXE 设为其他 ffmpeg。"
    ),
    "encode.bad_input": "无法编码 {field} = {value}：{allowed}。",
    "encode.no_frames": "没有可以编码的画面。",
    "encode.no_space": "写入 {path} 时磁盘空间不足（{reason}）。请清理空间。",
    "encode.failed": "无法把视频写入 {path}：{reason}。",
    "encode.frames_lost": "视频只写入了 {found} 帧（应为 {expected} 帧），已删除。请重试。",
    "encode.mismatch": "视频的 {field} 是 {found}（应为 {expected}），已删除。",
    "encode.broken": "无法解码视频 {path}：{reason}。",
    "unpublished.kept": "已生成的画面会保留 {days} 天。解决问题后重试，即可直接写入视频，无需重新生成。",
    "unpublished.not_kept": "已生成的画面也无法保存（{path}：{reason}），重试时需要从头生成。",
    "unpublished.published": "视频由上次保存的画面写成，没有重新生成。",
    "unpublished.unreadable": "{path} 中没有可用的画面（{reason}）。请使用 i2v generate 显示的文件。",
    "unpublished.lost": (
        "无法读取保存在 {path} 中的画面（{reason}）。请重新生成，或重试该任务（会从头生成）。"
    ),
    # doctor
    "doctor.memory": "内存可用 {free} GB，共 {total} GB；演示模型最大的预设需要 {needed} GB。",
    "doctor.memory_unknown": "内存可用 {free} GB，共 {total} GB；{title} 在此设备上的占用尚未实测。",
    "doctor.card_memory": "显存可用 {free} GB，共 {total} GB；官方公布的需求（GB）：{figures}。",
    "doctor.memory_fix": (
        "请关闭其他程序，降低分辨率或减少帧数。也可以在 config.yaml 中设置 engine.decode_chunk: 1、"
        "engine.cfg_passes: 2 和 engine.offload: model 来节省内存。"
    ),
    "doctor.weights_ok": "{title}：模型文件夹 {path} 完整。",
    "doctor.reading": "{title}：{megabytes} MB，读取速度 {speed} MB/s，每次启动后加载至少需要 {seconds} 秒。",
    "doctor.reading_fix": "请等待第一个视频完成，或把模型文件夹移到更快的磁盘（models.directory）。",
    "doctor.motion": "动作僵硬通常是因为提示词太笼统，这里无法检查。",
    "doctor.motion_fix": (
        "请写明方向和快慢（例如“the camera slowly pans left”，镜头缓慢左移），动作不超过三个，"
        "不要写“美丽”“完美”之类的词。如果动作倒放，请增加步数，并使用反向提示词“reverse motion, backward"
        " flow”。"
    ),
    "doctor.ffmpeg_ok": "ffmpeg 编码和解码测试视频用时 {seconds} 秒。",
    "doctor.ffmpeg_broken": "ffmpeg 无法生成测试视频：{reason}",
    "doctor.ffmpeg_broken_fix": (
        "请运行 bash scripts/setup.sh。如果设置了 IMAGEIO_FFMPEG_EXE，请取消它，或让它指向带 libx264 的"
        " ffmpeg。"
    ),
    "doctor.port_free": "端口 {port} 可用。",
    "doctor.port_ours": "端口 {port} 由本服务使用。",
    "doctor.port_taken": "端口 {port} 被 {name}（进程 {pid}）占用。",
    "doctor.port_taken_fix": "请结束该进程（kill {pid}），或换一个端口。",
    "doctor.port_taken_unseen": "端口 {port} 被其他用户的程序占用。",
    "doctor.port_taken_unseen_fix": "请找到该程序（sudo ss -ltnp 'sport = :{port}'）并结束它，或换一个端口。",
    "doctor.port_closed": "无法打开端口 {port}：{reason}。",
    "doctor.port_closed_fix": "请选择大于 1023 的端口。",
    "doctor.card_ok": "{card}，驱动 {driver}：没有发现问题。",
    "doctor.card_silent": "有 NVIDIA 显卡，但没有响应：{reason}。",
    "doctor.card_silent_fix": "请安装或修复 NVIDIA 驱动，直到 nvidia-smi 能列出显卡。",
    "doctor.card_hidden": "CUDA_VISIBLE_DEVICES = {value} 让 torch 看不到任何显卡。",
    "doctor.card_hidden_fix": "请取消 CUDA_VISIBLE_DEVICES。",
    "doctor.no_card": "没有找到 NVIDIA 显卡：全部在 CPU 上运行。",
    "doctor.no_card_fix": "请使用为 CPU 设计的演示模型；I2VGen-XL 在 CPU 上会非常慢。",
    "doctor.cpu_chosen": "设置选择了 CPU（engine.device: cpu）。",
    "doctor.torch_missing": "未安装 torch，或其文件丢失。",
    "doctor.torch_rocm": "torch {torch} 是 ROCm 版本，不检查 AMD 显卡。",
    "doctor.torch_without_cuda": "torch {torch} 不带 CUDA，因此没有使用 {card}。",
    "doctor.torch_without_cuda_fix": "请运行 I2V_TORCH=cuda bash scripts/setup.sh。",
    "doctor.driver_old": "{card}：驱动 {driver} 太旧，torch 使用的 CUDA {cuda} 需要 {oldest} 或更新版本。",
    "doctor.driver_old_fix": (
        "请更新 NVIDIA 驱动。或者删除环境，把 I2V_TORCH_INDEX 设为提供旧版 CUDA 的软件源，再运行 bash"
        " scripts/setup.sh。"
    ),
    "doctor.full_precision": "engine.dtype: float32 需要的显存是半精度的两倍。",
    "doctor.full_precision_fix": "请设 engine.dtype: auto。",
    "doctor.threads_free": "CPU 线程数由 torch 决定，本机有 {cores} 个核心。",
    "doctor.threads": "设置了 {threads} 个 CPU 线程，本机有 {cores} 个核心。",
    "doctor.threads_fix": "请设置 engine.threads: 0 并取消 OMP_NUM_THREADS，由 torch 决定线程数。",
    "doctor.alone": "没有其他程序在使用显卡，或用 torch 占用大量内存。",
    "doctor.card_shared": "{name}（进程 {pid}）也在使用显卡。",
    "doctor.memory_shared": "{name}（进程 {pid}）也在运行 torch，占用 {gib} GB 内存。",
    "doctor.others_fix": "请一次只运行一个：等待它完成，或结束它。",
    "doctor.python": "Python {version}；支持的版本：{wanted}。",
    "doctor.packages_ok": "全部 {count} 个软件包都已安装，版本受支持。",
    "doctor.package_missing": "未安装软件包 {name}。",
    "doctor.package_version": "软件包 {name} 的版本是 {version}，需要 {wanted}。",
    "doctor.setup_fix": "请运行 bash scripts/setup.sh。",
    "doctor.settings_default": "使用默认设置（configs/default.yaml）和环境变量。",
    "doctor.settings_ok": "{path} 中的设置有效。",
    "doctor.not_checked": "未检查，因为设置无效。",
    "doctor.output_ok": "视频可以写入 {path}（剩余 {free} GB）。",
    "doctor.output_low": "视频可以写入 {path}，但只剩 {free} GB。",
    "doctor.output_low_fix": "请删除旧视频，或把 output.directory 设为另一块磁盘上的文件夹。",
    "doctor.logs_ok": "日志可以写入 {path}。",
    "doctor.logs_unwritable": "日志无法写入 {path}（{reason}），错误的详细信息会丢失。",
    "doctor.logs_unwritable_fix": "请修改该文件夹的权限。",
    "doctor.clock_ok": "系统时间是 {now}。",
    "doctor.clock_back": "系统时间是 {now}，但 i2v 有写于 {written} 的文件。",
    "doctor.clock_back_fix": "请校准系统时间：视频命名和下载都依赖它。",
    "doctor.variables": "已设置的代理和镜像：{variables}。",
    "doctor.no_variables": "未设置代理或镜像。",
}

HINTS: dict[str, str] = {
    "request.missing_field": "请加上后重试。",
    "request.not_supported": "请去掉该项，或换一个模型。",
    "weights.cancelled": "继续下载：i2v models download i2vgen-xl",
    "models.check_stopped": "可以随时重新校验。",
    "models.idle": "无需处理。",
    "weights.not_published": "请选择其他模型（i2v models 会列出）。",
    "weights.not_ours": "如果没有其他程序使用该文件夹，请手动删除。",
    "weights.nothing_to_remove": "无需处理。",
    "weights.missing_tensor": "请重新下载模型。",
    "weights.unexpected_tensor": "请重新下载模型。",
    "weights.misshapen_tensor": "请重新下载模型。",
    "weights.wrong_class": "请重新下载模型。",
    "job.cancelled": "如果仍然需要视频，请重试任务。",
    "job.no_video": "请等待任务完成。",
    "job.video_missing": "请把文件放回原处，或用相同设置重新生成，或删除该任务。",
    "job.video_broken": "请用备份替换，或用相同设置重新生成，或删除该任务。",
    "job.unknown": "查看任务列表：GET /api/v1/jobs",
    "job.already_finished": "无需处理。",
    "job.not_retryable": "要再生成一个视频，请提交新任务。",
    "job.no_thumbnail": "任务的其他内容完整，可以不显示图片。",
    "job.no_preview": "请订阅任务事件，有新预览时会通知。",
    "http.malformed": "格式说明见 /docs。",
    "http.internal": "请重试；如果反复出现，请附上日志反馈。",
    "server.stopping": "服务运行后再查询任务：GET /api/v1/jobs",
    "encode.no_frames": "请重试；如果反复出现，请附上日志反馈。",
    "encode.failed": "请检查磁盘和文件夹权限，然后重试。",
    "encode.mismatch": "请重试。",
    "encode.broken": "请重新生成。",
}
