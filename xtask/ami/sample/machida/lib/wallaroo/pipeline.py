"""The steps that data takes through an application."""


class Pipeline(object):
    def __init__(self, source):
        self.steps = [("source", source)]

    def to(self, computation):
        """Adds a step; returns the pipeline, so that calls can be chained."""
        self.steps.append(("to", computation))
        return self

    def to_sink(self, sink):
        self.steps.append(("to_sink", sink))
        return self
