"""The machines that run behind moto's instances: each a root file system in name spaces of its own, with an sshd.

An image's disk is a tar archive; an instance's disk is a folder. An instance that is launched boots (boot.sh), and from
then on its public address answers on port 22; once it is stopped or terminated, nothing listens there.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
from pathlib import Path

HERE = Path(__file__).parent

BOOT_LIMIT_SECS = 120
DISK_LIMIT_SECS = 120

# What containers are given. Without CAP_SYS_ADMIN a machine's root can't do anything to the computer's disk or clock.
CAPABILITIES = "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot audit_write"
PRIVILEGES = ["--bounding-set=-all," + ",".join("+" + name for name in CAPABILITIES.split())]


class Machines:
    """All machines, by the ids of their instances, and all disks, by the ids of their images."""

    def __init__(self, folder, base):
        self.folder = folder
        self.base = base
        self.disks = {}
        self.machines = {}

    def start(self, instance, key):
        """Boots a launched instance; returns at once."""
        disk = self.disks.get(instance.image_id, self.base)
        machine = Machine(self.folder / instance.id, disk, instance, key)
        self.machines[instance.id] = machine
        threading.Thread(target=machine.boot, daemon=True).start()

    def stop(self, instance):
        self.machines[instance].off()

    # Its disk goes with the lab's folder: removing many files can take long.
    terminate = stop

    def end(self):
        """Ends all, and removes what may belong to users that only the lab's name space has."""
        for machine in self.machines.values():
            machine.off()
            shutil.rmtree(machine.root, ignore_errors=True)

    def keep_disk(self, instance, image):
        """The disk of an image is that of the instance as it is now."""
        self.disks[image] = self.folder / f"{image}.tar"
        tar("--create", self.disks[image], self.machines[instance].root)

    def copy_disk(self, source, image):
        """A copy has the same disk, and disks of images don't change."""
        self.disks[image] = self.disks.get(source, self.base)

    def console(self, instance):
        return self.machines[instance].log.read_text(errors="replace")[-65536:]


class Machine:
    """One boot of an instance."""

    def __init__(self, folder, disk, instance, key):
        self.root, self.log = folder / "root", folder / "console.log"
        self.folder, self.disk = folder, disk
        self.address = instance.public_ip or instance.private_ip
        for name in ("root", "run", "seed"):
            (folder / name).mkdir(parents=True)
        self.log.touch()
        meta_data = {"instance-id": instance.id, "local-hostname": "wallaroo", "public-keys": [key] if key else []}
        (folder / "seed/meta-data").write_text(json.dumps(meta_data))
        (folder / "seed/user-data").write_text(instance.user_data.decode() if instance.user_data else "")
        for cpu in (0, 1):
            topology = folder / f"sys/devices/system/cpu/cpu{cpu}/topology"
            topology.mkdir(parents=True)
            # Two threads of one core, as on EC2.
            (topology / "thread_siblings_list").write_text("0-1\n")
        (folder / "sys/devices/system/cpu/cpu1/online").write_text("1\n")
        self.process = self.listener = None
        self.ended = threading.Event()
        self.lock = threading.Lock()

    def boot(self):
        try:
            # Whoever switches it off waits for a whole disk.
            with self.lock:
                tar("--extract", self.disk, self.root)
                if self.ended.is_set():
                    return
                self.process = self.run(["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
                                         "sh", HERE / "boot.sh", self.folder, *PRIVILEGES])
            self.wait_for_sshd()
            # An address of its own: a machine that isn't up refuses connections.
            with socket.create_server((self.address, 22)) as self.listener:
                self.serve()
        except Exception as error:
            with self.log.open("a") as log:
                log.write(f"the lab failed to boot this machine: {error!r}\n")
            raise

    def wait_for_sshd(self):
        for _ in range(BOOT_LIMIT_SECS * 10):
            if (self.folder / "run/lab/sshd").exists():
                return
            if self.process.poll() is not None or self.ended.wait(0.1):
                raise RuntimeError(f"the boot ended with {self.process.poll()}")
        raise TimeoutError(f"no sshd after {BOOT_LIMIT_SECS} s")

    def serve(self):
        """Gives each connection an sshd of its own, inside the machine."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        init = children.read_text().split()[0]
        enter = ["nsenter", f"--target={init}", "--mount", "--pid", "--uts", "--ipc", "--root", "--wd=/"]
        sessions = []
        while not self.ended.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                # The listener was shut down.
                break
            sessions = [session for session in sessions if session.poll() is None]
            with connection:
                sessions.append(self.run([*enter, "setpriv", *PRIVILEGES, "/usr/sbin/sshd", "-i", "-e"], connection))
        for session in sessions:
            # They end with the machine's process 1.
            session.wait(timeout=10)

    def run(self, command, connection=None):
        stream = connection or subprocess.DEVNULL
        with self.log.open("a") as log:
            return subprocess.Popen(command, stdin=stream, stdout=connection or log, stderr=log)

    def off(self):
        """The kernel kills all processes of the machine with its process 1, and that with the one that made it."""
        with self.lock:
            self.ended.set()
            if self.listener:
                with contextlib.suppress(OSError):
                    self.listener.shutdown(socket.SHUT_RDWR)
            if self.process:
                self.process.kill()
                self.process.wait(timeout=10)


def tar(what, archive, folder):
    """Devices are made at each boot, and /run and /proc aren't on the disk."""
    without = [f"--exclude=./{name}/*" for name in ("dev", "proc", "run", "sys")]
    command = ["tar", what, "--file", archive, "--directory", folder, "--numeric-owner", *without, "."]
    subprocess.run(command, check=True, timeout=DISK_LIMIT_SECS)
