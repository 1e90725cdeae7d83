import pytest

from firstseen.record.strays import foreign, stray


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("event.actoin", "event.action"),
        ("event.actoin.text", "event.action"),
        ("event.Action", "event.action"),
        ("sourc3.ip", "source.ip"),
        ("usr.nme", "user.name"),
        ("user_agent.origina", "user_agent.original"),
        ("aws.cloudtrail.user_identity.arm", "aws.cloudtrail.user_identity.arn"),
        ("aws.cloudtrail.userIdentity.arn", "aws.cloudtrail.user_identity.arn"),
        ("aws.clodtrail.user_identity.arn", "aws.cloudtrail.user_identity.arn"),
        ("eventName", "event.action"),
        ("userIdentity.arn", "aws.cloudtrail.user_identity.arn"),
    ],
)
def test_a_slip_is_told_with_what_may_be_meant(name, meant):
    told = stray(name)
    assert told is not None
    assert told.endswith(f": did you mean {meant}?")


def test_a_name_in_a_known_group_that_is_like_no_other_is_told_alone():
    assert stray("event.qqq") == "event.qqq is not a field of ECS or CloudTrail"


@pytest.mark.parametrize(
    "name",
    [
        # known, or an object or a multi-field of what is known
        *("event.action", "event", "user.target", "process.name.caseless", "aws.cloudtrail", "email.attachments"),
        # below what takes any name
        *("labels.team", "container.labels.a.b", "source.geo.location.lat", "network.inner.vlan.id"),
        *("aws.cloudtrail.flattened.request_parameters.userName", "aws.cloudtrail.resources.arn"),
        # of other sources
        *("azure.activitylogs.operation_name", "okta.actor.id", "winlog.event_data.SubjectUserName", "gcp.audit.x"),
        *(
            "aws.s3access.request_id",
            "aws.vpcflow.action",
            "network_traffic.icmp.request.type",
            "kibana.alert.rule.name",
        ),
        *("process.Ext.token.integrity_level_name", "file.Ext.windows.zone_identifier", "team", "a"),
        *("http.request.headers.authorization", "http.response.headers.server"),
    ],
)
def test_what_may_be_a_field_of_some_source_is_no_slip(name):
    assert stray(name) is None


def test_where_all_is_cloudtrails_a_field_of_another_source_is_one_too():
    assert foreign("event.actoin") == stray("event.actoin")
    assert foreign("okta.actor.id") == "okta.actor.id is not a field of CloudTrail"
    assert foreign("host.name") == "host.name is not a field of CloudTrail"
    assert foreign("source.geo.city_name") is None, "that it takes a database is told of elsewhere"
    assert foreign("event.action") is None
