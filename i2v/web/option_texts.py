"""What the page says of an engine's own options, in Chinese: English comes from the fields themselves.

One table; what is not in it is said in English, since an engine of another package may bring any field.
Keys: `option.ENGINE.FIELD` is a field's label; with `.help` its help, with `.VALUE` the label of one of its
choices.
"""

from __future__ import annotations

from i2v.core.option_fields import OptionField
from i2v.core.schema import Language

_SVD = {
    "motion_bucket_id": "运动幅度",
    "motion_bucket_id.help": "动多少：1 几乎静止，127 为常用值，超过 180 画面容易崩坏。",
    "noise_aug_strength": "偏离图片的自由度",
    "noise_aug_strength.help": "编码前在图片上加的噪声：越大，视频越可以偏离图片，动得也越多。",
    "min_guidance_scale": "首帧引导强度",
    "min_guidance_scale.help": "首帧的引导强度；首帧与末帧之间的各帧逐渐过渡。",
    "max_guidance_scale": "末帧引导强度",
    "max_guidance_scale.help": "末帧的引导强度：越高，后面的帧越接近图片。两项都为 1 即关闭引导，用时减半。",
}

_CAMERA = {
    "pan": "左右平移",
    "pan.help": "镜头向右平移多远，以首帧宽度为单位：0.25 即四分之一，-0.25 为向左。留空：由提示词决定。",
    "tilt": "上下移动",
    "tilt.help": "镜头向上移动多远，以首帧高度为单位；负数为向下。留空：由提示词决定。",
    "zoom": "缩放",
    "zoom.help": "末帧中的景物是首帧的多少倍：1.2 为放大 20%，0.8 为缩小，1 为不变。留空：由提示词决定。",
    "roll": "旋转",
    "roll.help": "画面顺时针旋转的角度；负数为逆时针。留空：由提示词决定。",
    "easing": "速度变化",
    "easing.help": (
        "匀速、渐快（慢起）、渐慢（慢停），或两端都慢。留空：由提示词决定，否则两端都慢。循环时另有规律。"
    ),
    "easing.linear": "匀速",
    "easing.in": "渐快",
    "easing.out": "渐慢",
    "easing.in-out": "两端都慢",
    "loop": "循环",
    "loop.help": "先去后回，重复播放时没有跳变。留空：由提示词决定。",
    "camera_strength": "运镜自由度",
    "camera_strength.help": (
        "模型在镜头路径上可以自由发挥的程度：接近 0 时严格按路径移动，1 表示运动完全由模型决定。"
    ),
}
_ANIMATEDIFF = {
    "controlnet_conditioning_scale": "图片强度",
    "controlnet_conditioning_scale.help": (
        "视频跟随图片与关键帧的程度：1 为常用值，调低则给提示词更多余地，0 为忽略图片。"
    ),
    "ip_adapter_scale": "风格参考图强度",
    "ip_adapter_scale.help": (
        "视频采用参考图风格的程度：留空为 0.6，1 会盖过提示词，0 为忽略。没有风格参考图时不起作用。"
    ),
}
_ANIMATEDIFFS = ("animatediff", "animatediff-lightning", "animatelcm")

_WAN = {
    "flow_shift": "噪声偏移",
    "flow_shift.help": (
        "各步在强噪声处停留多久，运动和构图在那里形成：5 为模型发布时的值，小尺寸视频约用 3，越大动得越多。"
    ),
}
_WANS = ("wan-ti2v-5b", "wan-i2v-a14b")
_CAMERA_ENGINES = (*_ANIMATEDIFFS, *_WANS, "camera-move", "embedded", "i2vgen-xl", "svd", "svd-xt")

CHINESE: dict[str, str] = {
    **{
        f"option.{name}.{key}": said
        for name in _CAMERA_ENGINES
        for key, said in _CAMERA.items()
        if name != "camera-move" or not key.startswith("camera_strength")
    },
    **{f"option.{name}.{key}": said for name in _ANIMATEDIFFS for key, said in _ANIMATEDIFF.items()},
    **{f"option.{name}.{key}": said for name in ("svd", "svd-xt") for key, said in _SVD.items()},
    **{f"option.{name}.{key}": said for name in _WANS for key, said in _WAN.items()},
    "option.wan-i2v-a14b.guidance_scale_2": "低噪声引导强度",
    "option.wan-i2v-a14b.guidance_scale_2.help": "第二个专家（负责细节）的引导强度。留空：与第一个相同。",
    "option.wan-i2v-a14b.boundary_ratio": "专家分界",
    "option.wan-i2v-a14b.boundary_ratio.help": (
        "噪声降到最高值的多大比例时改由第二个专家接手：0.9 为模型发布时的值。"
    ),
    "option.wan-i2v-a14b.solver": "求解器",
    "option.wan-i2v-a14b.solver.help": "模型发布时用 UniPC，其蒸馏 LoRA 用 Euler。",
    "option.wan-i2v-a14b.solver.unipc": "UniPC（发布时所用）",
    "option.wan-i2v-a14b.solver.euler": "Euler（用于蒸馏 LoRA）",
}


def option_label(engine: str, field: OptionField, language: Language) -> str:
    return _said(f"option.{engine}.{field.name}", field.title, language)


def option_help(engine: str, field: OptionField, language: Language) -> str:
    return _said(f"option.{engine}.{field.name}.help", field.description, language)


def choice_label(engine: str, field: OptionField, value: object, language: Language) -> str:
    return _said(f"option.{engine}.{field.name}.{value}", str(value), language)


def _said(key: str, english: str, language: Language) -> str:
    return CHINESE.get(key, english) if language == "zh-CN" else english
