//! The levels of x86-64, and the CPUs that have them.

use std::fmt;

/// Levels of x86-64 that a program needs or a CPU has: a bit for each, the lowest for the baseline (x86-64 psABI,
/// "Program Property").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels(pub u32);

impl Levels {
    /// All levels up to this one, from 1, the baseline.
    #[must_use]
    pub const fn up_to(level: u32) -> Levels {
        Levels((1 << level) - 1)
    }

    /// Whether all of these levels are among the others.
    #[must_use]
    pub fn are_within(self, others: Levels) -> bool {
        self.0 & !others.0 == 0
    }
}

impl fmt::Display for Levels {
    /// The highest level: `x86-64-v3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::BITS - self.0.leading_zeros() {
            0 | 1 => f.write_str("x86-64"),
            level => write!(f, "x86-64-v{level}"),
        }
    }
}

/// The levels of a CPU, by its name in LLVM, which ponyc takes as `--cpu`. `None` for a name that isn't known here, such
/// as `native`: it says nothing.
#[must_use]
pub fn of_cpu(name: &str) -> Option<Levels> {
    let level = match name {
        "x86-64" | "k8" | "opteron" | "athlon64" | "k8-sse3" | "amdfam10" | "barcelona" | "nocona" | "core2"
        | "penryn" | "bonnell" | "atom" | "btver1" => 1,
        "x86-64-v2" | "nehalem" | "corei7" | "westmere" | "sandybridge" | "corei7-avx" | "ivybridge" | "core-avx-i"
        | "silvermont" | "slm" | "goldmont" | "goldmont-plus" | "tremont" | "bdver1" | "bdver2" | "bdver3"
        | "btver2" => 2,
        "x86-64-v3" | "haswell" | "core-avx2" | "broadwell" | "skylake" | "alderlake" | "raptorlake" | "meteorlake"
        | "bdver4" | "znver1" | "znver2" | "znver3" => 3,
        "x86-64-v4" | "skylake-avx512" | "skx" | "cascadelake" | "cooperlake" | "cannonlake" | "icelake-client"
        | "icelake-server" | "rocketlake" | "tigerlake" | "sapphirerapids" | "emeraldrapids" | "graniterapids"
        | "znver4" | "znver5" => 4,
        _ => return None,
    };
    Some(Levels::up_to(level))
}

/// The levels of an EC2 instance type whose processors are all known to lack higher ones (EC2 instance types, "Processor").
/// `None` for others: they may have every level.
#[must_use]
pub fn of_instance_type(name: &str) -> Option<Levels> {
    let (family, _) = name.split_once('.')?;
    let level = match family {
        // Sandy Bridge and Ivy Bridge.
        "m3" | "c3" | "r3" | "i2" | "g2" => 2,
        // Haswell and Broadwell.
        "m4" | "c4" | "r4" | "i3" | "d2" | "h1" | "x1" | "x1e" | "p2" | "p3" | "g3" | "g3s" => 3,
        // AMD's first three generations of EPYC.
        "t3a" | "m5a" | "m5ad" | "r5a" | "r5ad" | "c5a" | "c5ad" | "m6a" | "c6a" | "r6a" | "hpc6a" | "g4ad" | "g5" => 3,
        _ => return None,
    };
    Some(Levels::up_to(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_includes_those_below_it() {
        let (v2, v3) = (Levels::up_to(2), Levels::up_to(3));
        assert!(v2.are_within(v3) && !v3.are_within(v2) && Levels::default().are_within(Levels::up_to(1)));
        // A program may name one level alone.
        assert!(!Levels(0b1000).are_within(v3) && Levels(0b100).are_within(v3));
        let words =
            [Levels::default(), Levels::up_to(1), v2, Levels(0b1000), Levels(0b10_0000)].map(|it| it.to_string());
        assert_eq!(words, ["x86-64", "x86-64", "x86-64-v2", "x86-64-v4", "x86-64-v6"]);
    }

    #[test]
    fn what_is_not_known_of_a_cpu_is_not_guessed() {
        assert_eq!(of_cpu("sandybridge"), Some(Levels::up_to(2)));
        assert_eq!((of_cpu("native"), of_cpu("znver9")), (None, None));
        assert_eq!(of_instance_type("m4.large"), Some(Levels::up_to(3)));
        assert_eq!(
            (of_instance_type("m5.large"), of_instance_type("t2.micro"), of_instance_type("m4")),
            (None, None, None)
        );
    }
}
