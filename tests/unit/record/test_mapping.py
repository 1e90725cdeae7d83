from __future__ import annotations

from firstseen.record.mapping import FIELDS


def test_each_field_is_declared_once_and_none_below_another():
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names)
    assert not [(name, other) for name in names for other in names if other.startswith(f"{name}.")]


def test_what_needs_more_than_the_record_is_none_of_its_texts():
    needed = {field.needs: field for field in FIELDS if field.needs}
    assert set(needed) == {"city", "asn", "user_agent"}
    assert not any(field.verbatim for field in needed.values())


def test_open_fields_are_objects_of_the_record():
    assert {field.name for field in FIELDS if field.open} == {
        "aws.cloudtrail.resources",
        "aws.cloudtrail.user_identity.session_context.web_id_federation_data.attributes",
        *(
            f"aws.cloudtrail.flattened.{name}"
            for name in (
                "additional_eventdata",
                "digest",
                "insight_details",
                "request_parameters",
                "response_elements",
                "service_event_details",
            )
        ),
    }
