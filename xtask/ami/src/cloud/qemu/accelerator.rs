//! Chooses between KVM and emulation for virtual machines.

use std::{fmt, process::Stdio, time::Duration};

use nix::sys::signal::Signal;

use crate::ground::process;

/// The timeout of the KVM probe, which takes a fraction of a second where KVM works.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// The architecture of the machines, as the kernel calls it: that of the recipe's bases, whatever this computer is.
pub const GUEST: &str = "x86_64";

/// How the guest's instructions are executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// By the processor.
    Kvm,
    /// By emulation in QEMU.
    Tcg {
        /// Why not KVM.
        reason: String,
        /// This computer's architecture.
        host: String,
    },
}

impl Accelerator {
    /// KVM if it works, else emulation.
    ///
    /// A `/dev/kvm` that opens is no proof: in some sandboxes it opens and machines start on it, but no kernel boots.
    /// So /proc/cpuinfo must list the extension, too, and QEMU must start on it.
    pub async fn find() -> Accelerator {
        let host = this_architecture();
        if let Some(reason) = other_architecture(&host) {
            return Accelerator::Tcg { reason, host };
        }
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let device = std::fs::File::options().read(true).write(true).open("/dev/kvm");
        if let Some(reason) = unusable(&cpuinfo, device.err().as_ref()) {
            return Accelerator::Tcg { reason, host };
        }
        match probe().await {
            Ok(()) => Accelerator::Kvm,
            Err(reason) => Accelerator::Tcg { reason, host },
        }
    }

    /// Whether the guest's instructions are emulated.
    #[must_use]
    pub fn is_emulation(&self) -> bool {
        matches!(self, Accelerator::Tcg { .. })
    }

    /// QEMU's arguments. `target_cpu` is the processor that the binaries are compiled for: an emulated one must have
    /// its instructions, and few others, because the guest's C library uses all it finds and newer ones are slow to
    /// emulate.
    #[must_use]
    pub fn arguments(&self, target_cpu: &str) -> Vec<String> {
        let (accelerator, cpu) = match self {
            Accelerator::Kvm => ("kvm", "host"),
            Accelerator::Tcg { host, .. } if host == GUEST => {
                ("tcg,thread=multi,tb-size=512", emulated_cpu(target_cpu))
            }
            // Other processors order memory accesses more weakly than the guest expects, so its threads take turns.
            Accelerator::Tcg { .. } => ("tcg,thread=single,tb-size=512", emulated_cpu(target_cpu)),
        };
        ["-accel", accelerator, "-cpu", cpu].map(str::to_owned).to_vec()
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Accelerator::Kvm => f.write_str("KVM"),
            Accelerator::Tcg { reason, .. } => write!(f, "TCG, emulation ({reason})"),
        }
    }
}

/// This computer's architecture, as the kernel calls it. The one that this program was compiled for may be another.
#[must_use]
pub fn this_architecture() -> String {
    let machine = nix::sys::utsname::uname().map(|name| name.machine().to_string_lossy().into_owned());
    machine.unwrap_or_else(|_| std::env::consts::ARCH.to_owned())
}

/// Why KVM can't run the guest on a computer of this architecture; `None` if it can.
fn other_architecture(host: &str) -> Option<String> {
    (host != GUEST).then(|| format!("no KVM: this computer is {host}, and the machines are {GUEST}"))
}

fn unusable(cpuinfo: &str, device: Option<&std::io::Error>) -> Option<String> {
    if let Some(error) = device {
        return Some(format!("no KVM: cannot open /dev/kvm: {error}"));
    }
    let extension = cpuinfo.split_whitespace().any(|word| word == "vmx" || word == "svm");
    (!extension).then(|| "no KVM: /proc/cpuinfo has neither vmx nor svm".to_owned())
}

/// The QEMU CPU model for a processor by LLVM's name.
///
/// `max` alone is a processor of AMD's, on which kernels before 6.9 see hyperthreads only by a feature that QEMU does not
/// emulate. Then nothing would show whether the image takes them offline.
fn emulated_cpu(target_cpu: &str) -> &'static str {
    match target_cpu {
        "x86-64" | "nehalem" | "corei7" => "Nehalem",
        "westmere" => "Westmere",
        "sandybridge" | "corei7-avx" => "SandyBridge",
        "ivybridge" | "core-avx-i" => "IvyBridge",
        _ => "max,vendor=GenuineIntel",
    }
}

/// Starts a paused machine on KVM, and asks it to quit.
async fn probe() -> Result<(), String> {
    let mut command = process::command("qemu-system-x86_64", Signal::SIGKILL);
    command.args(["-accel", "kvm", "-cpu", "host", "-machine", "q35", "-nodefaults", "-display", "none", "-S"]);
    command.args(["-serial", "none", "-monitor", "stdio"]).stdin(Stdio::piped()).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("no KVM: failed to start QEMU: {error}"))?;
    let quit = async {
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            // QEMU may have exited already; its exit status tells.
            let _ = tokio::io::AsyncWriteExt::write_all(stdin, b"quit\n").await;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(PROBE_LIMIT, quit).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("no KVM: {}", stderr.lines().next().unwrap_or("QEMU did not start on it")))
        }
        Ok(Err(error)) => Err(format!("no KVM: {error}")),
        Err(_) => Err("no KVM: QEMU hangs on it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_another_architecture_the_machines_are_emulated_one_thread_at_a_time() {
        for host in ["aarch64", "riscv64", "ppc64le"] {
            let reason = other_architecture(host).expect("a reason");
            assert_eq!(reason, format!("no KVM: this computer is {host}, and the machines are x86_64"));
            let arguments = Accelerator::Tcg { reason, host: host.to_owned() }.arguments("sandybridge");
            assert_eq!(arguments, ["-accel", "tcg,thread=single,tb-size=512", "-cpu", "SandyBridge"]);
        }
        assert_eq!(other_architecture("x86_64"), None);
        let own = Accelerator::Tcg { reason: String::new(), host: GUEST.to_owned() };
        assert!(own.arguments("sandybridge")[1].contains("thread=multi"));
    }

    #[test]
    fn the_threads_of_every_emulated_processor_share_cores() {
        // The kernels of Debian 12 and before see no hyperthreads on AMD's processors without `topoext`, which QEMU does
        // not emulate, and `max` alone is one of AMD's.
        for target_cpu in ["sandybridge", "ivybridge", "nehalem", "westmere", "x86-64", "haswell", "znver3", "native"] {
            let model = emulated_cpu(target_cpu);
            let is_intels = ["Nehalem", "Westmere", "SandyBridge", "IvyBridge"].contains(&model);
            assert!(is_intels || model.contains(",vendor=GenuineIntel"), "{target_cpu}: {model}");
        }
    }

    #[test]
    fn a_device_that_opens_is_not_enough() {
        assert_eq!(unusable("flags : fpu vmx sse", None), None);
        assert_eq!(unusable("flags : fpu svm sse", None), None);
        let reason = unusable("flags : fpu nosvm_here sse", None).expect("no extension");
        assert!(reason.contains("neither vmx nor svm"));
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert!(unusable("flags : vmx", Some(&denied)).expect("no device").contains("cannot open /dev/kvm"));
    }
}
