//! The endpoint: an HTTP client for the SDK that has EC2 behind it, and no network.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use tokio::{sync::watch, time::sleep};

use crate::{
    actions,
    books::{CredentialTrouble, Image, Region, Snapshot, World},
    faults::{Fault, Plan},
    request::Call,
    witness,
    xml::{Refusal, Refused, refuse, success},
};

/// The endpoint. Clones are the same endpoint. It is to be made inside the runtime whose clock it goes by.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    world: World,
    plans: Vec<Plan>,
    log: Vec<Logged>,
    /// How many calls arrived.
    arrived: watch::Sender<usize>,
}

/// A call that arrived, and what came of it.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Since the beginning.
    pub at: Duration,
    /// What was asked.
    pub call: Call,
    /// The fault that befell it.
    pub fault: Option<Fault>,
    /// The code of the error that it was answered with; none when it was done, or there was no answer yet.
    pub error: Option<String>,
}

impl Endpoint {
    /// An endpoint where all goes well.
    pub fn new() -> Endpoint {
        let inner = Inner { world: World::new(), plans: Vec::new(), log: Vec::new(), arrived: watch::Sender::new(0) };
        Endpoint(Arc::new(Mutex::new(inner)))
    }

    /// Plans a fault. Of several that would befall a call, the one that was planned first does.
    pub fn plan(&self, plan: Plan) {
        self.lock().plans.push(plan);
    }

    /// Changes a region's settings, or its books.
    pub fn region<T>(&self, name: &str, change: impl FnOnce(&mut Region) -> T) -> T {
        change(self.lock().world.region_called(name))
    }

    /// Changes the settings of all regions, or reads the books.
    pub fn world<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.lock().world)
    }

    /// Puts an image into a region, with its snapshot.
    pub fn put(&self, region: &str, image: Image) {
        let snapshot = Snapshot::of(&image);
        self.region(region, |region| region.put(image, snapshot));
    }

    /// Another account, or this one elsewhere, publishes an image, on a date such as `2021-09-28T12:00:00.000Z`.
    pub fn add_published(&self, region: &str, owner: &str, name: &str, date: &str) -> String {
        let (id, snapshot) = self.world(|world| (world.id("ami"), world.id("snap")));
        self.put(region, Image::published(&id, &snapshot, owner, name, date));
        id
    }

    /// Tells each time when a call arrives how many have.
    pub fn arrivals(&self) -> watch::Receiver<usize> {
        self.lock().arrived.subscribe()
    }

    /// How many calls arrived.
    pub fn calls(&self) -> usize {
        self.lock().log.len()
    }

    /// All calls, in the order in which they arrived.
    pub fn log(&self) -> Vec<Logged> {
        self.lock().log.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no panic while it was held")
    }

    async fn serve(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (call, question) = (Call::read(&request), witness::question(&request));
        let (number, fault, answer) = self.lock().arrives(&call);
        if !self.world(|world| world.regions.contains_key(&call.region)) {
            return Err(ConnectorError::io(format!("no host is called {}.{}", call.service, call.region).into()));
        }
        match &fault {
            Some(Fault::Hangs) => pending().await,
            _ => sleep(answer).await,
        }
        let outcome = match fault {
            Some(Fault::Unreachable) => return Err(ConnectorError::io("no answer".into())),
            Some(Fault::Throttled) => Err(throttled(&call)),
            Some(Fault::InternalError) => Err(internal_error()),
            Some(Fault::Refused(refusal)) => Err(refusal),
            fault => {
                let done = self.lock().world.perform(&call);
                match fault {
                    Some(Fault::Dropped) => return Err(ConnectorError::io("the connection was reset".into())),
                    Some(Fault::DoneAndHangs) => pending().await,
                    Some(Fault::Late(long)) => sleep(long).await,
                    _ => {}
                }
                if fault == Some(Fault::AnswerLost) { Err(internal_error()) } else { done }
            }
        };
        let response = match outcome {
            Ok(answer) => success(&call, &answer),
            Err(refusal) => {
                self.lock().log[number].error = Some(refusal.code.clone());
                refusal.response(&call)
            }
        };
        witness::write(&call, question, &response);
        Ok(response)
    }
}

impl Inner {
    fn arrives(&mut self, call: &Call) -> (usize, Option<Fault>, Duration) {
        let now = self.world.now();
        let is_served = self.world.buckets.as_mut().is_none_or(|buckets| buckets.take(call, now));
        let planned = self.plans.iter_mut().find_map(|plan| plan.befalls(call));
        let fault = planned.or_else(|| (!is_served).then_some(Fault::Throttled));
        let logged = Logged { at: self.world.now(), call: call.clone(), fault: fault.clone(), error: None };
        self.log.push(logged);
        self.arrived.send_replace(self.log.len());
        (self.log.len() - 1, fault, self.world.delays.answer)
    }
}

impl World {
    fn perform(&mut self, call: &Call) -> Refused {
        self.authenticate(call)?;
        let Some(deed) = actions::find(&call.action) else {
            self.violated(call, "nobody does this here");
            refuse!("InvalidAction", "The action {} is not valid for this web service.", call.action);
        };
        if self.denied.contains(&call.action) {
            let message = "You are not authorized to perform this operation.";
            return Err(Refusal::with_status(403, "UnauthorizedOperation", message));
        }
        if !call.dry_run {
            return deed(self, call);
        }
        if self.dry_runs_look_first
            && let Err(refusal) = deed(&mut self.clone(), call)
            && refusal.code.ends_with("NotFound")
        {
            return Err(refusal);
        }
        let message = "Request would have succeeded, but DryRun flag is set.";
        Err(Refusal::with_status(412, "DryRunOperation", message))
    }

    fn authenticate(&self, call: &Call) -> Refused<()> {
        let trouble = self.credentials.filter(|(from, _)| self.now() >= *from).map(|(_, trouble)| trouble);
        let refused = |status, code, message: &str| Err(Refusal::with_status(status, code, message));
        match (trouble, call.service.as_str()) {
            (None, _) if self.here(call).opt_in != "not-opted-in" => Ok(()),
            (None, _) => refused(401, "OptInRequired", "You are not subscribed to this service."),
            (Some(CredentialTrouble::Expired), "ec2") => refused(400, "RequestExpired", "Request has expired."),
            (Some(CredentialTrouble::Expired), "sts") => refused(403, "ExpiredToken", "The security token is expired"),
            (Some(CredentialTrouble::Expired), _) => refused(400, "ExpiredTokenException", "The token is expired"),
            (Some(CredentialTrouble::Invalid), "ec2") => {
                refused(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
            }
            (Some(CredentialTrouble::Invalid), "sts") => {
                refused(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
            }
            (Some(CredentialTrouble::Invalid), _) => {
                refused(400, "UnrecognizedClientException", "The security token is invalid.")
            }
        }
    }
}

fn throttled(call: &Call) -> Refusal {
    match call.service.as_str() {
        "ec2" => Refusal::with_status(503, "RequestLimitExceeded", "Request limit exceeded."),
        "sts" => Refusal::new("Throttling", "Rate exceeded"),
        _ => Refusal::new("TooManyRequestsException", "Rate exceeded"),
    }
}

fn internal_error() -> Refusal {
    Refusal::with_status(500, "InternalError", "An internal error has occurred")
}

impl HttpClient for Endpoint {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connection { endpoint: self.clone(), read_timeout: settings.read_timeout() })
    }
}

/// The endpoint, with the patience of the one who connects.
#[derive(Debug)]
struct Connection {
    endpoint: Endpoint,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let served = self.endpoint.clone().serve(request);
        let Some(patience) = self.read_timeout else { return HttpConnectorFuture::new(served) };
        HttpConnectorFuture::new(async move {
            let answer = tokio::time::timeout(patience, served).await;
            answer.unwrap_or_else(|_| Err(ConnectorError::timeout("no answer came in time".into())))
        })
    }
}
