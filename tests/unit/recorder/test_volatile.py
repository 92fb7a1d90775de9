import json
from typing import Any

from cnisdk.recorder.call import Call
from cnisdk.recorder.volatile import Translation

OLD = {
    "interfaces": [
        {"name": "br0", "mac": "02:00:00:00:00:01"},
        {"name": "veth1", "mac": "02:00:00:00:00:02"},
        {"name": "eth0", "mac": "02:00:00:00:00:03", "sandbox": "/run/netns/c"},
    ]
}
NEW = {
    "interfaces": [
        {"name": "br0", "mac": "02:00:00:00:00:11"},
        {"name": "veth2", "mac": "02:00:00:00:00:12"},
        {"name": "eth0", "mac": "02:00:00:00:00:13", "sandbox": "/run/netns/c"},
    ]
}


def call(config: dict[str, Any], answer: dict[str, Any], **env: str) -> Call:
    return Call(
        "1",
        {
            "plugin": "bridge",
            "command": "ADD",
            "env": env,
            "stdin": json.dumps(config),
            "stdout": json.dumps(answer),
            "stderr": "",
            "exit_status": 0,
        },
    )


def test_what_a_plugin_makes_up_is_no_difference() -> None:
    translation = Translation()
    translation.learn(call({"bridge": "br0"}, OLD), NEW)

    assert translation.answer(OLD) == NEW


def test_what_was_asked_for_is_not_made_up() -> None:
    translation = Translation()
    asked = call({"bridge": "br0"}, OLD, CNI_ARGS="MAC=02:00:00:00:00:03")
    translation.learn(asked, {"interfaces": [{**one, "name": "x"} for one in NEW["interfaces"]]})

    assert translation.words == {
        "02:00:00:00:00:01": "02:00:00:00:00:11",
        "02:00:00:00:00:02": "02:00:00:00:00:12",
        "veth1": "x",
    }


def test_another_number_of_interfaces_teaches_nothing() -> None:
    translation = Translation()
    translation.learn(call({}, OLD), {"interfaces": NEW["interfaces"][:2]})

    assert translation.words == {}


def test_a_result_of_before_is_given_in_the_words_of_the_replay() -> None:
    translation = Translation()
    translation.learn(call({"bridge": "br0"}, OLD), NEW)
    following = call({"type": "tuning", "prevResult": OLD, "veth1": "veth1"}, {})

    given = json.loads(translation.stdin(following))

    assert given == {"type": "tuning", "prevResult": NEW, "veth1": "veth1"}


def test_stdin_stays_byte_for_byte_where_nothing_is_translated() -> None:
    following = call({"type": "tuning", "prevResult": OLD, "n": 1.0}, {})

    assert Translation().stdin(following) == following.stdin


def test_errors_are_translated_within_their_text() -> None:
    translation = Translation()
    translation.add("/run/netns/c", "/run/netns/new")

    error = translation.answer({"code": 3, "msg": 'no "/run/netns/c"'})

    assert error == {"code": 3, "msg": 'no "/run/netns/new"'}
