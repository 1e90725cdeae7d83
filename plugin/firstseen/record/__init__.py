"""From the bytes of a chunk to the fields a rule asks for, and back with a label.

    spans       where an entry and its record lie in a chunk
    eventtime   the time in front of a record
    splice      a label put into a record
    view        which event, or events, a record holds, and through which view it is read
    ecs         a record that has ECS names already
    cloudtrail  a raw CloudTrail record under the ECS names of Elastic's ``aws.cloudtrail`` pipeline
    mapping     the table of its fields, whose parts are source, identity, endpoints, parameters, javamap, outcome,
                category, digest, entities (with targets and participants), geography and useragent
    enrichment  the port through which databases of addresses are asked
    fields      the type of a field, and which of its values are searchable
    tree        walking a decoded record: dotted and nested names, arrays at any level
    instant     ISO 8601 and epoch numbers to milliseconds

Nothing here opens a file or a socket or reads a clock, and no view changes its record.
"""
