"""A pytest plugin: prints the tests' results as JSON, one a line, for the program that started pytest."""

import json
import sys


class Results:
    """Of setting up, the call and the clean-up of a test the first that fails is its result."""

    def __init__(self):
        self.told = {}

    def pytest_runtest_logreport(self, report):
        how = ""
        if report.outcome == "rerun":
            return
        if report.failed:
            how = "%s: %s" % (report.when, str(report.longrepr).strip().splitlines()[-1])
        elif report.skipped:
            how = "skipped: %s" % (report.wasxfail if hasattr(report, "wasxfail") else report.longrepr[-1],)
        self.told[report.nodeid] = self.told.get(report.nodeid) or how

    def pytest_sessionfinish(self):
        # On the stream that pytest leaves alone.
        for name, how in self.told.items():
            event = {"event": "test", "name": name, "failed": how or None}
            print("\n" + json.dumps(event), file=sys.__stdout__, flush=True)


def pytest_configure(config):
    # Where pytest-xdist shares the tests out, its workers report to the one who does.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results())
