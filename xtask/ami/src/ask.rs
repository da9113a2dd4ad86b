//! What is asked for: the flags read against the checkout, and all that stands in the way.

pub mod preflight;
pub mod inputs;
pub mod spec;
pub mod checkout;
pub mod source;
