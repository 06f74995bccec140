import pytest

from tests.strict import parsed

HEAD = "# HELP a b\n# TYPE a gauge\n"
GOOD = (
    HEAD + 'a{y="\\"\\\\\\né ",x="1"} 1.0\na -2.5e-07\n# HELP h h\n'
    '# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum NaN\n'
)
BAD = {
    "cut off": "a 1",
    "no header": "a 1\n",
    "another family's sample": HEAD + "b 1\n",
    "a suffix that is none": HEAD + "a_sum 1\n",
    "a series twice": HEAD + 'a{x="1",y="2"} 1\na{y="2",x="1"} 1\n',
    "a family twice": HEAD + "a 1\n" + HEAD,
    "a label twice": HEAD + 'a{x="1",x="2"} 1\n',
    "a timestamp": HEAD + "a 1 1\n",
    "no number": HEAD + "a 1_0\n",
    "a blank too many": HEAD + "a  1\n",
    "a NUL": HEAD + 'a{x="\0"} 1\n',
    "a surrogate": HEAD + 'a{x="\udcff"} 1\n',
    "a quote": HEAD + 'a{x="""} 1\n',
    "a carriage return": HEAD + "a 1\r\n",
    "an empty line": HEAD + "\na 1\n",
    "a bucket without le": "# HELP h h\n# TYPE h histogram\nh_bucket 1\n",
    "a bucket that is no number": '# HELP h h\n# TYPE h histogram\nh_bucket{le="x"} 1\n',
    "a family named like a sample": "# HELP a_sum b\n# TYPE a_sum gauge\n# HELP a b\n# TYPE a summary\n",
    "a type of its own": "# HELP a b\n# TYPE a info\na 1\n",
}


def test_good_text_is_read() -> None:
    """Escapes, exponents and histograms; labels come sorted."""
    series = parsed(GOOD)
    assert series['a{x="1",y="\\"\\\\\\né "}'] == 1
    assert series["a"] == -2.5e-07
    assert len(series) == 4


@pytest.mark.parametrize("name", BAD)
def test_bad_text_is_not(name: str) -> None:
    """Everything that some reader might stumble over."""
    with pytest.raises(AssertionError):
        parsed(BAD[name])
