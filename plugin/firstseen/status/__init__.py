"""What is shown of the agent while it runs: one report, as a page, JSON and metrics, and whether it is ready.

    observer    gathers a report from the parts of the agent
    report      what is in it, and what each part of that means
    readiness   why the agent is not ready, if it is not
    timeline    what happened when, in steps
    latest      the latest alerts
    sampling    what is looked at now and then, so that nobody has to wait for it
    families    every metric; exposition, how metrics are written; process, those of any process
    view        the report for people
    site        which address leads to what, and who may look
    service     all of it, for as long as the agent is there

Nothing here changes anything.
"""
