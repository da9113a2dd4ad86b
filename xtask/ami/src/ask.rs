//! The request: the flags and the checkout become a [`spec::ReleaseSpec`], with findings for what stands in its way.

pub mod preflight;
pub mod promotion;
pub mod inputs;
pub mod spec;
pub mod scripts;
pub mod checkout;
pub mod source;
