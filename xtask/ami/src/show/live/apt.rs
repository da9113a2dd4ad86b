//! What apt is doing on a machine, from what it prints with `-q`.

/// How far apt is.
#[derive(Clone, Debug, Default)]
pub(super) struct Apt {
    /// How many packages it installs or upgrades; 0 until it says so.
    pub total: usize,
    /// How many of them were fetched, unpacked and set up.
    fetched: usize,
    unpacked: usize,
    set_up: usize,
}

impl Apt {
    /// Takes in a line of its output.
    pub fn printed(&mut self, line: &str) {
        if let Some(total) = total(line) {
            *self = Apt { total, ..Apt::default() };
        }
        // Lines such as `Get:12 http://…`, of which a list of packages has some, too, before the total is known.
        let done = if line.starts_with("Get:") {
            &mut self.fetched
        } else if line.starts_with("Unpacking ") {
            &mut self.unpacked
        } else if line.starts_with("Setting up ") {
            &mut self.set_up
        } else {
            return;
        };
        if self.total > 0 {
            *done = (*done + 1).min(self.total);
        }
    }

    /// How far it is, in words; none before it knows how many packages there are.
    pub fn text(&self) -> Option<String> {
        let Apt { total, fetched, unpacked, set_up } = *self;
        if total == 0 {
            return None;
        }
        Some(match (unpacked, set_up) {
            (0, 0) => format!("{fetched} of {total} fetched"),
            (_, 0) => format!("{unpacked} of {total} unpacked"),
            _ => format!("{set_up} of {total} set up"),
        })
    }
}

/// The number of packages, from a line such as `2 upgraded, 34 newly installed, 0 to remove and 5 not upgraded.`
fn total(line: &str) -> Option<usize> {
    let (upgraded, rest) = line.split_once(" upgraded, ")?;
    let (installed, _) = rest.split_once(" newly installed, ")?;
    upgraded.trim().parse::<usize>().ok()?.checked_add(installed.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_counted_through_their_three_stages() {
        let mut apt = Apt::default();
        let mut seen = Vec::new();
        for line in [
            "Get:1 http://mirror.example bookworm InRelease [151 kB]",
            "1 upgraded, 2 newly installed, 0 to remove and 5 not upgraded.",
            "Get:1 http://mirror.example bookworm/main amd64 libc6 [2,000 kB]",
            "Unpacking libc6 (2.36) ...",
            "Setting up libc6 (2.36) ...",
            "Setting up libc-bin (2.36) ...",
        ] {
            apt.printed(line);
            seen.push(apt.text().unwrap_or_default());
        }
        assert_eq!(seen, ["", "0 of 3 fetched", "1 of 3 fetched", "1 of 3 unpacked", "1 of 3 set up", "2 of 3 set up"]);
    }
}
