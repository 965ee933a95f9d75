import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc.errors import InputError
from npc.events import CLIENT_EVENTS, AudioInput
from npc.frames import MICROPHONE, AudioFrame
from npc.server.codes import CODES
from npc.server.wire import read_audio, read_event

TYPES = [event.model_fields["type"].default for event in CLIENT_EVENTS]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
field_names = st.sampled_from(sorted({name for event in CLIENT_EVENTS for name in event.model_fields} - {"type"}))


def read_or_code(read, *args):
    """What was read, or the code that the client is told; anything else is a bug."""
    try:
        return read(*args)
    except InputError as caught:
        error = caught
    assert error.code in CODES
    assert 0 < len(str(error).encode()) < 1500
    return error.code


@given(st.text())
def test_any_text_is_read_or_explained(text):
    read_or_code(read_event, text)


@given(st.sampled_from(TYPES), st.dictionaries(field_names | st.text(), json_values, max_size=5))
def test_any_event_with_any_fields_is_read_or_explained(kind, fields):
    found = read_or_code(read_event, json.dumps(fields | {"type": kind}))
    assert isinstance(found, CLIENT_EVENTS) or found in ("bad-event", "bad-json")


@given(st.binary(max_size=64), st.sampled_from([1, 2]))
def test_any_bytes_are_audio_or_explained(data, channels):
    read_or_code(read_audio, data, AudioInput(channels=channels))


@given(st.binary(max_size=64).filter(lambda pcm: len(pcm) % 4 == 0), st.integers(0, 2**63), st.sampled_from([1, 2]))
def test_whole_samples_are_read_as_they_were_sent(pcm, first_sample, channels):
    frame = AudioFrame(MICROPHONE, 0, first_sample, pcm)
    assert AudioFrame.unpack(frame.pack()) == frame
    assert read_audio(frame.pack(), AudioInput(channels=channels)) == pcm


def test_a_message_names_a_few_mistakes_and_counts_the_rest():
    text = json.dumps({"type": "scene", "scene": {"places": [{"id": f"a b{n}"} for n in range(50)]}})
    with pytest.raises(InputError, match=r"scene\.places\.0\.id.*and 47 more"):
        read_event(text)
