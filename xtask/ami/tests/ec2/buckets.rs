//! EC2's limits on requests: a token bucket for looks and one for changes, of each region and account (EC2 API reference,
//! "Request throttling").

use std::{collections::BTreeMap, time::Duration};

use crate::request::Call;

/// How many tokens a bucket holds, and how many it gets in a second: for looks, and for changes.
const SIZES: [(f64, f64); 2] = [(100.0, 20.0), (20.0, 2.0)];

/// What is left in the buckets. One that no call has taken from is full.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    left: BTreeMap<(String, usize), (f64, Duration)>,
    /// How many calls found theirs empty.
    pub refused: usize,
}

impl Buckets {
    /// Takes a token for a call. False where there is none.
    pub fn take(&mut self, call: &Call, now: Duration) -> bool {
        if call.service != "ec2" {
            return true;
        }
        let looks = ["Describe", "Get", "List"].iter().any(|verb| call.action.starts_with(verb));
        let kind = usize::from(!looks);
        let (burst, rate) = SIZES[kind];
        let (left, since) = self.left.entry((call.region.clone(), kind)).or_insert((burst, now));
        *left = burst.min(*left + rate * (now - *since).as_secs_f64());
        *since = now;
        let has_one = *left >= 1.0;
        *left -= if has_one { 1.0 } else { 0.0 };
        self.refused += usize::from(!has_one);
        has_one
    }
}
