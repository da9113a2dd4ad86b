//! Emits an event for each AWS API call, with its duration.

use std::fmt;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef},
        },
        orchestrator::Metadata,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use send_wrapper::SendWrapper;
use tokio::time::Instant;

use crate::{event::Event, events::Events};

/// Emits an event for each call of a client, when it has been answered or has failed.
pub struct Calls {
    region: String,
    /// The SDK requires `Send` and `Sync`. The events are only used on the thread that created them, which makes the calls.
    events: Option<SendWrapper<Events>>,
}

#[derive(Debug)]
struct Began(Instant);

impl Storable for Began {
    type Storer = StoreReplace<Began>;
}

impl Calls {
    /// For a client of this region.
    #[must_use]
    pub fn new(region: &str, events: &Events) -> Calls {
        Calls { region: region.to_owned(), events: Some(SendWrapper::new(events.clone())) }
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Began(Instant::now()));
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (Some(events), Some(Began(began)), Some(call)) =
            (self.events.as_ref().filter(|events| events.valid()), config.load::<Began>(), config.load::<Metadata>())
        else {
            return Ok(());
        };
        events.say(Event::Called {
            action: call.name().to_owned(),
            region: self.region.clone(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            status: context.response().map(|response| response.status().as_u16()),
        });
        Ok(())
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        if let Some(events) = self.events.take().filter(|events| !events.valid()) {
            // Dropping them on another thread would panic.
            std::mem::forget(events);
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({})", self.region)
    }
}
