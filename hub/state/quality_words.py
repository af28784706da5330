"""The sentences that go with a grade, in Vietnamese and English."""

from __future__ import annotations

_PLACE_VI = {"ward": "phường", "commune": "xã"}
_PLACE_EN = {"ward": "ward", "commune": "commune"}

_WHOLE = {
    "none": ("Hình và tiếng ổn định", "Picture and sound are steady"),
    "waiting": (
        "Đã vào, đang chờ tín hiệu từ phường phát",
        "Here, waiting for the broadcasting ward's signal",
    ),
    "absent": ("Chưa vào", "Has not joined yet"),
}


def sentence(cause: str, symptom: str, value: float, place: str, at: str) -> tuple[str, str]:
    """(Vietnamese, English) for a cause and the symptom that shows it. at: time of day."""
    if cause in _WHOLE:
        return _WHOLE[cause]
    if cause == "lost":
        return f"Mất kết nối từ {at}", f"Gone since {at}"
    if cause == "uplink":
        vi, en = _percent(value)
        what_vi, what_en = f"mất gói {vi}", f"{en} packet loss"
    else:
        what_vi, what_en = _symptom(symptom, value)
    whose_vi, whose_en = _whose(cause, place)
    return f"{_capital(what_vi)}: {whose_vi}", f"{_capital(what_en)}: {whose_en}"


def _whose(cause: str, place: str) -> tuple[str, str]:
    vi, en = _PLACE_VI[place], _PLACE_EN[place]
    return {
        "line": (f"đường truyền của {vi}", f"the {en}'s line"),
        "device": (f"máy tính của {vi}", f"the {en}'s computer"),
        "uplink": ("đường lên của phường phát", "the broadcasting ward's uplink"),
        "source": (
            "nguồn phát của phường phát bị ngắt quãng",
            "the broadcasting ward's source was interrupted",
        ),
    }[cause]


def _symptom(symptom: str, value: float) -> tuple[str, str]:
    percent_vi, percent_en = _percent(value)
    whole = f"{value:.0f}"
    tenth = f"{value:.1f}"
    return {
        "layer": ("chỉ còn tiếng", "sound only")
        if value > 1
        else ("hình giảm nét", "smaller picture"),
        "loss": (f"mất gói {percent_vi}", f"{percent_en} packet loss"),
        "nack": (f"phải gửi lại {percent_vi} số gói", f"{percent_en} of packets sent again"),
        "rtt": (f"độ trễ đường truyền {whole} ms", f"round trip of {whole} ms"),
        "jitter": (f"độ trễ dao động {whole} ms", f"jitter of {whole} ms"),
        "freeze": (
            f"đứng hình {tenth.replace('.', ',')} giây trong 30 giây",
            f"frozen for {tenth} s of the last 30 s",
        ),
        "fps": (f"chỉ {whole} khung hình/giây", f"only {whole} frames a second"),
        "concealed": (f"tiếng bị ngắt {percent_vi}", f"{percent_en} of the sound missing"),
        "buffer": (f"bộ đệm {whole} ms", f"playing {whole} ms behind"),
    }[symptom]


def _percent(ratio: float) -> tuple[str, str]:
    value = ratio * 100
    text = f"{value:.0f}" if value >= 2 or value == int(value) else f"{value:.1f}"
    return f"{text.replace('.', ',')} %", f"{text} %"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
