//! The examples at the end of each command's help.

/// Of `cargo xtask`.
pub(super) const XTASK: &str = "Examples:
  cargo xtask ami plan --version 0.6.1
  cargo xtask ami --version 0.6.1
  cargo xtask test --quick";

/// Of `ami`.
pub(super) const AMI: &str = "Exit codes: 0 done, 1 failed, 2 refused before anything was created, 130 interrupted.
Examples:
  cargo xtask ami plan --version 0.6.1
  cargo xtask ami --version 0.6.1
  cargo xtask ami --version 0.6.1-me --private
  cargo xtask ami --version 0.6.1 --local --root xtask/ami/sample";

/// Of `test`.
pub(super) const TEST: &str = "Examples:
  cargo xtask test
  cargo xtask test --quick
  cargo xtask test --seed 42";

/// Of `bench`.
pub(super) const BENCH: &str = "Examples:
  cargo xtask bench
  cargo xtask bench ec2 local --against 60424ae
  cargo xtask bench compile --json";

/// Of `install-into`.
pub(super) const INSTALL_INTO: &str = "Examples:
  cargo xtask install-into ../wallaroo
  cargo xtask install-into --update --yes ../wallaroo";

/// Of `ami plan`.
pub(super) const PLAN: &str = "Examples:
  cargo xtask ami plan --version 0.6.1
  cargo xtask ami plan --version 0.6.1 --regions us-west-2,eu-west-1 --json";

/// Of `ami resume`.
pub(super) const RESUME: &str = "Examples:
  cargo xtask ami resume
  cargo xtask ami resume 20261128T104300Z-0.6.1-3f9a";

/// Of `ami clean`.
pub(super) const CLEAN: &str = "Examples:
  cargo xtask ami clean
  cargo xtask ami clean 20261128T104300Z-0.6.1-3f9a
  cargo xtask ami clean --expired --yes";

/// Of `ami list`.
pub(super) const LIST: &str = "Examples:
  cargo xtask ami list
  cargo xtask ami list --version 0.6.1 --format terraform
  cargo xtask ami list --local";

/// Of `ami check`.
pub(super) const CHECK: &str = "Examples:
  cargo xtask ami check --version 0.6.1
  cargo xtask ami check --version 0.6.1 --ssm-prefix /wallaroo/ami
  cargo xtask ami check --deep wallaroo.qcow2 --local";

/// Of `ami promote`.
pub(super) const PROMOTE: &str = "Examples:
  cargo xtask ami promote --version 0.6.1-rc1 --as 0.6.1";

/// Of `ami diff`.
pub(super) const DIFF: &str = "Examples:
  cargo xtask ami diff 0.6.0 0.6.1
  cargo xtask ami diff 0.6.0 0.6.1 --json";

/// Of `ami retire`.
pub(super) const RETIRE: &str = "Examples:
  cargo xtask ami retire --version 0.6.0 --deprecate 30d
  cargo xtask ami retire --version 0.6.0 --disable
  cargo xtask ami retire --version 0.6.0";

/// Of `ami report`.
pub(super) const REPORT: &str = "Examples:
  cargo xtask ami report
  cargo xtask ami report 20261128T104300Z-0.6.1-3f9a --open";

/// Of `ami iam-policy`.
pub(super) const IAM_POLICY: &str = "Examples:
  cargo xtask ami iam-policy
  cargo xtask ami iam-policy --ssm-prefix /wallaroo/ami
  cargo xtask ami iam-policy --regions us-gov-west-1";

/// Of `ami schema`.
pub(super) const SCHEMA: &str = "Examples:
  cargo xtask ami schema report";

/// Of `ami completions`.
pub(super) const COMPLETIONS: &str = "Examples:
  source <(cargo xtask ami completions bash)
  source <(cargo xtask ami completions zsh)
  cargo xtask ami completions fish | source";

/// Of `ami setup`.
pub(super) const SETUP: &str = "Examples:
  cargo xtask ami setup
  cargo xtask ami setup --yes";

/// Of `ami boot`.
pub(super) const BOOT: &str = "Examples:
  cargo xtask ami boot 0.6.1
  cargo xtask ami boot 0.6.1 -- machida --help";

/// Of `ami system-facts`.
pub(super) const SYSTEM_FACTS: &str = "Examples:
  cargo xtask ami system-facts --suite bookworm
  cargo xtask ami system-facts --image debian-12.qcow2 --suite bookworm";
