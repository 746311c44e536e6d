"""What the page says, in English and Simplified Chinese, and how it says errors and notices.

One table of the page's own texts; those of errors are in `i2v.core.messages`. This module knows no widget.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from i2v.core.errors import Param
from i2v.core.messages import catalogue, fill
from i2v.core.schema import Language
from i2v.web.allowed_values import in_chinese

LANGUAGES: dict[Language, str] = {"en": "English", "zh-CN": "简体中文"}

# Titles of models that are no proper names, in Chinese.
_TITLES = {
    "Demo model": "演示模型",
    "Camera move, no AI": "运镜（不用 AI）",
    "IP-Adapter (style pictures)": "IP-Adapter（风格参考图）",
}

_LICENCES = {"see its page": "见其页面"}  # others are proper names

# What models make (`EngineSpec.summary`), in Chinese.
_SUMMARIES = {
    "Moves what is in the picture, as the prompt says": "按提示词让画面中的物体动起来",
    "Small, short clips of camera moves, to try i2v": "简短的小尺寸运镜视频，用于试用",
    "Moves between photos at chosen frames, as the prompt says": "按提示词在指定帧的图片之间生成动作",
    "AnimateDiff in 4 or 8 steps": "只需 4 步或 8 步的 AnimateDiff",
    "AnimateDiff in 4 to 8 steps, with a negative prompt": "只需 4 到 8 步的 AnimateDiff，可用反向提示词",
    "Five seconds as the prompt says, in English or Chinese": "按中文或英文提示词生成五秒视频",
    "Five seconds from a first to a last picture, by two large experts": "由两个专家模型从首帧到末帧生成五秒",
    "Moves what is in the picture, by itself: no prompt": "自动让画面动起来，不用提示词",
    "Pans, zooms and turns the photo itself, sharp at any size": "平移、缩放、旋转原图，任何尺寸都清晰",
}

# Each text: English, Chinese.
TEXTS: dict[str, tuple[str, str]] = {
    "page.title": ("Turn a photo and a sentence into a video", "一张照片加一句话，生成一段视频"),
    "page.language": ("Language", "语言"),
    "page.api": ("API", "API 文档"),
    "page.visit": ("Log out", "退出登录"),
    "role.view": ("may view", "可查看"),
    "role.make": ("may make clips", "可生成"),
    "role.administer": ("administrator", "管理员"),
    "system.log.hidden": ("The log is shown to administrators.", "日志仅对管理员显示。"),
    "demo.better": (
        "{title} can also move what is in the picture, but needs an NVIDIA GPU and a {size} download.",
        "{title} 还能让画面中的物体动起来，但需要 NVIDIA 显卡，并下载 {size} 的模型文件。",
    ),
    "tab.generate": ("Generate", "生成"),
    "tab.queue": ("Queue", "队列"),
    "tab.gallery": ("Gallery", "作品"),
    "tab.batch": ("Batch", "批量"),
    "tab.system": ("System", "系统"),
    # where a token is asked for
    "login.title": ("i2v: log in", "i2v：登录"),
    "login.about": (
        "Enter the access token of this server. It was printed when the server was first started, and is in"
        " the file token in its data folder, unless security.token sets another one.",
        "请输入此服务的访问令牌。令牌在服务首次启动时显示在终端里，也保存在数据文件夹的 token 文件中；"
        "如果设置了 security.token，则以该设置为准。",
    ),
    "login.token": ("Access token", "访问令牌"),
    "login.enter": ("Log in", "登录"),
    "login.here": ("You are logged in.", "已登录。"),
    "login.onward": ("Continue", "继续"),
    "login.leave": ("Log out", "退出登录"),
    # what goes in
    "picture.label": ("Picture", "图片"),
    "picture.placeholder": ("Drop, paste or click", "拖入、粘贴或点击上传"),
    "upload.drop": ("Drop a file here, or click", "将文件拖到此处，或点击上传"),
    "upload.upload": ("Upload", "上传"),
    "upload.webcam": ("Take a photo", "拍照"),
    "upload.paste": ("Paste", "粘贴"),
    "upload.remove": ("Remove picture", "移除图片"),
    "shape.label": ("Shape", "画面形状"),
    "shape.picture": ("Whole", "整张"),
    "shape.own": ("Free", "自由"),
    "crop.box": ("Crop box: move it with the mouse or the arrow keys", "裁剪框：用鼠标或方向键移动"),
    "crop.top_left": ("Crop box: resize at the top left", "裁剪框：拖动左上角调整大小"),
    "crop.top_right": ("Crop box: resize at the top right", "裁剪框：拖动右上角调整大小"),
    "crop.bottom_left": ("Crop box: resize at the bottom left", "裁剪框：拖动左下角调整大小"),
    "crop.bottom_right": ("Crop box: resize at the bottom right", "裁剪框：拖动右下角调整大小"),
    "crop.place": ("Position of the crop box", "裁剪框位置"),
    "prompt.label": ("What should happen?", "想让画面怎么动？"),
    "prompt.placeholder": ("the camera pans left", "镜头向左平移"),
    "prompts.open": ("History", "历史"),
    "prompts.empty": (
        "Prompts that you use appear here. They stay in this browser.",
        "用过的提示词会显示在这里，只保存在此浏览器中。",
    ),
    "prompts.keep": ("Add to favourites", "收藏"),
    "prompts.unkeep": ("Remove from favourites", "取消收藏"),
    "prompts.forget": ("Delete", "删除"),
    "tip.shape": (
        "The part of the picture that is used, as a box you can move and resize.",
        "使用图片的哪一部分：可移动和缩放的裁剪框。",
    ),
    "tip.preset": (
        "Better quality takes more steps or more pixels, and longer.",
        "质量越高，步数或像素越多，用时越长。",
    ),
    "tip.engine": (
        "The model that makes the clip; each card says what it is good at.",
        "生成视频所用的模型；每张卡片说明其特点。",
    ),
    "tip.keyframe": (
        "The number of the frame that this picture is to be; the first frame is 0.",
        "此图片对应第几帧；首帧为 0。",
    ),
    "tip.checkpoint": (
        "Other weights for the model's base, such as an anime style.",
        "替换模型基础权重，例如动漫风格。",
    ),
    "tip.lora": (
        "A small file that adds a style, a subject or a motion to the model.",
        "为模型添加风格、主体或动作的小文件。",
    ),
    "tip.strength": (
        "1 is as it was trained; less is weaker, 0 is off, below 0 is the opposite.",
        "1 为训练时的强度；越小越弱，0 为关闭，负值则相反。",
    ),
    "tip.strength.second": (
        "The same in the second expert, which makes the steps of low noise.",
        "在第二个专家（低噪声步骤）中的强度。",
    ),
    "tip.own": (
        "Saves all settings but picture, prompt and seed in this browser.",
        "把图片、提示词和种子以外的设置保存在此浏览器中。",
    ),
    "helper.open": ("Prompt helper", "提示词助手"),
    "helper.subject": ("Subject", "主体"),
    "helper.subject.example": ("a lighthouse on a cliff", "悬崖上的灯塔"),
    "helper.motion": ("What moves", "动作"),
    "helper.motion.example": ("waves crash on the rocks", "海浪拍打礁石"),
    "helper.camera": ("Camera", "镜头"),
    "helper.pace": ("Pace", "节奏"),
    "helper.none": ("any", "不指定"),
    "helper.use": ("Use as the prompt", "填入提示词"),
    "motions.label": ("Camera moves", "运镜"),
    "motion.left": ("left", "左移"),
    "motion.right": ("right", "右移"),
    "motion.up": ("up", "上移"),
    "motion.down": ("down", "下移"),
    "motion.in": ("in", "推近"),
    "motion.out": ("out", "拉远"),
    "motion.clockwise": ("turn", "旋转"),
    "motion.counterclockwise": ("turn", "旋转"),
    "motion.slow": ("slow", "慢"),
    "motion.fast": ("fast", "快"),
    "motion.still": ("still", "静止"),
    "examples.label": ("New here? Start with one of these:", "第一次用？点一个示例开始："),
    "preset.label": ("Quality", "质量"),
    "preset.quick": ("Quick", "快速"),
    "preset.standard": ("Standard", "标准"),
    "preset.high": ("High", "高质量"),
    "preset.extreme": ("Extreme", "极致"),
    "generate": ("Generate video", "生成视频"),
    "generate.four": ("Make 4", "生成 4 个"),
    "photo.compare": ("Compare with photo", "与照片对比"),
    "photo.alt": ("The photo that the clip was made from", "生成视频所用的照片"),
    "photo.divider": ("Divider: photo on the left, clip on the right", "分隔线：左边是照片，右边是视频"),
    "takes.label": ("Takes", "历次生成"),
    "takes.take": ("Take {number}", "第 {number} 次"),
    "takes.compare": ("Compare", "对比"),
    "takes.alone": ("Stop comparing", "取消对比"),
    "added.label": ("LoRAs and checkpoint", "LoRA 与基础模型"),
    "added.help": (
        "Files from the models folder (loras, checkpoints) and from ComfyUI. Those for another model are"
        " refused.",
        "模型文件夹（loras、checkpoints）与 ComfyUI 中的文件。其他模型的文件会被拒绝。",
    ),
    "added.checkpoint": ("Checkpoint", "基础模型"),
    "added.own": ("The model's own", "模型自带"),
    "added.none": ("None", "无"),
    "added.lora": ("LoRA {number}", "第 {number} 个 LoRA"),
    "added.strength": ("Strength {number}", "第 {number} 个的强度"),
    "added.second": ("Strength {number} at low noise", "第 {number} 个在低噪声阶段的强度"),
    "added.second_empty": ("by the file's name, else the same", "按文件名判断，否则相同"),
    "added.words": ("Trigger words of {name}: {words}", "{name} 的触发词：{words}"),
    "story.group": ("Longer, or a loop", "更长或循环的视频"),
    "loop.label": ("Seamless loop", "无缝循环"),
    "loop.help": (
        "The video can be repeated without a jump. Not together with scenes.",
        "视频可以无缝重复播放。不能与场景同时使用。",
    ),
    "story.label": ("Scenes", "场景"),
    "story.help": (
        "One a line, with its seconds; they are shown one after another. Without a prompt: the one above.",
        "每行一个场景，先写秒数，依次播放。不写提示词则使用上面的提示词。",
    ),
    "story.placeholder": (
        "4: the camera pans left\n4: the camera zooms in",
        "4: 镜头向左移动\n4: 镜头推近",
    ),
    "story.correct": ("Hold the look", "保持画面风格"),
    "story.correct.help": (
        "Keeps colours and sharpness near those of the first frame.",
        "让颜色和清晰度接近第一帧。",
    ),
    "pictures.label": ("More pictures", "更多图片"),
    "pictures.help": (
        "Pictures that the clip passes through or ends with. The picture above is frame 0.",
        "视频会经过或结束于这些图片。上面的图片是第 0 帧。",
    ),
    "pictures.more": (
        "This clip has {count} more keyframes than this form has fields. To use all of them, use the"
        " command line or the API.",
        "该视频还有 {count} 张关键帧超出了表单的位置。要全部使用，请用命令行或 API。",
    ),
    "pictures.frame": ("Picture for frame", "图片所在的帧"),
    "pictures.last": ("Last frame", "末帧"),
    "pictures.mask": (
        "Motion mask, any size: white moves by itself, black only with the camera.",
        "运动蒙版，尺寸不限：白色区域自行运动，黑色区域只随镜头移动。",
    ),
    "pictures.style": (
        "Style picture, any size: the clip takes on its look.",
        "风格参考图，尺寸不限：视频采用它的风格。",
    ),
    "pictures.style.missing": (
        "A style picture needs {title}, which is not installed here. Download it, or remove the picture.",
        "风格参考图需要 {title}，本机尚未安装。请先下载，或移除该图片。",
    ),
    "mask.open": ("Draw on the picture", "在图片上绘制"),
    "mask.no_picture": ("Put in a picture first.", "请先放入图片。"),
    "mask.title": ("Paint what may move by itself", "涂出可以自行运动的部分"),
    "mask.help": (
        "Bright parts move by themselves, dark ones only with the camera.",
        "明亮的部分自行运动，变暗的部分只随镜头移动。",
    ),
    "mask.canvas": (
        "The mask: paint with the mouse or a finger, or move the brush with the arrow keys and hold Space",
        "蒙版：用鼠标或手指涂抹，或用方向键移动画笔并按住空格键",
    ),
    "mask.paint": ("Paint", "涂抹"),
    "mask.erase": ("Erase", "擦除"),
    "mask.size": ("Brush size", "画笔大小"),
    "mask.invert": ("Invert", "反转"),
    "mask.clear": ("Clear", "清空"),
    "mask.close": ("Cancel", "取消"),
    "mask.use": ("Use this mask", "使用此蒙版"),
    "sound.label": ("Sound", "声音"),
    "sound.file": ("Sound file (MP3, M4A, WAV, FLAC, Ogg)", "声音文件（MP3、M4A、WAV、FLAC、Ogg）"),
    "sound.start": ("Start at second", "从第几秒开始"),
    "sound.volume": ("Volume", "音量"),
    "sound.fade_in": ("Fade in, s", "淡入（秒）"),
    "sound.fade_out": ("Fade out, s", "淡出（秒）"),
    "sound.loop": ("Repeat it if it is shorter than the clip", "短于视频时循环播放"),
    "narration.label": ("Narration", "旁白"),
    "narration.help": (
        "A synthetic voice speaks this text, and the video's metadata say so.",
        "由合成语音朗读这段文字，视频的元数据会注明。",
    ),
    "narration.voice": ("Voice", "声线"),
    "narration.espeak": ("espeak-ng (simple)", "espeak-ng（简单）"),
    "narration.fit": ("If the text is longer than the clip", "文字比视频长时"),
    "narration.hold": ("Hold the last frame", "停在最后一帧"),
    "narration.speed": ("Speak faster", "加快语速"),
    "advanced": ("Advanced", "高级设置"),
    "own.label": ("Own presets", "自定义预设"),
    "own.name": ("Save these settings as", "将当前设置保存为"),
    "own.save": ("Save", "保存"),
    "own.remove": ("Delete", "删除"),
    "own.remove.confirm": ("Delete?", "删除？"),
    "resolution.label": ("Resolution", "分辨率"),
    "resolution.help": (
        "How many pixels the clip has: 512p is an area of 512 x 512. Or type width x height.",
        "视频的像素数：512p 即 512 x 512 的面积。也可直接输入宽 x 高。",
    ),
    "resolution.preset": ("from preset", "按预设"),
    "fit.label": ("Aspect ratio", "画面比例"),
    "fit.help": (
        "What becomes of a picture whose shape the model does not make.",
        "图片形状与模型尺寸不合时如何处理。",
    ),
    "fit.keep": ("Same as picture", "与图片一致"),
    "fit.crop": ("Square, cropped", "裁剪成正方形"),
    "fit.pad": ("Square, with borders", "加边框成正方形"),
    "num_frames.label": ("Frames", "帧数"),
    "num_frames.help": (
        "How many pictures the clip is made of: more is longer, and takes longer.",
        "视频由多少帧组成：越多越长，用时也越久。",
    ),
    "fps.label": ("Frames per second", "每秒帧数"),
    "fps.help": (
        "How fast the frames are played: fewer is slower and longer.",
        "播放速度：越小越慢，视频越长。",
    ),
    "style.label": ("Style", "风格"),
    "style.help": ("A look that is added to both prompts.", "为正向和反向提示词加上一种画风。"),
    "style.none": ("None", "不指定"),
    "style.anime": ("Anime", "动漫"),
    "style.oil": ("Oil painting", "油画"),
    "style.watercolor": ("Watercolour", "水彩"),
    "style.ink": ("Ink wash", "水墨"),
    "style.sketch": ("Pencil sketch", "素描"),
    "style.cyberpunk": ("Cyberpunk", "赛博朋克"),
    "style.cinematic": ("Cinematic", "电影感"),
    "style.clay": ("Claymation", "黏土动画"),
    "output_fps.label": ("Smoother motion", "补帧"),
    "output_fps.help": (
        "Frames in between are computed; the clip stays as long as it is.",
        "在生成的画面之间补上中间帧，视频时长不变。",
    ),
    "output_fps.same": ("Off", "关闭"),
    "output_fps.value": ("{fps} frames per second", "每秒 {fps} 帧"),
    "upscaler.label": ("Enlarging", "放大方式"),
    "upscaler.help": (
        "How frames are enlarged where the model makes smaller ones than the video has.",
        "模型生成的画面小于视频尺寸时，用什么放大。",
    ),
    "upscaler.server": ("As the server is set", "按服务器设置"),
    "upscaler.lanczos": ("Plain resampling", "普通重采样"),
    "num_inference_steps.label": ("Steps", "步数"),
    "num_inference_steps.help": (
        "How often the frames are refined: more is cleaner, and takes longer.",
        "画面细化的次数：越多越干净，用时也越久。",
    ),
    "speed.label": ("Speed", "速度"),
    "speed.help": ("Whether steps may be saved where that was verified.", "经过验证时是否可以省去部分步骤。"),
    "speed.auto": (
        "Auto: fast if verified for this model, else exact",
        "自动：已在此模型上验证则用快速，否则用精确",
    ),
    "speed.exact": (
        "Exact: every step, same frames as diffusers",
        "精确：运行全部步数，画面与 diffusers 一致",
    ),
    "speed.fast": ("Fast: far fewer steps, nearly the same clip", "快速：步数少得多，画面几乎相同"),
    "guidance_scale.label": ("Guidance", "引导强度"),
    "guidance_scale.help": (
        "How closely the clip follows the prompt; 1 turns it off.",
        "视频贴合提示词的程度；1 为关闭。",
    ),
    "negative_prompt.label": ("Negative prompt", "反向提示词"),
    "negative_prompt.help": ("What the clip should not show.", "不希望画面中出现的内容。"),
    "negative_prompt.placeholder": ("model default", "模型默认值"),
    "seed.label": ("Seed (leave empty for random)", "种子（留空则随机）"),
    "seed.help": (
        "The same number and settings make the same clip again.",
        "数字和设置相同，生成的视频也相同。",
    ),
    "seed.dice": ("Random", "随机"),
    "seed.reuse": ("Reuse last seed", "沿用上次的种子"),
    "engine.label": ("Model", "模型"),
    "engine.auto": ("Automatic", "自动"),
    "engine.auto.now": ("Automatic: {title}", "自动：{title}"),
    "engine.auto.why": ("best that runs here", "本机最佳"),
    "engine.change": ("Change", "更换"),
    "engine.close": ("Close", "收起"),
    "engine.time": ("about {time} here", "本机约 {time}"),
    "engine.time.range": ("{low} to {high} here", "本机 {low}至{high}"),
    "engine.time.unknown": ("not timed here yet", "本机尚无用时记录"),
    "engine.installed": ("installed, {size}", "已安装，{size}"),
    "engine.included": ("comes with i2v, {size}", "i2v 自带，{size}"),
    "engine.not_installed": ("not installed, {size} download", "未安装，需下载 {size}"),
    "engine.needs_nothing": ("no download", "无需下载"),
    "engine.licence": ("licence: {licence}", "许可证：{licence}"),
    "engine.no_prompt": (
        "{title} works from the picture alone and reads no prompt.",
        "{title} 只根据图片生成，不读取提示词。",
    ),
    "engine.missing": (
        "{title} is not installed here, or some of its files are missing. Download it, or choose another"
        " model.",
        "本机未安装 {title}，或缺少部分文件。请先下载，或选择其他模型。",
    ),
    "option.auto": ("Automatic", "自动"),
    "option.yes": ("Yes", "是"),
    "option.no": ("No", "否"),
    # what it will be
    "forecast.clip": (
        "{width} x {height} pixels, {num_frames} frames, {seconds} s",
        "{width} x {height} 像素，{num_frames} 帧，时长 {seconds} 秒",
    ),
    "forecast.moving": ("the camera moves over the picture ({size})", "镜头在图片（{size}）上移动"),
    "forecast.keep": ("uses the whole picture ({size})", "使用整张图片（{size}）"),
    "forecast.part": ("uses the chosen part of the picture ({size})", "使用图片中选定的部分（{size}）"),
    "forecast.keep_cut": (
        "cuts {percent} % off the picture ({size})",
        "图片（{size}）裁去 {percent}%",
    ),
    "forecast.crop": (
        "a square from the picture ({size}), {percent} % is cut",
        "从图片（{size}）裁取正方形，裁去 {percent}%",
    ),
    "forecast.pad": ("adds borders to the picture ({size})", "为图片（{size}）加边框"),
    # what of the picture is cut
    "cut.said": ("Will be cut: {sides}.", "将裁掉：{sides}。"),
    "cut.left": ("left", "左"),
    "cut.top": ("top", "上"),
    "cut.right": ("right", "右"),
    "cut.bottom": ("bottom", "下"),
    "cut.pad": ("Add borders instead", "改为加边框"),
    "cut.first": ("First frame of the clip", "视频的第一帧"),
    # the gallery
    "gallery.search": ("Search", "搜索"),
    "gallery.search.placeholder": ("words from the prompt", "搜索提示词"),
    "gallery.drop": (
        "Drop an MP4 made by i2v here to load its settings",
        "把 i2v 生成的 MP4 拖到这里，载入其设置",
    ),
    "gallery.loaded": (
        "The clip's settings were loaded. Add a picture: the file does not contain it.",
        "已载入视频的设置。请添加图片：视频文件不包含原图。",
    ),
    "gallery.loaded.whole": (
        "The clip's settings and its picture were loaded.",
        "已载入视频的设置和原图。",
    ),
    "gallery.no_prompt": (
        "The clip was saved without its prompt. Describe what should happen.",
        "该视频没有保存提示词，请描述画面里要发生什么。",
    ),
    "gallery.show": ("Show", "显示"),
    "gallery.show.all": ("All clips", "全部作品"),
    "gallery.show.starred": ("Starred", "星标"),
    "gallery.show.trash": ("Trash", "回收站"),
    "gallery.engine": ("By model", "按模型"),
    "gallery.engine.all": ("All models", "全部模型"),
    "gallery.when": ("Made", "时间"),
    "gallery.when.0": ("Any time", "不限"),
    "gallery.when.1": ("Last 24 hours", "最近 24 小时"),
    "gallery.when.7": ("Last 7 days", "最近 7 天"),
    "gallery.when.30": ("Last 30 days", "最近 30 天"),
    "gallery.order": ("Sort by", "排序"),
    "gallery.order.newest": ("Newest", "最新"),
    "gallery.order.oldest": ("Oldest", "最早"),
    "gallery.order.starred": ("Starred first", "星标优先"),
    "gallery.pick": ("Select", "选择"),
    "gallery.pick_all": ("Select all on this page", "全选本页"),
    "gallery.picked": ("{count} selected", "已选 {count} 个"),
    "gallery.tags": ("Tags", "标签"),
    "gallery.tag.show": ("Show clips with this tag", "只看有此标签的作品"),
    "gallery.tag.word": ("Tag", "标签"),
    "gallery.tag.add": ("Add tag", "添加标签"),
    "gallery.tag.remove": ("Remove tag", "移除标签"),
    "gallery.tag.added": ("Tag added. Clips: {count}.", "已为 {count} 个作品添加标签。"),
    "gallery.tag.removed": ("Tag removed. Clips: {count}.", "已从 {count} 个作品移除标签。"),
    "gallery.zip": ("Download ZIP", "下载 ZIP"),
    "gallery.rerun_picked": ("Run again", "重新生成"),
    "gallery.delete_picked": ("Delete", "删除"),
    "gallery.rerun.done": (
        "{count} jobs were added to the queue, each with a new seed.",
        "已将 {count} 个任务加入队列，均使用新种子。",
    ),
    "gallery.restore": ("Restore", "恢复"),
    "gallery.restored": ("Restored.", "已恢复。"),
    "gallery.purge": ("Delete permanently", "永久删除"),
    "gallery.trash.empty": ("The trash is empty.", "回收站是空的。"),
    "star.add": ("Add star", "加星标"),
    "star.remove": ("Remove star", "取消星标"),
    "star.confirm": ("It has a star. Delete it?", "该作品有星标，确定删除？"),
    "trash.undo": ("Undo", "撤销"),
    "trash.one": ("Moved to the trash for {days} days.", "已移到回收站，保留 {days} 天。"),
    "trash.many": (
        "{count} jobs were moved to the trash for {days} days.",
        "已将 {count} 个任务移到回收站，保留 {days} 天。",
    ),
    "storage.trash": (
        "What you delete stays in the trash for {days} days.",
        "删除的内容在回收站保留 {days} 天。",
    ),
    "storage.jobs": (
        "When there are more than {jobs} finished jobs, the oldest are deleted.",
        "已结束的任务超过 {jobs} 个时，自动删除最早的任务。",
    ),
    "storage.starred": ("Starred clips stay.", "有星标的作品会保留。"),
    "gallery.empty": (
        "No clips yet. Finished clips appear here.",
        "还没有作品。生成完成的视频会显示在这里。",
    ),
    "gallery.none": ("No clip matches your search.", "没有符合搜索条件的作品。"),
    "enhance.smoother": ("Smoother (60\u00a0fps)", "更流畅（60 帧）"),
    "enhance.larger": ("Larger (2×)", "放大 2 倍"),
    "enhance.longer": ("Longer (+4\u00a0s)", "延长 4 秒"),
    "enhance.done": (
        "In the queue: a new clip is made of this one, which stays.",
        "已加入队列：将由这段视频生成一段新视频，原视频保留。",
    ),
    "gallery.open": ("Open", "打开"),
    "gallery.delete": ("Delete", "删除"),
    "gallery.confirm": ("Delete permanently?", "确定永久删除？"),
    "gallery.deleted": ("The clip and its picture were deleted.", "视频和图片已删除。"),
    "gallery.turns": ("Pages", "分页"),
    "gallery.newer": ("Newer", "较新"),
    "gallery.older": ("Older", "较早"),
    "gallery.deleted.kept": (
        "The job was deleted. {path} was kept, because this job did not create it.",
        "任务已删除。{path} 不是由该任务生成的，已保留。",
    ),
    # videos that cannot be played, and those that are deleted by themselves
    "video.missing": ("Video file missing.", "视频文件缺失。"),
    "video.broken": ("Video file damaged.", "视频文件已损坏。"),
    "video.where.missing": (
        "The video file is missing: {path} no longer exists. Put it back, or delete the job.",
        "视频文件缺失：{path} 已不存在。请放回原处，或删除该任务。",
    ),
    "video.where.broken": (
        "The video file {path} is damaged and cannot be played. Restore a copy, or delete the job.",
        "视频文件 {path} 已损坏，无法播放。请用备份替换，或删除该任务。",
    ),
    "storage.days": (
        "Jobs are deleted {days} days after they finish, together with their videos and pictures.",
        "任务结束 {days} 天后自动删除，视频和图片一并删除。",
    ),
    "storage.gigabytes": (
        "When videos and pictures take more than {gigabytes} GB, the oldest finished jobs are deleted.",
        "视频和图片超过 {gigabytes} GB 时，自动删除最早结束的任务。",
    ),
    # a batch
    "batch.pictures": ("Pictures", "图片"),
    "batch.about": (
        "Makes one clip for each picture. All settings except the prompt come from the Generate tab. If the"
        " seed is empty there, each picture gets its own.",
        "每张图片生成一段视频。除提示词外，其他设置沿用“生成”页。种子留空时，每张图片使用不同的种子。",
    ),
    "batch.list": (
        "Prompts from a file (CSV or JSONL): a column image with the pictures’ names, and prompt, seed, …",
        "从文件导入提示词（CSV 或 JSONL）：image 列为图片文件名，另有 prompt、seed 等列",
    ),
    "batch.table": (
        "A prompt of its own for each picture; empty: the one above",
        "每张图片可有自己的提示词；留空则使用上方的提示词",
    ),
    "batch.prompt_of": ("Prompt for {name}", "{name} 的提示词"),
    "batch.no_picture": (
        "The file names pictures that were not dropped here: {names}",
        "文件中提到的图片未拖入：{names}",
    ),
    "batch.forecast": (
        "{count} clips, about {each} each: about {together} in all",
        "{count} 段视频，每段约 {each}，总共约 {together}",
    ),
    "batch.forecast.unknown": (
        "{count} clips. No estimate yet: no job with this model has finished here.",
        "{count} 段视频。暂无估算：本机还没有用此模型完成过任务。",
    ),
    "batch.go": ("Generate all", "全部生成"),
    "batch.done": ("{done} of {total} done", "已完成 {done}/{total}"),
    "batch.lost": ("{count} failed or cancelled", "{count} 个失败或已取消"),
    "batch.time_left": ("about {time} left", "约剩 {time}"),
    "batch.waiting": ("not in the queue yet", "尚未进入队列"),
    "batch.cancel": ("Cancel the batch", "取消该批次"),
    "batch.cancel.sure": ("Really cancel it?", "确定取消？"),
    "batch.retry": ("Retry what failed", "重试失败的"),
    "batch.zip": ("Download all (ZIP)", "全部下载（ZIP）"),
    "batch.deleted": ("deleted", "已删除"),
    "batch.queue": ("Show queue", "查看队列"),
    # while it runs
    "sending": ("Uploading the picture…", "正在上传图片…"),
    "idle": ("Your clip will appear here.", "视频将显示在这里。"),
    "idle.first": ("The clip will start like this.", "视频将从这个画面开始。"),
    "status.queued": ("Waiting: {count} ahead", "排队中，前面还有 {count} 个"),
    "status.next": ("Next in the queue", "排队中，即将开始"),
    "status.loading": ("Loading the model", "正在加载模型"),
    "status.conditioning": ("Encoding the prompt and the picture", "正在编码提示词和图片"),
    "status.denoising": ("Denoising", "正在去噪"),
    "status.decoding": ("Decoding frames", "正在解码画面"),
    "status.upscaling": ("Enlarging frames", "正在放大画面"),
    "status.interpolating": ("Computing frames in between", "正在补帧"),
    "status.encoding": ("Saving the video", "正在保存视频"),
    "status.cancelling": ("Cancelling…", "正在取消…"),
    "status.step": ("step {step} of {total}", "第 {step}/{total} 步"),
    "status.frame": ("frame {step} of {total}", "第 {step}/{total} 帧"),
    "status.elapsed": ("{time} so far", "已用 {time}"),
    "status.left": ("about {seconds:time} left", "约剩 {seconds:time}"),
    "status.cancelled": ("Cancelled.", "已取消。"),
    "status.failed": ("Failed.", "生成失败。"),
    "status.succeeded": ("Done.", "完成。"),
    "notify.label": ("Notify me when a clip is done", "视频完成时通知我"),
    "notify.denied": (
        "The browser does not allow notifications from this page. Its settings for this site can change"
        " that.",
        "浏览器不允许本页面发送通知，可在浏览器的网站设置中更改。",
    ),
    "preview.alt": ("Noisy preview of the clip", "视频预览（仍有噪点）"),
    "cancel": ("Cancel", "取消"),
    # the queue
    "device.label": ("Device", "运行设备"),
    "device.help": ("The GPU of the server that makes the clip.", "由服务器的哪块显卡生成。"),
    "device.any": ("Any that is free", "任一空闲设备"),
    "device.unknown": ("a device", "设备"),
    "device.worker": ("{device}, worker {number}", "{device}，工作进程 {number}"),
    "device.problem": ("{state} (reason: {problem})", "{state}（原因：{problem}）"),
    "device.starting": ("starting", "正在启动"),
    "device.ready": ("free", "空闲"),
    "device.busy": ("busy", "运行中"),
    "device.set_aside": (
        "set aside after failed starts, tried again every few minutes",
        "多次启动失败，已暂停使用，每隔几分钟重试",
    ),
    "device.leaving": ("leaving the cluster", "正在离开集群"),
    "device.models": ("weights: {models}", "权重：{models}"),
    "device.fetch": ("getting {engine}: {done} of {total} GB", "正在获取 {engine}：{done} / {total} GB"),
    "device.fetch_begins": ("getting {engine}", "正在获取 {engine}"),
    "queue.now": ("Running and waiting", "运行中和排队中"),
    "queue.counts": ("{running} running, {waiting} waiting", "{running} 个运行中，{waiting} 个排队中"),
    "queue.nothing": (
        "No jobs are running or waiting. New jobs appear here until they finish.",
        "没有正在运行或排队的任务。新任务会显示在这里，直到结束。",
    ),
    "queue.pause": ("Pause queue", "暂停队列"),
    "queue.resume": ("Resume queue", "继续队列"),
    "queue.paused": (
        "The queue is paused: no new job starts until you resume it.",
        "队列已暂停：继续之前不会开始新任务。",
    ),
    "queue.first": ("Move to front", "移到最前"),
    "queue.up": ("Move up", "上移"),
    "queue.down": ("Move down", "下移"),
    "queue.starts": ("starts in about {time}", "约 {time}后开始"),
    "queue.more": ("and {count} more", "还有 {count} 个"),
    "job.unreadable": ("Job with unreadable details", "无法读取详情的任务"),
    "queue.finished": ("Finished", "已结束"),
    "queue.none": ("No finished jobs yet.", "还没有已结束的任务。"),
    "queue.succeeded": ("Done", "完成"),
    "queue.failed": ("Failed", "失败"),
    "queue.cancelled": ("Cancelled", "已取消"),
    "queue.ago": ("{time} ago", "{time}前"),
    "queue.took": ("took {time}", "耗时 {time}"),
    "queue.open": ("Open", "打开"),
    "queue.cancel": ("Cancel", "取消"),
    "queue.cancel_all": ("Cancel all", "全部取消"),
    "queue.cancel_all.confirm": ("Cancel {count} jobs?", "确定取消 {count} 个任务？"),
    "queue.cancelled_all": ("{count} jobs were cancelled.", "已取消 {count} 个任务。"),
    "queue.retry": ("Retry", "重试"),
    "queue.delete": ("Delete", "删除"),
    "queue.delete.confirm": ("Delete permanently?", "确定永久删除？"),
    "queue.deleted": ("The job and all its files were deleted.", "任务及其所有文件已删除。"),
    "queue.clear": ("Delete failed and cancelled jobs", "删除失败和已取消的任务"),
    "queue.clear.confirm": ("Permanently delete {count} jobs?", "确定永久删除 {count} 个任务？"),
    "queue.clear.trash": ("Delete {count} jobs?", "确定删除 {count} 个任务？"),
    "queue.cleared": ("{count} jobs were deleted.", "已删除 {count} 个任务。"),
    "queue.turns": ("Pages of finished jobs", "已结束任务的分页"),
    "queue.newer": ("Newer", "较新"),
    "queue.older": ("Older", "较早"),
    # models
    "models.title": ("Models", "模型"),
    "models.get": ("Download {title} ({size})", "下载 {title}（{size}）"),
    "models.state.available": ("Installed", "已安装"),
    "models.state.incomplete": ("Incomplete", "不完整"),
    "models.state.absent": ("Not installed", "未安装"),
    "models.state.downloading": ("Downloading", "正在下载"),
    "models.state.verifying": ("Verifying", "正在校验"),
    "models.state.converting": ("Converting", "正在转换"),
    "models.where": ("Folder", "文件夹"),
    "models.where.embedded": ("{path} (comes with i2v)", "{path}（i2v 自带）"),
    "models.where.downloaded": ("{path} (downloaded by i2v)", "{path}（由 i2v 下载）"),
    "models.where.added": ("{path} (added; never modified by i2v)", "{path}（手动添加，i2v 不会改动）"),
    "models.where.found": ("{path} (found; never modified by i2v)", "{path}（自动找到，i2v 不会改动）"),
    "models.missing": ("Missing", "缺少"),
    "models.size": ("Size", "大小"),
    "models.size.begun": ("{size}, {begun} downloaded", "{size}，已下载 {begun}"),
    "models.size.converted": (
        "{size}; {less} once it is stored in bfloat16",
        "{size}；以 bfloat16 存储后为 {less}",
    ),
    "models.licence": ("Licence", "许可证"),
    "models.origin": ("Origin", "来源"),
    "models.checked": ("Verified", "校验结果"),
    "models.checked.not": (
        "not yet; Verify compares every file with the published checksums",
        "尚未校验；点击“校验”可将每个文件与官方校验值比对",
    ),
    "models.sources": ("Download from", "下载来源"),
    "models.sources.order": (
        "{sources}; if one fails, the next one takes over",
        "{sources}；一个失败时自动换下一个",
    ),
    "models.sources.offline": ("downloads are off (models.offline)", "已关闭下载（models.offline）"),
    "models.target": ("Download to", "下载到"),
    "models.target.free": ("{path} ({free} free)", "{path}（剩余 {free}）"),
    "models.target.full": (
        "{path} (only {free} free): free up space, or set models.directory to a folder on another disk",
        "{path}（只剩 {free}）：请清理空间，或把 models.directory 设为另一块磁盘上的文件夹",
    ),
    "models.download": ("Download", "下载"),
    "models.download.confirm": ("Download {size} now?", "现在下载 {size}？"),
    "models.resume": ("Resume download", "继续下载"),
    "models.accept.confirm": (
        "Accept the licence {licences} and download {size} now?",
        "接受许可 {licences} 并下载 {size}？",
    ),
    "models.part.copy": ("already in {path}, and used from there", "已在 {path}，直接使用"),
    "models.cancel": ("Cancel", "取消"),
    "models.verify": ("Verify", "校验"),
    "models.convert": ("Store in bfloat16", "以 bfloat16 存储"),
    "models.convert.confirm": (
        "Saves {saved} and needs {needed} more for a while. The float32 originals are deleted once the new"
        " file matches them. Start?",
        "可节省 {saved}，期间需要额外 {needed}。新文件与 float32 原始文件比对一致后会删除原始文件。"
        "现在开始？",
    ),
    "models.remove": ("Delete", "删除"),
    "models.remove.confirm": ("Permanently delete {size}?", "确定永久删除 {size}？"),
    "models.forget": ("Remove from list", "移出列表"),
    "models.forget.confirm": (
        "Remove it from the list? The folder itself is kept.",
        "移出列表？文件夹本身会保留。",
    ),
    "models.add": ("Add", "添加"),
    "models.add.label": (
        "Use a model folder already on the server (nothing is copied)",
        "使用服务器上已有的模型文件夹（不会复制）",
    ),
    "models.added": ("{path} was added.", "已添加 {path}。"),
    "models.removed": ("{path} was removed.", "已移除 {path}。"),
    "models.add.which": ("Model", "模型"),
    "models.phase.waiting": (
        "{title}: waiting for another process that is downloading it",
        "{title}：另一个进程正在下载，等待其完成",
    ),
    "models.phase.asking": ("{title}: connecting to {source}", "{title}：正在连接 {source}"),
    "models.phase.fetching": ("Downloading {title}", "正在下载 {title}"),
    "models.phase.checking": ("Verifying {title}", "正在校验 {title}"),
    "models.phase.converting": ("Writing {title} in bfloat16", "正在以 bfloat16 写入 {title}"),
    "models.phase.pausing": (
        "{title}: no source responds; retrying soon",
        "{title}：所有来源都没有响应，稍后重试",
    ),
    "models.phase.beginning": ("{title}: starting", "{title}：正在准备"),
    "models.phase.cancelling": ("{title}: cancelling", "{title}：正在取消"),
    "models.done": ("{done} of {total}", "已完成 {done}/{total}"),
    "models.left": ("about {time} left", "约剩 {time}"),
    "models.file": ("{file}: {done} of {total}", "{file}：已完成 {done}/{total}"),
    "models.from": ("from {source}", "来自 {source}"),
    # the system
    "system.queue": ("Queue", "队列"),
    "system.device": ("Device", "运行设备"),
    "system.devices": ("Devices", "运行设备"),
    "system.device.value": ("{name}, {gib} GB of memory", "{name}，内存 {gib} GB"),
    "system.device.unknown": ("Not known yet: the worker is starting.", "暂时未知：工作进程正在启动。"),
    "system.engine": ("Default model", "默认模型"),
    "system.engine.named": ("{name} (set by engine.name)", "{name}（由 engine.name 指定）"),
    "system.platform": ("Operating system", "操作系统"),
    "system.docs": ("For developers", "开发者"),
    "system.docs.link": ("API documentation", "API 文档"),
    "system.folders": ("Folders", "文件夹"),
    "system.folder.outputs": ("Videos", "视频"),
    "system.folder.data": ("Jobs and pictures", "任务和图片"),
    "system.folder.models": ("Models", "模型"),
    "system.folder.value": ("{path}: {free} of {total} GB free", "{path}：剩余 {free} GB，共 {total} GB"),
    "system.kept": ("Automatic deletion", "自动删除"),
    "system.versions": ("Versions", "版本"),
    "system.version.none": ("not installed", "未安装"),
    "system.check": ("Check this machine", "检查本机"),
    "system.checking": ("Checking memory, GPU, disks and programs…", "正在检查内存、显卡、磁盘和程序…"),
    "system.found": ("{problems} problems, {warnings} warnings", "{problems} 个问题，{warnings} 个警告"),
    "system.sound": ("No problems found.", "没有发现问题。"),
    "system.fix": ("Fix: {fix}", "解决办法：{fix}"),
    "system.status.ok": ("OK", "正常"),
    "system.status.info": ("Info", "提示"),
    "system.status.warning": ("Warning", "警告"),
    "system.status.problem": ("Problem", "问题"),
    "system.case.out_of_memory": ("Memory", "内存"),
    "system.case.no_response": ("Model files", "模型文件"),
    "system.case.stiff_motion": ("Stiff motion", "动作僵硬"),
    "system.case.black_output": ("Video files", "视频文件"),
    "system.case.slow": ("Speed", "速度"),
    "system.case.several_runs": ("Other programs", "其他程序"),
    "system.case.set_up": ("Installation", "安装"),
    "webhooks": ("Webhooks", "Webhook 消息"),
    "webhooks.counts": (
        "Messages: {delivered} delivered, {pending} pending, {failed} given up",
        "消息：已送达 {delivered} 条，等待中 {pending} 条，已放弃 {failed} 条",
    ),
    "webhooks.failed": ("Given up", "已放弃"),
    "webhooks.redeliver": ("Send {count} again", "重新发送 {count} 条"),
    "webhooks.redelivered": ("Sending again: {count}", "正在重新发送：{count} 条"),
    "system.log": ("Latest log lines", "最近的日志"),
    "system.log.none": ("This server does not write a log file.", "此服务没有写日志文件。"),
    "system.log.empty": ("The log is still empty.", "日志还是空的。"),
    # what comes out
    "download": ("Download", "下载"),
    "same_seed": ("Run again, same seed", "重新生成（相同种子）"),
    "variation": ("Variation", "换个版本"),
    "carry_on": ("Continue from last frame", "从最后一帧继续"),
    "animation.gif": ("Save as GIF", "保存为 GIF"),
    "animation.webp": ("Save as WebP", "保存为 WebP"),
    "last_frame": ("Save last frame", "保存最后一帧"),
    "result.path": ("Saved as", "保存位置"),
    "result.prompt": ("Prompt", "提示词"),
    "result.negative_prompt": ("Negative prompt", "反向提示词"),
    "result.size": ("Size", "尺寸"),
    "result.crop": ("Part of the picture", "所用画面"),
    "result.crop.value": (
        "{left} to {right} % across, {top} to {bottom} % down",
        "横向 {left}% 至 {right}%，纵向 {top}% 至 {bottom}%",
    ),
    "result.length": ("Length", "时长"),
    "result.length.value": ("{frames} frames at {fps} fps", "{frames} 帧，每秒 {fps} 帧"),
    "result.steps": ("Steps", "步数"),
    "result.steps.fast": (
        "{steps} (fast: the network ran {evaluations} times)",
        "{steps}（快速模式：网络实际运行 {evaluations} 次）",
    ),
    "result.steps.last": ("the last {evaluations} of {steps}", "{steps} 步中的最后 {evaluations} 步"),
    "result.guidance": ("Guidance", "引导强度"),
    "result.seed": ("Seed", "种子"),
    "result.options": ("Options", "选项"),
    "result.checkpoint": ("Checkpoint", "基础模型"),
    "result.story": ("Scenes", "场景"),
    "result.loras": ("LoRAs (strength)", "LoRA（强度）"),
    "result.engine": ("Model", "模型"),
    "result.made_with": ("Computed on", "计算设备"),
    "result.seconds": ("Time taken", "耗时"),
    "result.seconds.value": ("{seconds} s", "{seconds} 秒"),
    "result.memory": ("Peak memory", "内存峰值"),
    "result.memory.value": ("{used} GB", "最高 {used} GB"),
    "result.memory.beside": ("{used} GB (estimate: {estimated} GB)", "{used} GB（预计 {estimated} GB）"),
}

_STATUS = {
    "queued": "排队中", "running": "运行中", "succeeded": "已完成", "failed": "失败", "cancelled": "已取消",
}  # fmt: skip


def text(key: str, language: Language, **params: object) -> str:
    """Return a text of the page; a missing key or param is a bug (`KeyError`)."""
    english, chinese = TEXTS[key]
    return fill(chinese if language == "zh-CN" else english, params, language)


def sentences(each: Iterable[str], language: Language) -> str:
    """Return several sentences as one text: Chinese puts no space between them."""
    return ("" if language == "zh-CN" else " ").join(each)


def translate(message: Mapping[str, object], language: Language) -> str:
    """Return the sentence of an error or notice, `{code, params, message}`, with what to do about it.

    The error of a job may have a notice that comes `then` (`attempt.with_notice`). An older version may
    have stored one with another code or other params: then as it was said in English.
    """
    sentence, then = _translated(message, language), message.get("then")
    if not isinstance(then, Mapping):
        return sentence
    return sentences((sentence, _translated(then, language)), language)


def _translated(message: Mapping[str, object], language: Language) -> str:
    try:
        entry = catalogue(language)[str(message["code"])]
        params = _localized(cast("dict[str, Param]", message["params"]), language)
        sentence = fill(entry.page or entry.message, params, language)
    except KeyError:
        return str(message["message"])
    return sentence if entry.page or not entry.hint else sentences((sentence, entry.hint), language)


def _localized(params: Mapping[str, Param], language: Language) -> dict[str, Param]:
    """Return the params with the page's words for a field and, in Chinese, for what else is not a value."""
    words = dict(params)
    if (label := f"{words.get('field')}.label") in TEXTS:
        words["field"] = re.split(r" \(|（", text(label, language))[0]
    if language == "zh-CN" and words.get("status") in _STATUS:
        words["status"] = _STATUS[str(words["status"])]
    if language == "zh-CN" and "allowed" in words:
        words["allowed"] = in_chinese(str(words["allowed"]))
    if "title" in words:
        words["title"] = model_title(str(words["title"]), language)
    return words


def model_title(title: str, language: Language) -> str:
    """Return the name of a model on the page: most are proper names, and the same in every language."""
    return _TITLES.get(title, title) if language == "zh-CN" else title


def licence_name(licence: str, language: Language) -> str:
    """Return the name of a licence on the page: a proper name, but for those that only a model's page has."""
    return _LICENCES.get(licence, licence) if language == "zh-CN" else licence


def model_summary(summary: str, language: Language) -> str:
    """Return what a model makes; of an engine of another package, as that says it."""
    return _SUMMARIES.get(summary, summary) if language == "zh-CN" else summary


def preferred_language(accept_language: str) -> Language:
    """Return the first language of an Accept-Language header that the page speaks, else English."""
    ranked = []
    for part in accept_language.split(","):
        name, _, weight = part.partition(";")
        match = re.fullmatch(r"\s*q=([01](?:\.\d*)?)\s*", weight)
        ranked.append((-(float(match[1]) if match else 1.0), name.strip().lower()))
    for weight_below, name in sorted(ranked, key=lambda pair: pair[0]):
        if weight_below < 0 and re.match(r"(zh|en)\b", name):
            return "zh-CN" if name.startswith("zh") else "en"
    return "en"
