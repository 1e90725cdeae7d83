"""The table of ECS field types that the package ships with, and the script that makes it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from firstseen.record.fields import field_type

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "packaging/ecs_types.py"
TABLE = ROOT / "plugin/firstseen/record/ecs_types.txt"

LIST = """\
'@timestamp':
  dashed_name: timestamp
  example: '2016-05-23T08:05:34.853Z'
  type: date
client.geo.name:
  multi_fields:
  - flat_name: client.geo.name.text
    name: text
    type: match_only_text
  type: keyword
client.port:
  description: 'Says:

    type: of text'
  type: long
server.geo.name:
  type: keyword
server.port:
  type: long
"""


def script():
    spec = importlib.util.spec_from_file_location("ecs_types", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_field_of_the_list_has_one_type_and_no_multi_fields():
    assert script().fields_of(LIST) == {
        "@timestamp": "date",
        "client.geo.name": "keyword",
        "client.port": "long",
        "server.geo.name": "keyword",
        "server.port": "long",
    }


def test_what_is_equal_under_several_names_shares_a_line():
    assert script().table(script().fields_of(LIST)) == [
        "date . @timestamp",
        "keyword client.geo,server.geo name",
        "long client,server port",
    ]


def test_every_field_of_the_table_has_the_type_it_stands_under():
    rows = [line.split() for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    fields = {
        f"{parent}.{last}".lstrip("."): es_type
        for es_type, parents, lasts in rows
        for parent in parents.split(",")
        for last in lasts.split(",")
    }
    assert len(fields) > 2_600
    differ = {name: field_type(name) for name, es_type in fields.items() if field_type(name) != es_type}
    assert differ == {"event.dataset": "constant_keyword", "event.module": "constant_keyword"}


def test_importing_the_package_does_not_read_the_table():
    code = "from firstseen.record import fields; print(fields.all_types.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "0\n"
