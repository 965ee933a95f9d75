"""Speech to words. `whisper` runs any CTranslate2 Whisper on just the utterance; `trust` says when that went wrong;
`streaming` keeps the transcript of a growing utterance at bounded cost.
"""
