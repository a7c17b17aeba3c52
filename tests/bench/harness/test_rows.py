"""Envelopes and files of rows: what is written is read, and what is none is refused with the place."""

import json
from dataclasses import replace

import pytest

from bench.harness.case import Output
from bench.harness.output import add_lines, check, write_rows
from bench.harness.rows import Envelope, read

ENVELOPE = Envelope("table", 1, "0.1.0", 3, "2026-01-01T00:00:00+00:00", {"cores": 2}, 2, {"row": "inference"})


def test_rows_are_read_as_they_were_written(tmp_path):
    envelopes = (ENVELOPE, replace(ENVELOPE, seed=None, row={"ms": 1.5}))
    write_rows(tmp_path / "rows.json", envelopes)
    assert read(tmp_path / "rows.json") == envelopes
    assert set(json.loads((tmp_path / "rows.json").read_text())) == {"rows", "command"}
    (tmp_path / "list.json").write_text(json.dumps([envelope.as_json() for envelope in envelopes]))
    assert read(tmp_path / "list.json") == envelopes
    add_lines(tmp_path / "rows.jsonl", envelopes[:1])
    add_lines(tmp_path / "rows.jsonl", envelopes[1:])
    assert read(tmp_path / "rows.jsonl") == envelopes


def test_an_envelope_has_these_fields():
    assert list(ENVELOPE.as_json()) == ["case", "schema", "version", "seed", "date", "machine", "threads", "row"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"case": ""}, "`case` must be a name"),
        ({"schema": 0}, "`schema` must be an integer from 1, got 0"),
        ({"seed": True}, "`seed` must be an integer or null, got True"),
        ({"threads": 1.5}, "`threads` must be an integer from 1"),
        ({"machine": []}, "`machine` must be an object"),
        ({"row": None}, "`row` must be an object, got None"),
    ],
)
def test_fields_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        replace(ENVELOPE, **change)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "must be JSON"),
        ("{}", 'must hold a list of envelopes, or an object with such a list as its "rows"'),
        ("[1]", "row 1 must be an envelope"),
        ('{"rows": [{"row": "inference", "seed": 0}]}', "missing: case, schema, version, date, machine, threads"),
        (json.dumps([{**ENVELOPE.as_json(), "more": 1}]), "unknown: more"),
        (json.dumps([ENVELOPE.as_json(), {**ENVELOPE.as_json(), "schema": "1"}]), "row 2: `schema` must be an integer"),
    ],
)
def test_what_is_no_file_of_rows_is_refused(tmp_path, content, message):
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"rows\.json") as error:
        read(path)
    assert message in str(error.value)


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    add_lines(path, [ENVELOPE])
    path.write_text(path.read_text() + '{"work": "a product"}\n')
    with pytest.raises(ValueError, match=r"rows.jsonl, line 2 must be an envelope"):
        read(path)
    with pytest.raises(ValueError, match="line 2"):
        check(Output("--record", "lines", path))
