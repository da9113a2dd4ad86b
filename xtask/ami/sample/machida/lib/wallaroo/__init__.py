"""Stands in for Wallaroo's Python package, which every application imports."""

import argparse

from .pipeline import Pipeline

__all__ = ["Pipeline", "build_application", "tcp_parse_input_addrs"]


def build_application(name, pipeline):
    """Returns what machida would get from an application's `application_setup`."""
    return [("create_application", name)] + pipeline.steps


def tcp_parse_input_addrs(args):
    """Returns the (host, port) pairs of `--in HOST:PORT,...`; the other arguments are not looked at."""
    parser = argparse.ArgumentParser(prog="wallaroo")
    parser.add_argument("--in", dest="addresses", required=True)
    known, _ = parser.parse_known_args(args)
    return [tuple(address.rsplit(":", 1)) for address in known.addresses.split(",")]
