"""What of a result is another one each time, though the outcome is the same.

Names that a plugin makes up, addresses that the kernel does, and where the container's namespace
is.  A `Translation` learns these from two answers to the same call, a recorded one and a new one,
and turns what was recorded into what has to be there now.
"""

from typing import Any

from cnisdk.recorder.call import Call
from cnisdk.types import _json


class Translation:
    """From the words of a recording to those of its replay."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def learn(self, call: Call, answer: dict[str, Any]) -> None:
        """Learn from ``answer``, which a replay of ``call`` gave.

        What the call asked for by name is not made up, and is not learnt.
        """
        asked = _asked(call)
        old, new = call.answer.get("interfaces"), answer.get("interfaces")
        if not isinstance(old, list) or not isinstance(new, list) or len(old) != len(new):
            return
        for before, after in zip(old, new, strict=True):
            if not isinstance(before, dict) or not isinstance(after, dict):
                continue
            made_up = ["mac"] if before.get("sandbox") else ["mac", "name"]
            for key in made_up:
                word, now = before.get(key), after.get(key)
                if isinstance(word, str) and isinstance(now, str) and word.lower() not in asked:
                    self.add(word, now)

    def add(self, word: str, now: str) -> None:
        """Learn one word; what is known stays."""
        if word and now:
            self.words.setdefault(word, now)

    def value(self, value: Any) -> Any:
        """Return a JSON value with each string that is a known word translated."""
        if isinstance(value, str):
            return self.words.get(value, value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def text(self, text: str) -> str:
        """Return a text with the known words in it translated, the longest ones first."""
        for word in sorted(self.words, key=len, reverse=True):
            text = text.replace(word, self.words[word])
        return text

    def answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return a recorded answer in the words of the replay: result or error."""
        if "code" not in answer:
            translated: dict[str, Any] = self.value(answer)
            return translated
        return {
            key: self.text(item) if isinstance(item, str) else item for key, item in answer.items()
        }

    def stdin(self, call: Call) -> bytes:
        """Return what to give to a replay of ``call``: prevResult as the replay has made it.

        Where there is nothing to translate, that is what was recorded, byte for byte.
        """
        before = call.prev_result
        now = self.value(before)
        if now == before:
            return call.stdin
        return _json.dumps({**call.config, "prevResult": now}).encode()


def _asked(call: Call) -> str:
    config = {key: value for key, value in call.config.items() if key != "prevResult"}
    return f"{_json.dumps(config)} {call.env.get('CNI_ARGS', '')}".lower()
