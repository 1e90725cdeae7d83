import msgspec

from firstseen.status.report import Part, Status


def parts() -> list[type[Part]]:
    found: list[type[Part]] = []
    for kind in Part.__subclasses__():
        found.append(kind)
    return found


def test_every_key_says_what_it_is() -> None:
    schema = msgspec.json.schema(Status)
    for name, part in schema["$defs"].items():
        assert part["description"].endswith("."), name
        for key, value in part["properties"].items():
            assert value.get("description", "").endswith("."), (name, key)


def test_everything_declared_is_told() -> None:
    assert {kind.__name__ for kind in parts()} == set(msgspec.json.schema(Status)["$defs"])


def test_units_are_in_the_names() -> None:
    for kind in parts():
        for field in msgspec.structs.fields(kind):
            if field.type is float or field.name.endswith(("_s", "_ms")):
                assert field.name.endswith(("_seconds", "_left", "_share", "per_second")), field.name
