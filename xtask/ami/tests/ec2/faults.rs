//! What goes wrong with calls, as a test plans it.

use std::time::Duration;

use crate::{kit::Random, request::Call, xml::Refusal};

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done: too many requests.
    Throttled,
    /// Nothing is done: EC2's own error.
    InternalError,
    /// It is done, and an error of EC2's own comes back.
    AnswerLost,
    /// Nothing is done: no connection comes about.
    Unreachable,
    /// It is done, and the connection breaks before the answer.
    Dropped,
    /// Nothing is done, and no answer ever comes.
    Hangs,
    /// It is done, and no answer ever comes.
    DoneAndHangs,
    /// It is done at once, and the answer comes this much later.
    Late(Duration),
    /// Nothing is done: it is refused.
    Refused(Refusal),
}

impl Fault {
    /// It is refused with this code, such as `AuthFailure`.
    pub fn refused(code: &str) -> Fault {
        Fault::Refused(Refusal::new(code, format!("the test says {code}")))
    }
}

/// Which calls a fault befalls: each that all conditions hold for.
#[derive(Clone, Debug)]
pub struct Plan {
    fault: Fault,
    action: Option<String>,
    region: Option<String>,
    dry_runs: bool,
    condition: Option<fn(&Call) -> bool>,
    chance: Option<(f64, Random)>,
    skip: u32,
    times: u32,
}

impl Plan {
    /// Befalls every call, dry runs aside.
    pub fn always(fault: Fault) -> Plan {
        Plan {
            fault,
            action: None,
            region: None,
            dry_runs: false,
            condition: None,
            chance: None,
            skip: 0,
            times: u32::MAX,
        }
    }

    /// Befalls the next call, dry runs aside.
    pub fn once(fault: Fault) -> Plan {
        Plan::always(fault).times(1)
    }

    /// Calls of this action only.
    pub fn action(self, action: &str) -> Plan {
        Plan { action: Some(action.to_owned()), ..self }
    }

    /// Calls in this region only.
    pub fn region(self, region: &str) -> Plan {
        Plan { region: Some(region.to_owned()), ..self }
    }

    /// Calls that this is true of only.
    pub fn when(self, condition: fn(&Call) -> bool) -> Plan {
        Plan { condition: Some(condition), ..self }
    }

    /// Dry runs too.
    pub fn dry_runs_too(self) -> Plan {
        Plan { dry_runs: true, ..self }
    }

    /// Not the first so many of them.
    pub fn after(self, calls: u32) -> Plan {
        Plan { skip: calls, ..self }
    }

    /// So many of them.
    pub fn times(self, calls: u32) -> Plan {
        Plan { times: calls, ..self }
    }

    /// Of all these calls, this part, by chance; the same seed gives the same calls.
    pub fn chance(self, part: f64, seed: u64) -> Plan {
        Plan { chance: Some((part, Random::new(seed))), ..self }
    }

    /// The fault, if it befalls this call.
    pub fn befalls(&mut self, call: &Call) -> Option<Fault> {
        let fits = self.action.as_ref().is_none_or(|action| *action == call.action)
            && self.region.as_ref().is_none_or(|region| *region == call.region)
            && (self.dry_runs || !call.dry_run)
            && self.condition.is_none_or(|condition| condition(call));
        if !fits || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if let Some((part, random)) = &mut self.chance
            && random.below(1_000_000) as f64 >= *part * 1e6
        {
            return None;
        }
        self.times -= 1;
        Some(self.fault.clone())
    }
}
