"""What OpenAPI is told of bodies that are read without FastAPI: forms and JSON, as JSON schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from i2v.core.enhancement import EnhanceRequest
from i2v.core.extension import ExtendRequest
from i2v.core.fields import MAX_FRAMES
from i2v.core.inputs import MAX_INPUTS, InputRole
from i2v.core.loras import MAX_LORAS
from i2v.core.schema import GenerationRequest
from i2v.core.story import MAX_SCENES, MAX_SECONDS
from i2v.core.webhook import Webhook
from i2v.web.api.intake import FORM, JSON

JsonSchema = dict[str, object]

MAX_PICTURE_SIDE = 100_000  # pixels
_TEXT: JsonSchema = {"type": "string"}


_STORY: JsonSchema = {
    "type": "array",
    "maxItems": MAX_SCENES,
    "items": {
        "type": "object",
        "required": ["seconds"],
        "additionalProperties": False,
        "properties": {
            "seconds": {"type": "number", "minimum": 0.1, "maximum": MAX_SECONDS},
            "prompt": {"type": "string", "default": "", "description": "empty: that of the request"},
        },
    },
}

_LORAS: JsonSchema = {
    "type": "array",
    "maxItems": MAX_LORAS,
    "items": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "description": "one of GET /api/v1/loras"},
            "strength": {"type": "number", "minimum": -4, "maximum": 4, "default": 1},
            "strength_2": {
                "anyOf": [{"type": "number", "minimum": -4, "maximum": 4}, {"type": "null"}],
                "description": "in the second expert of a model that has two; without one, as the file's name"
                " says, else as in the first",
            },
        },
    },
}


# Fields whose schema says more than the one that pydantic makes.
_LISTS: dict[str, JsonSchema] = {"loras": _LORAS, "story": _STORY}


def body_schema(
    required: Mapping[str, JsonSchema], optional: Mapping[str, JsonSchema] | None = None
) -> JsonSchema:
    """Return the schema of a JSON body: the fields of a request, and some more."""
    schema = GenerationRequest.model_json_schema()
    known = schema["properties"]
    lists = {name: {"description": known[name]["description"], **each} for name, each in _LISTS.items()}
    schema["$defs"].pop("Lora")  # its own stands in their place
    if "sound_file" not in (optional or {}):  # without the file, nothing can be said of it
        del known["sound"]
    return {
        **schema,
        "properties": {**required, **known, **lists, **(optional or {})},
        "required": [*required, *schema.get("required", [])],
    }


def form_schema(
    required: Mapping[str, JsonSchema], optional: Mapping[str, JsonSchema] | None = None
) -> JsonSchema:
    """Return the same for a form, which has no null (pydantic puts it last) and no objects but as text."""
    schema = body_schema(required, optional)
    fields = cast("dict[str, dict[str, list[JsonSchema]]]", schema["properties"])
    properties: JsonSchema = {name: field.get("anyOf", [field])[0] for name, field in fields.items()}
    options = {**_TEXT, "contentMediaType": "application/json"}
    options["description"] = f"a JSON object, as text: {fields['options']['description']}"
    properties["crop"] = {**_TEXT, "description": f"{fields['crop']['description']}: 0.1,0,0.9,1 or 16:9"}
    scenes = f"{fields['story']['description']}: seconds: prompt, one a line"
    properties["story"] = {**_TEXT, "description": scenes}
    loras = f"{fields['loras']['description']}: ink:0.8, soft (two experts: ink:0.8:0.5)"
    properties["loras"] = {**_TEXT, "description": loras}
    if "sound" in fields:
        sound = f"a JSON object, as text: {fields['sound']['description']}"
        properties["sound"] = {**_TEXT, "contentMediaType": "application/json", "description": sound}
    narration = f"{fields['narration']['description']}, or a JSON object as text"
    properties["narration"] = {**_TEXT, "description": narration}
    del properties["inputs"]  # a form has each picture as a file
    return {**schema, "properties": {**properties, "options": options}}


_SIDE: JsonSchema = {"type": "integer", "minimum": 1, "maximum": MAX_PICTURE_SIDE}

IMAGE_FILE: JsonSchema = {"type": "string", "format": "binary", "description": "the picture's file"}
IMAGE_TEXT: JsonSchema = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "the picture's file; data:image/png;base64, may stand before it. Either alphabet of"
    " base64, with or without padding and line breaks",
}
_IMAGE_NAME: JsonSchema = {**_TEXT, "description": "of its file, for people and for the video's name"}
WEBHOOK: JsonSchema = {
    **Webhook.model_json_schema(),
    "description": "who is told what becomes of this job, besides those in the server's settings",
}
WEBHOOK_TEXT: JsonSchema = {
    **_TEXT,
    "contentMediaType": "application/json",
    "description": f"a JSON object of url, events and secret, as text: {WEBHOOK['description']}",
}
_SOUND_WORDS = "a sound that goes beside the frames: MP3, M4A, WAV, FLAC or Ogg"
SOUND_TEXT: JsonSchema = {
    "type": "string",
    "contentEncoding": "base64",
    "description": f"{_SOUND_WORDS}, as base64",
}
_OTHER_ROLES = [role for role in get_args(InputRole) if role != "image"]
_OTHER_FILES: dict[str, JsonSchema] = {
    "last_image": {**IMAGE_FILE, "description": "the file of the last_image, for models that take one"},
    "motion_mask": {
        **IMAGE_FILE,
        "description": "the file of the motion_mask, for models that take one: white where the model acts,"
        " black where only the camera moves",
    },
    "style_image": {
        **IMAGE_FILE,
        "description": "the file of the style_image, for models that take one: a picture whose look the clip"
        " is to have",
    },
    "sound_file": {**IMAGE_FILE, "description": _SOUND_WORDS},
}
_KEYFRAME_FILES: JsonSchema = {
    "^keyframe_[1-9][0-9]{0,3}$": {
        **IMAGE_FILE,
        "description": "the file of a keyframe by the number of its frame, for models that take some",
    }
}
INPUTS: JsonSchema = {
    "type": "array",
    "maxItems": MAX_INPUTS,
    "description": "pictures besides image, for models that take more",
    "items": {
        "type": "object",
        "required": ["role", "image"],
        "additionalProperties": False,
        "properties": {
            "role": {"type": "string", "enum": _OTHER_ROLES},
            "frame": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_FRAMES - 1,
                "description": "of a keyframe, and only there: the frame that it is, counted from 0",
            },
            "image": IMAGE_TEXT,
        },
    },
}
PICTURE_SIZE: JsonSchema = {
    "type": "array",
    "items": _SIDE,
    "minItems": 2,
    "maxItems": 2,
    "description": "[width, height] of the picture in pixels; [512, 512] if it is not given",
}

# What OpenAPI is told of bodies that are read without FastAPI, and of the stream of events.
SUBMISSION: JsonSchema = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                **form_schema({"image": IMAGE_FILE}, {**_OTHER_FILES, "webhook": WEBHOOK_TEXT}),
                "patternProperties": _KEYFRAME_FILES,
            }
        },
        JSON: {
            "schema": body_schema(
                {"image": IMAGE_TEXT},
                {
                    "image_name": _IMAGE_NAME,
                    "inputs": INPUTS,
                    "sound_file": SOUND_TEXT,
                    "webhook": WEBHOOK,
                },
            )
        },
    },
}
PLANNED: JsonSchema = {
    "required": True,
    "content": {JSON: {"schema": body_schema({}, {"picture_size": PICTURE_SIZE})}},
}
ENHANCEMENT: JsonSchema = {
    "required": True,
    "content": {JSON: {"schema": EnhanceRequest.model_json_schema()}},
}
EXTENSION: JsonSchema = {
    "required": True,
    "content": {JSON: {"schema": ExtendRequest.model_json_schema()}},
}
EVENT: JsonSchema = {"type": "object", "properties": {"event": _TEXT, "id": _TEXT, "data": _TEXT}}
