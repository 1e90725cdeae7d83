"""What was seen before, kept on disk: claimed when an event is labelled, confirmed once its alert is delivered.

``base`` is the interface and its values, ``ledger`` the rules by which claims wait for each other (no thread, no disk)
and ``term`` how one term follows them, ``writer`` the one thread that commits, ``lmdb`` the database and ``tables`` how
it is read, ``codec`` the form of what lies in it and ``texts`` that of its texts, ``lock`` the file that keeps a second
process out. ``disk`` opens and checks the database's folder, ``pages`` looks whether its file is whole, ``compaction``
writes it anew, ``sweep`` finds what may be forgotten. ``selection`` finds what somebody asks for, ``exchange`` is a
state as lines of JSON, ``merge`` makes two memories one.
What a sighting means is not decided here but in `firstseen.detect`.
"""
