"""The configuration: the shipped sample, the order of sources, and the sentences of refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from hub.config import ConfigError, HubConfig, load_config

SAMPLE = Path(__file__).resolve().parents[2] / "configs" / "wardcast.yaml"
DERIVED = {"roster"}
"""Keys whose default depends on where the package lies; commented out in the sample."""


def leaves(model: BaseModel, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def dotted(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= (
            dotted(value, f"{name}.")
            if value and isinstance(value, dict)
            else {prefix + name: value}
        )
    return found


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hub.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_sample_names_every_key_with_its_default() -> None:
    keys = set(dotted(yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))))
    assert keys == set(leaves(HubConfig())) - DERIVED
    assert load_config(SAMPLE, {}) == HubConfig()


def test_every_key_is_explained() -> None:
    text = (SAMPLE.parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    for key in leaves(HubConfig()):
        section, _, name = key.rpartition(".")
        assert f"`{key}`" in text or (section == "tokens" and "`tokens.*_hours`" in text), name


def test_file_then_environment_then_flags(tmp_path: Path) -> None:
    path = written(tmp_path, "http: {port: 1, tls_port: 1, host: 10.0.0.1}")
    environment = {"WARDCAST_HTTP__PORT": "2", "WARDCAST_HTTP__TLS_PORT": "2", "HOME": "/"}
    config = load_config(path, environment, {"http.port": 3, "http.host": None})
    assert (config.http.host, config.http.tls_port, config.http.port) == ("10.0.0.1", 2, 3)


def test_environment_takes_text_lists_and_top_level_keys() -> None:
    environment = {
        "WARDCAST_STREAM__TITLE_VI": "Phiên họp: ngày 16 tháng 6",
        "WARDCAST_MEDIA__ANNOUNCED": "[203.0.113.7, 2001:db8::7]",
        "WARDCAST_DATA_DIR": "/srv/wardcast",
        "WARDCAST_TOKEN": "what `wardcast watch` reads",
    }
    config = load_config(None, environment)
    assert config.stream.title_vi == "Phiên họp: ngày 16 tháng 6"
    assert config.media.announced == ("203.0.113.7", "2001:db8::7")
    assert config.data_dir == Path("/srv/wardcast")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("htp: {}", "unknown key 'htp'; did you mean 'http'?"),
        ("http: {prot: 1}", "unknown key 'http.prot'; did you mean 'port'?"),
        ("log: {colour: red}", "unknown key 'log.colour'; known here: level, format"),
        ("media: {port: 70000}", "'media.port': Input should be less than or equal to 65535"),
        ("media: {port: 70000}", "(given: 70000)"),
        ("media: {announced: [hub.vn]}", "'hub.vn' is not an IPv4 or IPv6 address"),
        ("http: {tls: yes}", "'off', 'auto' or 'files'"),
        ("http: {tls: files}", "tls: files needs tls_certificate and tls_key"),
        ("http: {public_url: live.vn}", "'http.public_url'"),
        ("stream: {name: Phiên họp}", "'stream.name'"),
        ("[1, 2]", "must be a mapping of sections"),
        ("http: [", "is not YAML"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refusal:
        load_config(path, {})
    said = str(refusal.value)
    assert sentence in said
    assert said.startswith(str(path))
    assert "\n" not in said.removesuffix("\n") or text == "http: ["


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"WARDCAST_MEDIA__PORT": "many"}, "environment variable WARDCAST_MEDIA__PORT: "),
        ({"WARDCAST_MEDIA__PROT": "1"}, "unknown key 'media.prot'; did you mean 'port'?"),
        ({"WARDCAST_MEDIA__ADDRESSES": "[1"}, "is not a list [a, b]"),
        ({"WARDCAST_DATA_DIR__X": "1", "WARDCAST_DATA_DIR": "/"}, "'data_dir' is not a section"),
    ],
)
def test_a_bad_variable_is_named(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(None, environment)
    assert sentence in str(refusal.value)


def test_a_bad_flag_is_named() -> None:
    with pytest.raises(ConfigError, match=r"command line: 'http\.port'"):
        load_config(None, {}, {"http.port": -1})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml", {})
