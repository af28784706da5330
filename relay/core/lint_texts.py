"""What the ingest linter says to the technician, in Vietnamese and English.

Placeholders are keys of Finding.data. Each sentence says what is wrong and what to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Sentence(NamedTuple):
    """One finding in both languages."""

    vi: str
    en: str


TEXTS: Mapping[str, Sentence] = {
    "b_frames": Sentence(
        "Bộ mã hoá đang dùng khung B ({share_percent} % số khung), trình duyệt sẽ giật hình: "
        "đặt B-frames = 0 (OBS: Cài đặt → Đầu ra → chế độ Nâng cao → Số khung B tối đa = 0).",
        "The encoder uses B-frames ({share_percent} % of frames) and browsers will stutter: "
        "set B-frames to 0 (OBS: Settings → Output → Advanced → Max B-frames = 0).",
    ),
    "b_frames.order": Sentence(
        "Thời gian của khung hình chạy lùi ({share_percent} % số khung), dấu hiệu của khung B: "
        "đặt B-frames = 0 (OBS: Cài đặt → Đầu ra → chế độ Nâng cao → Số khung B tối đa = 0).",
        "Frame times run backward ({share_percent} % of frames), a sign of B-frames: "
        "set B-frames to 0 (OBS: Settings → Output → Advanced → Max B-frames = 0).",
    ),
    "h264_profile": Sentence(
        "Hồ sơ H.264 {profile} không phát được trên trình duyệt: chọn Baseline, Main hoặc High, "
        "màu 4:2:0 8 bit (OBS: Cài đặt → Nâng cao → Định dạng màu = NV12).",
        "Browsers cannot play H.264 {profile}: choose Baseline, Main or High with 8-bit 4:2:0 "
        "colour (OBS: Settings → Advanced → Color Format = NV12).",
    ),
    "h264_profile.old": Sentence(
        "Hồ sơ H.264 là {profile}; một vài máy cũ chỉ phát được Baseline: nếu có xã không thấy "
        "hình, chọn Profile = baseline trong bộ mã hoá.",
        "The H.264 profile is {profile}; a few old devices play only Baseline: if a commune sees "
        "no picture, choose Profile = baseline in the encoder.",
    ),
    "h264_interlaced": Sentence(
        "Hình đang quét xen kẽ, nhiều trình duyệt không phát được: chuyển máy quay hoặc bộ thu "
        "hình sang quét liên tục (progressive, ví dụ 720p hoặc 1080p).",
        "The picture is interlaced and many browsers cannot play it: switch the camera or capture "
        "card to progressive (for example 720p or 1080p).",
    ),
    "packetization_mode": Sentence(
        "H.264 đang gửi theo packetization-mode=0, mỗi lát hình phải vừa một gói tin: bật "
        "packetization-mode=1 trong bộ mã hoá hoặc đổi sang phần mềm phát hỗ trợ chế độ này.",
        "H.264 is sent with packetization-mode=0, so every slice must fit one packet: turn on "
        "packetization-mode=1 in the encoder, or use sending software that supports it.",
    ),
    "missing_parameter_sets": Sentence(
        "Khung khoá thiếu SPS/PPS, người vào sau có thể không thấy hình: bật lặp lại header "
        "trước mỗi khung khoá (x264: repeat-headers=1; GStreamer: config-interval=-1).",
        "Key frames lack SPS/PPS and late viewers may see nothing: repeat headers before every "
        "key frame (x264: repeat-headers=1; GStreamer: config-interval=-1).",
    ),
    "missing_parameter_sets.repaired": Sentence(
        "Khung khoá thiếu SPS/PPS, máy chủ đang tự chèn thêm; nên bật lặp lại header trước mỗi "
        "khung khoá (x264: repeat-headers=1; GStreamer: config-interval=-1).",
        "Key frames lack SPS/PPS and the hub puts them in; better repeat headers before every "
        "key frame (x264: repeat-headers=1; GStreamer: config-interval=-1).",
    ),
    "keyframe_gap": Sentence(
        "Khung khoá cách nhau {gap_s} giây (nên ≤ {limit_s} giây), người vào sau phải chờ: đặt "
        "khoảng khung khoá = {limit_s} giây (OBS: Cài đặt → Đầu ra → Khoảng thời gian Keyframe).",
        "Key frames are {gap_s} s apart (should be ≤ {limit_s} s), so new viewers wait: set the "
        "key-frame interval to {limit_s} s (OBS: Settings → Output → Keyframe Interval).",
    ),
    "keyframe_gap.on_request": Sentence(
        "Khung khoá cách nhau {gap_s} giây, nhưng bộ mã hoá gửi khung khoá khi máy chủ yêu cầu; "
        "không cần sửa, nếu chỉnh được thì đặt khoảng khung khoá = {limit_s} giây.",
        "Key frames are {gap_s} s apart, but the encoder makes one whenever the hub asks; nothing "
        "must change, though an interval of {limit_s} s is better where it can be set.",
    ),
    "no_audio": Sentence(
        "Không nhận được âm thanh đã {silent_s} giây: kiểm tra micrô, dây nối và nguồn âm thanh "
        "đã chọn trong phần mềm phát (OBS: Cài đặt → Âm thanh).",
        "No audio has arrived for {silent_s} s: check the microphone, its cable and the audio "
        "source chosen in the sending software (OBS: Settings → Audio).",
    ),
    "no_audio.not_negotiated": Sentence(
        "Luồng phát không có âm thanh: thêm micrô hoặc nguồn âm thanh (Opus) vào phần mềm phát "
        "rồi phát lại.",
        "The broadcast has no audio track: add a microphone or audio source (Opus) in the sending "
        "software and start again.",
    ),
    "no_video": Sentence(
        "Không nhận được hình đã {silent_s} giây: kiểm tra máy quay, dây nối và nguồn hình đã "
        "chọn trong phần mềm phát.",
        "No video has arrived for {silent_s} s: check the camera, its cable and the video source "
        "chosen in the sending software.",
    ),
    "no_video.not_negotiated": Sentence(
        "Luồng phát không có hình: thêm máy quay hoặc màn hình vào phần mềm phát rồi phát lại.",
        "The broadcast has no video track: add a camera or a screen in the sending software and "
        "start again.",
    ),
    "silent_audio": Sentence(
        "Âm thanh im lặng đã {quiet_s} giây (mức {level_dbov} dBov): bật micrô, tăng âm lượng "
        "vào, kiểm tra nút tắt tiếng trên micrô và bàn trộn.",
        "The sound has been silent for {quiet_s} s (level {level_dbov} dBov): unmute the "
        "microphone, raise its input level, check mute buttons on the microphone and mixer.",
    ),
    "silent_audio.by_size": Sentence(
        "Âm thanh có vẻ im lặng đã {quiet_s} giây (gói tin rỗng): nếu đang có người nói, bật "
        "micrô và kiểm tra nút tắt tiếng.",
        "The sound seems silent for {quiet_s} s (empty packets): if somebody is speaking, unmute "
        "the microphone and check its mute button.",
    ),
    "clipping_audio": Sentence(
        "Âm thanh quá to, bị vỡ tiếng ({share_percent} % thời gian): giảm âm lượng vào của micrô "
        "hoặc bàn trộn, để đỉnh khoảng −12 dB.",
        "The sound is too loud and clips ({share_percent} % of the time): lower the input level "
        "of the microphone or mixer until peaks stay near −12 dB.",
    ),
    "bitrate_over_budget": Sentence(
        "Hình đang gửi {bitrate_mbps} Mbit/s, vượt mức cho phép {budget_mbps} Mbit/s, đường truyền "
        "xã yếu sẽ giật: giảm tốc độ bit (OBS: Cài đặt → Đầu ra → Tốc độ bit hình ảnh).",
        "Video takes {bitrate_mbps} Mbit/s, over the budget of {budget_mbps} Mbit/s, and communes "
        "on weak lines will stutter: lower the bitrate (OBS: Settings → Output → Video Bitrate).",
    ),
    "bitrate_too_low": Sentence(
        "Hình chỉ gửi {bitrate_kbps} kbit/s, có thể mờ: nếu không phải trang chiếu tĩnh, tăng tốc "
        "độ bit hoặc kiểm tra đường truyền lên của điểm phát.",
        "Video takes only {bitrate_kbps} kbit/s and may be blurred: unless it is a still slide, "
        "raise the bitrate or check the sending site's uplink.",
    ),
    "frame_rate_low": Sentence(
        "Chỉ có {fps} khung hình/giây (nên ≥ {limit_fps}): đặt tốc độ khung 25–30, giảm độ phân "
        "giải nếu máy tính quá tải, bật thêm đèn nếu máy quay tối.",
        "Only {fps} frames per second arrive (should be ≥ {limit_fps}): set 25–30 fps, lower the "
        "resolution if the computer is overloaded, add light if the camera is dark.",
    ),
    "resolution_change": Sentence(
        "Độ phân giải vừa đổi từ {from_size} sang {to_size}: nếu không cố ý, tắt tự điều chỉnh độ "
        "phân giải trong bộ mã hoá hoặc kiểm tra đường truyền lên và tải của máy tính.",
        "The resolution just changed from {from_size} to {to_size}: unless this was meant, turn "
        "off resolution scaling in the encoder, or check the uplink and the computer's load.",
    ),
    "malformed_payload": Sentence(
        "Có {packets} gói {codec} sai định dạng trong {window_s} giây: cập nhật hoặc đổi phần mềm "
        "phát, khởi động lại bộ mã hoá.",
        "{packets} {codec} packets in {window_s} s break their format: update or change the "
        "sending software, restart the encoder.",
    ),
}


def compose(key: str, data: Mapping[str, float | str]) -> Sentence:
    """The sentence of `key` with its figures, in Vietnamese with a decimal comma."""
    english = {name: _figure(value) for name, value in data.items()}
    vietnamese = {
        name: text if isinstance(data[name], str) else text.replace(".", ",")
        for name, text in english.items()
    }
    text = TEXTS[key]
    return Sentence(text.vi.format_map(vietnamese), text.en.format_map(english))


def _figure(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.1f}"
