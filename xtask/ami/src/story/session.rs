//! A login on an instance that outlives its connections: where one is lost, this logs in again, and the work is taken up
//! where it was.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Error, Result, bail, ensure};
use tokio::{sync::Mutex, time::Instant};

use super::{
    reach::{self, Reached},
    run::Run,
};
use crate::{
    cloud::Compute,
    event::{ids::InstanceId, step::Role},
    machine::{Input, Job, Lost, Machine, Upload, keys::Login},
};

/// How long this logs in again beyond the limit of the work, so that the result of a script that has just ended is read.
const LAST_LOGIN: Duration = Duration::from_secs(120);

/// How often the console is asked whether a job has ended.
const CONSOLE_INTERVAL: Duration = Duration::from_secs(5);

/// An instance of this process, with a login on it.
pub struct Session<'a, C: Compute> {
    /// The instance.
    pub instance: InstanceId,
    /// Its keys.
    pub login: Login,
    cloud: &'a C,
    run: &'a Run,
    role: Role,
    machine: RefCell<Rc<C::Machine>>,
    /// Held by the work that logs in again, where several work on the instance side by side.
    logging_in: Mutex<()>,
}

impl<'a, C: Compute> Session<'a, C> {
    /// A session that has just been logged in.
    pub fn new(
        cloud: &'a C,
        run: &'a Run,
        role: Role,
        (instance, login): (InstanceId, Login),
        machine: C::Machine,
    ) -> Session<'a, C> {
        let (machine, logging_in) = (RefCell::new(Rc::new(machine)), Mutex::default());
        Session { instance, login, cloud, run, role, machine, logging_in }
    }

    fn machine(&self) -> Rc<C::Machine> {
        Rc::clone(&self.machine.borrow())
    }

    /// Logs in again where this login is lost, unless other work has done so meanwhile; or reads the exit status of a job that
    /// has ended logins from the console.
    async fn resume(
        &self,
        (lost, login): (Error, &Rc<C::Machine>),
        job: Option<&Job>,
        deadline: Instant,
    ) -> Result<Option<u32>> {
        let _turn = self.logging_in.lock().await;
        if !Rc::ptr_eq(&self.machine(), login) {
            return Ok(None);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), lost);
        self.run.events.warn(format_args!("{lost:#}; logging in again"));
        let job = job.filter(|job| job.announcement().is_some());
        let asked = Cell::new(None::<Instant>);
        let ended = async || {
            let job = job?;
            if asked.get().is_some_and(|at| at.elapsed() < CONSOLE_INTERVAL) {
                return None;
            }
            asked.set(Some(Instant::now()));
            // Without the console, a login may still tell how it ended.
            let console = self.cloud.console(self.run.build_region(), &self.instance).await.ok()?;
            job.announced(&console)
        };
        let again = reach::reach(self.cloud, self.run, self.role, (&self.instance, &self.login), left, ended);
        match again.await.with_context(|| format!("{lost:#}"))? {
            Reached::Machine(machine) => {
                self.machine.replace(Rc::new(machine));
                Ok(None)
            }
            Reached::Ended(status) => Ok(Some(status)),
        }
    }
}

impl<C: Compute> Machine for Session<'_, C> {
    /// Where the connection is lost, the command is run again from its beginning. All commands that this is used for may be.
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit + LAST_LOGIN;
        loop {
            let login = self.machine();
            match login.run(what, command, input, limit).await {
                Err(error) if error.is::<Lost>() => self.resume((error, &login), None, deadline).await?,
                done => return done,
            };
        }
    }

    /// Where the connection is lost, another one continues at the byte where it stopped.
    async fn upload(&self, what: &str, upload: &Upload<'_>, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit + LAST_LOGIN;
        let mut arrived = Vec::new();
        loop {
            let login = self.machine();
            let form = login.upload_form();
            let rest = Input::File(upload.tar, arrived.iter().sum(), form);
            let lost = match login.run(what, &upload.command(&arrived, form), rest, limit).await {
                Err(error) if error.is::<Lost>() => error,
                done => return done.map(drop),
            };
            self.resume((lost, &login), None, deadline).await?;
            let connections = arrived.len() + 1;
            let counted = self.run("counting what has arrived", &upload.count(connections), Input::None, limit).await?;
            arrived = upload.counted(connections, &counted)?;
        }
    }

    async fn script(&self, job: &mut Job) -> Result<String> {
        let deadline = Instant::now() + job.limit + LAST_LOGIN;
        loop {
            let login = self.machine();
            let lost = match login.script(job).await {
                Err(error) if error.is::<Lost>() => error,
                done => return done,
            };
            match self.resume((lost, &login), Some(job), deadline).await? {
                None => {}
                Some(0) => return Ok(job.printed()),
                Some(status) => {
                    let last = job.last_lines();
                    bail!(
                        "{} failed (exit status {status}); the last lines before the connection was lost:\n{last}",
                        job.what
                    )
                }
            }
        }
    }
}
