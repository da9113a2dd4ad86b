"""A cloud in a network name space: moto's EC2, and a real machine behind each of its instances.

  lab.py --cache FOLDER --recipe FILE --scratch FOLDER

It makes the base of the machines if need be (there is a network yet), and goes on in name spaces of its own, in which
every address is local. When all is up it prints a line of JSON on stdout: `endpoint` (moto's URL), and `image` (the
name, owner and id of the base). It ends with everything in it when its stdin does, or when it is killed. To enter:
`nsenter --net --target PID`.
"""

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent

# The system of the machines, as the recipe and as Debian call it.
SYSTEM, SUITE = "debian-12", "bookworm"

# What a cloud image has, as far as the machines here need it.
PACKAGES = ["openssh-server", "sudo", "cloud-init", "iproute2", "netbase"]

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

MAKING_LIMIT_SECS = 1200

# Debian's account on AWS, and the kind of name that its images have.
IMAGE = {
    "ami_id": "ami-0deb1a2000000000c",
    "name": "debian-12-amd64-20260101-2000",
    "owner_id": "136693071363",
    "description": "Debian 12 (20260101-2000)",
    "creation_date": "2026-01-01T00:00:00.000Z",
    "architecture": "x86_64",
    "public": True,
    "root_device_name": "/dev/xvda",
    "root_device_type": "ebs",
    "virtualization_type": "hvm",
    "hypervisor": "xen",
    "image_location": "amazon/debian-12-amd64-20260101-2000",
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--base", type=Path, help="the base is made, and these are the name spaces")
    words = parser.parse_args()
    if words.base:
        serve(words.scratch, words.base)
    else:
        base = find_base(words.cache, tomllib.loads(words.recipe.read_text())["system"][SYSTEM])
        # A process that is process 1 takes all others along when it ends.
        spaces = ["--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
        if os.geteuid() != 0:
            spaces += ["--user", "--map-root-user", "--map-auto"]
        os.execvp("unshare", ["unshare", *spaces, sys.executable, *sys.argv, "--base", base])


def serve(scratch, base):
    """Runs moto until stdin ends."""
    for words in ("link set lo up", "route add local 0.0.0.0/0 dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    amis = scratch / "amis.json"
    amis.write_text(json.dumps([IMAGE]))
    # moto reads these when it is imported.
    validate = {f"MOTO_ENABLE_{kind}_VALIDATION": "true" for kind in ("AMI", "KEYPAIR")}
    os.environ.update(MOTO_AMIS_PATH=str(amis), **validate)
    import rules
    from amend import amend
    from machines import Machines
    from moto.server import ThreadedMotoServer

    machines = Machines(scratch, base)
    amend(machines)
    rules.rules_file = scratch / "rules.json"
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=5000, verbose=False)
    server.start()
    image = {key: IMAGE[key] for key in ("ami_id", "name", "owner_id")}
    print(json.dumps({"endpoint": "http://127.0.0.1:5000", "image": image}), flush=True)
    sys.stdin.read()
    machines.end()
    # Not by returning: what else runs here doesn't hold it up.
    os._exit(0)


def find_base(cache, system):
    """The archive of the machines' root file system; made of Debian's packages if it isn't in the cache."""
    packages = PACKAGES + [package["name"] for package in system["package"]]
    customize = (HERE / "base.sh").read_text()
    made_of = json.dumps([packages, system["ssh_user"], customize, SUITE])
    base = cache / f"moto-base-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.tar"
    if base.exists():
        return base
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob("moto-base-*"):
        old.unlink()
    print("making the base of the lab's machines from Debian's packages, about a minute", file=sys.stderr)
    making = base.with_suffix(".making.tar")
    command = [
        "mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(packages),
        '--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"',
        # Its cleaning up would empty this computer's own package lists; base.sh does it.
        "--skip=cleanup", "--dpkgopt=force-unsafe-io", '--customize-hook=eval "$BASE_CUSTOMIZE"', SUITE, making, "-",
    ]
    environment = {**os.environ, "BASE_CUSTOMIZE": customize, "BASE_USER": system["ssh_user"], "LC_ALL": "C.UTF-8"}
    subprocess.run(
        command, check=True, input="\n".join(sources()), text=True, stdout=sys.stderr, env=environment,
        timeout=MAKING_LIMIT_SECS,
    )
    # Its name is a promise that it is whole.
    return making.rename(base)


def sources():
    """The suite and its updates, from where this computer's apt gets its own packages."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wanted = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    for line in sorted(set(listed.splitlines())):
        mirror, suite, component = line.split()
        if suite in wanted and component == "main":
            yield f"deb [signed-by={KEYRING}] {mirror} {suite} main"


if __name__ == "__main__":
    main()
