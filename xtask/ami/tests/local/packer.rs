//! The job beside Packer's: `cargo xtask bench local`.
//!
//! Packer's starts from the same base without the recipe's packages, installs them from the same sources, and installs one
//! program. It upgrades, seals and verifies nothing. It runs twice: on the machine that it makes by itself, with no more of
//! it changed than the base needs to boot, and on the machine that this tool makes.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use camino::Utf8Path;
use serde_json::{Value, json};
use xtask_ami::cloud::qemu::{accelerator::Accelerator, seed};

use crate::{
    bench::{Bench, bare_base},
    running::Running,
    support::{folder, missing, skipped, write},
};

const PACKER: [&str; 2] = ["packer", "ssh-keygen"];

/// How long each may take.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// What the recipe's packages are called on the default system.
const INSTALL: &str = "sudo DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libpython3.13 python3 \
                       libsnappy1v5 liblz4-1 libssl3t64 libatomic1 numactl cpuset";

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
#[test]
#[ignore = "cargo xtask bench runs it: it makes three images, to compare how long they take"]
fn the_job_against_packer() {
    if skipped(missing(&PACKER)) {
        return;
    }
    let Some(bench) = Bench::new() else { return };
    let base = bare_base();
    // Before and after, because a computer may not be as fast at all times.
    let before = ours(&bench);
    let [packer_secs, same_machine_secs] = [false, true].map(|same_machine| packer(&bench, &base, same_machine));
    let after = ours(&bench);
    println!("{before:?} s, packer {packer_secs:.1} s, on the same machine {same_machine_secs:.1} s, {after:?} s");
    let [available, verified] = [0, 1].map(|at| f64::midpoint(before[at], after[at]));
    let packers = format!("packer={packer_secs:.1} same_machine={same_machine_secs:.1}");
    println!("packer {packers} available={available:.1} verified={verified:.1}");
}

/// The seconds until our image is available, and until it is verified.
fn ours(bench: &Bench) -> [f64; 2] {
    let began = Instant::now();
    let ended = Running::start(&mut bench.release(&["--json"])).end_within(LIMIT);
    let took_secs = began.elapsed().as_secs_f64();
    assert_eq!(ended.code, Some(0), "{ended}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("nothing but JSON");
    let timings = report["timings"].as_array().expect("timings");
    let end_ms = |beginning: &str| {
        let of_step = timings.iter().filter(|timing| timing["step"].as_str().expect("a step").starts_with(beginning));
        of_step.filter_map(|timing| timing["ended_ms"].as_f64()).next_back().expect("such a step")
    };
    // What came before the first step, and after the last one, counts, too.
    let beside_secs = took_secs - end_ms("") / 1000.0;
    let _ = bench.manage(&["retire", "--version", "0.6.1"]);
    ["available ", "verify ami-"].map(|step| end_ms(step) / 1000.0 + beside_secs)
}

/// How many seconds Packer takes, on its own machine or on one that is like this tool's.
fn packer(bench: &Bench, base: &Utf8Path, same_machine: bool) -> f64 {
    let (_guard, folder) = folder();
    let key = folder.join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", key.as_str()]).status();
    assert!(made.expect("ssh-keygen").success());
    let public = std::fs::read_to_string(key.with_extension("pub")).expect("a key");
    let disk = folder.join("out/disk");
    let seed_disk = folder.join("seed.img");
    seed::write(&seed_disk, "i-packer", public.trim(), "#cloud-config\n{}\n").expect("a seed");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let accelerator = runtime.block_on(Accelerator::find());
    let accelerator_name = match (same_machine, accelerator.is_emulation()) {
        (true, _) => "none",
        (false, true) => "tcg",
        (false, false) => "kvm",
    };
    // The base's kernel has no driver for Packer's disk built in. The seed has the key.
    let mut arguments = vec![
        json!(["-drive", format!("if=none,id=disk,file={disk},format=qcow2,cache=unsafe,discard=unmap")]),
        json!(["-device", "nvme,serial=vol0,drive=disk,bootindex=1"]),
        json!(["-drive", format!("if=virtio,file={seed_disk},format=raw,readonly=on")]),
        // With a word of its own for a device, Packer leaves its own network card away.
        json!(["-device", "virtio-net-pci,netdev=user.0"]),
    ];
    if same_machine {
        arguments.extend([
            json!(["-machine", "q35,sata=off,smbus=off,vmport=off"]),
            json!(["-smp", "2,sockets=1,cores=1,threads=2"]),
            json!(["-device", "virtio-rng-pci"]),
            json!(["-display", "none"]),
        ]);
        arguments.extend(accelerator.arguments("sandybridge").chunks(2).map(|words| json!(words)));
    }
    let binary = bench.root.join("machida/build/machida");
    let template = json!({
        "builders": [{
            "type": "qemu", "disk_image": true, "iso_url": base, "iso_checksum": "none", "disk_size": "8G",
            "format": "qcow2", "headless": true, "boot_wait": "1s", "vm_name": "disk",
            "accelerator": accelerator_name,
            "output_directory": folder.join("out"), "memory": 1024, "cpus": 2, "qemuargs": arguments,
            "ssh_username": "debian", "ssh_private_key_file": key, "ssh_timeout": "10m",
            "shutdown_command": "sudo poweroff",
        }],
        "provisioners": [
            { "type": "shell", "inline": ["cloud-init status --wait", "sudo apt-get update", INSTALL] },
            { "type": "file", "source": binary, "destination": "/tmp/machida" },
            { "type": "shell", "inline": ["sudo install -m 755 /tmp/machida /usr/bin/machida", "rm /tmp/machida"] },
        ],
    });
    let path = folder.join("packer.json");
    write(&path, template.to_string());
    let began = Instant::now();
    let mut command = Command::new("packer");
    command.args(["build", "-color=false", path.as_str()]).env("PACKER_CACHE_DIR", folder.join("cache"));
    let ended = Running::start(command.env("CHECKPOINT_DISABLE", "1")).end_within(LIMIT);
    let took_secs = began.elapsed().as_secs_f64();
    assert!(ended.code == Some(0) && disk.exists(), "{ended}");
    took_secs
}
