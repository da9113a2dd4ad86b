"""An office: a network name space of its own from which nothing can be reached but one host, with a proxy for HTTP and
an sshd that leads on to others. It is started in the lab's network, where that host is.

  office.py --scratch FOLDER

When it is up it prints a line of JSON on stdout: `pid` (whose network is the office's), `proxy` (a URL) and `bastion` (a
command that leads to {host}:{port}). What went through the proxy is in FOLDER/proxy.log. It ends when its stdin does.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# Of the block for benchmarks (RFC 2544).
HOST, OFFICE = "198.18.0.1", "198.18.0.2"
PROXY_PORT, SSH_PORT = 3128, 2222

STARTED_WITHIN_SECS = 30


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scratch", type=Path, required=True)
    folder = parser.parse_args().scratch
    with contextlib.ExitStack() as stack:
        pid = new_network(stack)
        proxy = [sys.executable, "-m", "proxy", "--hostname", HOST, "--port", str(PROXY_PORT), "--num-workers", "1"]
        start(stack, proxy, folder / "proxy.log")
        command = bastion(stack, folder)
        for port in (PROXY_PORT, SSH_PORT):
            wait_for(port)
        print(json.dumps({"pid": pid, "proxy": f"http://{HOST}:{PROXY_PORT}", "bastion": command}), flush=True)
        sys.stdin.read()


def start(stack, command, log):
    streams = {"stdin": subprocess.DEVNULL, "stdout": log.open("w"), "stderr": subprocess.STDOUT}
    # In a group of its own, which ends with all that it started.
    process = stack.enter_context(subprocess.Popen(command, **streams, start_new_session=True))
    stack.callback(os.killpg, process.pid, signal.SIGKILL)


def new_network(stack):
    """The id of a process in a network whose only way out is HOST."""
    holder = stack.enter_context(subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE))
    own = os.readlink("/proc/self/ns/net")
    until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != own, "the office's network")
    inside = ["nsenter", "--net", "--target", str(holder.pid)]
    for command in (
        f"ip link add door type veth peer name office netns {holder.pid}",
        f"ip address add {HOST}/30 dev door",
        "ip link set door up",
    ):
        subprocess.run(command.split(), check=True)
    for command in (f"ip address add {OFFICE}/30 dev office", "ip link set office up", "ip link set lo up"):
        subprocess.run([*inside, *command.split()], check=True)
    return holder.pid


def bastion(stack, folder):
    """Starts the bastion's sshd, and returns the command that leads through it."""
    keys = {name: folder / name for name in ("bastion_host_key", "bastion_key")}
    for path in keys.values():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    settings = folder / "bastion.conf"
    settings.write_text(
        f"ListenAddress {HOST}:{SSH_PORT}\nHostKey {keys['bastion_host_key']}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {keys['bastion_key']}.pub\nPasswordAuthentication no\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    start(stack, ["/usr/sbin/sshd", "-D", "-e", "-f", settings], folder / "bastion.log")
    known = folder / "bastion_known"
    public = Path(f"{keys['bastion_host_key']}.pub").read_text()
    known.write_text(f"[{HOST}]:{SSH_PORT} {public}")
    options = ["BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={known}"]
    words = ["ssh", "-F", "none", "-p", str(SSH_PORT), "-i", str(keys["bastion_key"])]
    return [*words, *(word for option in options for word in ("-o", option)), "-W", "{host}:{port}", HOST]


def wait_for(port):
    def answers():
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), 1).close()
            return True

    until(answers, f"port {port}")


def until(condition, what):
    deadline = time.monotonic() + STARTED_WITHIN_SECS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not there after {STARTED_WITHIN_SECS} s")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
