import pytest
from hypothesis import given, settings, strategies as st

from cnisdk.errors import CNIError, InvalidEnvironmentError
from cnisdk.types import args


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("IgnoreUnknown=1;K8S_POD_NAME=web", {"IgnoreUnknown": "1", "K8S_POD_NAME": "web"}),
        ("A=b=c", {"A": "b=c"}),
        ("A=", {"A": ""}),
        (";A=1;;B=2;", {"A": "1", "B": "2"}),
        ("A=1;A=2", {"A": "2"}),
    ],
)
def test_pairs_are_split_at_the_first_equals_sign(text: str, pairs: dict[str, str]) -> None:
    assert args.parse(text) == pairs


@pytest.mark.parametrize("text", ["A", "A=1;B", "=1", " "])
def test_segment_that_is_no_pair_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidEnvironmentError) as caught:
        args.parse(text)
    assert "CNI_ARGS" in caught.value.msg
    assert repr(text.split(";")[-1]) in caught.value.details


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_any_text_is_pairs_or_an_error_with_a_code(text: str) -> None:
    try:
        pairs = args.parse(text)
    except CNIError:
        return
    assert args.parse(";".join(f"{k}={v}" for k, v in pairs.items())) == pairs
