"""moto by itself, without machines, for conversations: conversations.py BASES, these as JSON.

It prints its URL, and ends with its stdin. A line there is an order, and has one for an answer: `again` forgets all
that was created, and a number lets so many seconds pass.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import Mock

COMMON = {
    "architecture": "x86_64", "public": True, "root_device_name": "/dev/sda1", "root_device_type": "ebs",
    "virtualization_type": "hvm", "hypervisor": "xen", "description": "a base", "image_location": "elsewhere",
}


def main(bases):
    with TemporaryDirectory() as folder:
        amis = Path(folder) / "amis.json"
        amis.write_text(json.dumps([{**COMMON, **base} for base in json.loads(bases)]))
        # moto reads these when it is imported.
        validate = {f"MOTO_ENABLE_{kind}_VALIDATION": "true" for kind in ("AMI", "KEYPAIR")}
        os.environ.update(MOTO_AMIS_PATH=str(amis), **validate)
        import amend
        from moto.core.base_backend import BackendDict
        from moto.server import ThreadedMotoServer
    time = SimpleNamespace(passed=0.0)
    amend.clock = lambda: time.passed
    amend.PENDING_SECS, amend.BLOCKING_SECS = 20.0, 90.0
    amend.amend(Mock(console=lambda id: f"The console of {id}.\n"))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print("http://%s:%d" % server.get_host_and_port(), flush=True)
    for line in sys.stdin:
        if line.strip() == "again":
            BackendDict.reset()
        else:
            time.passed += float(line)
        print("done", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
