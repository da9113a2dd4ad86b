//! The addresses that SSH is opened to: those that were given, or this computer's own.

use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr, UdpSocket},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Error, Result, bail, ensure};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, HttpConnectorSettings},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use ipnet::IpNet;
use tokio::time::Instant;
use xtask::instance::Reach;

use super::{
    Ec2,
    answer::causes,
    http::{Family, Http},
    network::Placement,
    requests::access::SSH_PORT,
};

/// AWS's services that answer with the address of the caller: the first over IPv4 only, the second over both.
const SERVICE: &str = "https://checkip.amazonaws.com";
const DUAL_STACK_SERVICE: &str = "https://checkip.global.api.aws";

/// The timeout of the whole request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer is taken for true: a computer changes its network within a build.
const FRESH: Duration = Duration::from_secs(60);

/// Where this computer's public addresses are known from.
#[derive(Clone, Debug, Default)]
pub enum OwnAddresses {
    /// AWS's services.
    #[default]
    Aws,
    /// They are these.
    Are(Rc<RefCell<Vec<IpAddr>>>),
}

/// The addresses that SSH is open to.
#[derive(Clone, Debug)]
pub(super) struct LetIn {
    /// At least one block.
    pub blocks: Vec<IpNet>,
    /// The addresses of machines that they belong to; `None` when they were given.
    pub reach: Option<Reach>,
    /// Why machines may see other addresses than these, if they may.
    pub doubt: Option<String>,
    at: Instant,
}

impl LetIn {
    fn new(addresses: &[IpAddr], reach: Reach) -> LetIn {
        let blocks = addresses.iter().map(|address| IpNet::from(*address)).collect();
        LetIn { blocks, reach: Some(reach), doubt: None, at: Instant::now() }
    }

    /// The blocks, for a message.
    pub(super) fn text(&self) -> String {
        self.blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Ec2 {
    /// The addresses to open port 22 to: those of `--ssh-from`, or this computer's own.
    ///
    /// # Errors
    /// When they cannot be told.
    pub(super) async fn ssh_from(&self, placement: &Placement) -> Result<LetIn> {
        let known = self.let_in.borrow().clone();
        match known {
            Some(known) if known.reach.is_none() || known.at.elapsed() < FRESH => Ok(known),
            known => match (self.ask_addresses(placement).await, known) {
                (Ok(found), _) => Ok(self.let_in.borrow_mut().insert(found).clone()),
                // No answer is no sign of a change.
                (Err(_), Some(known)) => Ok(known),
                (Err(error), None) => Err(error),
            },
        }
    }

    /// Asks for this computer's addresses, unless they were given.
    ///
    /// # Errors
    /// When they cannot be told.
    pub(super) async fn ask_addresses(&self, placement: &Placement) -> Result<LetIn> {
        if !self.settings.ssh_from.is_empty() {
            let (blocks, at) = (self.settings.ssh_from.clone(), Instant::now());
            return Ok(LetIn { blocks, reach: None, doubt: None, at });
        }
        let has_ipv4 = self.has_public_ipv4(placement);
        let is_private = match self.recipe.instance.reach {
            Some(reach) => reach == Reach::Private,
            None => !has_ipv4 && !placement.has_ipv6,
        };
        if is_private {
            return towards(placement);
        }
        let own = self.public_addresses().await?;
        if !has_ipv4 && !placement.has_ipv6 {
            // That there is no public address is a finding of its own.
            return Ok(LetIn::new(&own, Reach::Public));
        }
        // An address of a family that no machine has opens nothing.
        let usable = own.iter().filter(|address| if address.is_ipv4() { has_ipv4 } else { placement.has_ipv6 });
        let usable: Vec<IpAddr> = usable.copied().collect();
        if usable.is_empty() && !has_ipv4 && !placement.is_ipv6_only && self.recipe.instance.reach.is_none() {
            return towards(placement);
        }
        if usable.is_empty() {
            let own: Vec<String> = own.iter().map(ToString::to_string).collect();
            let family = if placement.has_ipv6 { "an IPv6 address" } else { "an IPv4 address" };
            bail!(
                "this computer reaches the internet as {} only, but a machine in {} can be reached from {family} only; run \
                 this where there is one, or give another --subnet",
                own.join(", "),
                placement.subnet_id
            );
        }
        Ok(LetIn::new(&usable, Reach::Public))
    }

    /// The public addresses of this computer, of both families.
    async fn public_addresses(&self) -> Result<Vec<IpAddr>> {
        if let OwnAddresses::Are(addresses) = &self.settings.own_addresses {
            return Ok(addresses.borrow().clone());
        }
        let http = self.clients.http();
        if http.proxy_of(SERVICE).is_some() {
            // Connections leave the proxy by whichever family it likes.
            let told = own_address(SERVICE, http, Family::Any).await;
            return Ok(vec![told.with_context(|| {
                format!("failed to ask {SERVICE} for this computer's address; give it with --ssh-from")
            })?]);
        }
        let ipv4 = own_address(SERVICE, http, Family::Any);
        let (ipv4, ipv6) = tokio::join!(ipv4, own_address(DUAL_STACK_SERVICE, http, Family::Ipv6));
        match (ipv4, ipv6) {
            (Err(error), Err(_)) => {
                Err(error
                    .context(format!("failed to ask {SERVICE} for this computer's address; give it with --ssh-from")))
            }
            (ipv4, ipv6) => Ok([ipv4, ipv6].into_iter().flatten().collect()),
        }
    }

    /// The warning when the address is asked through a proxy: SSH may leave by another one.
    pub(super) fn doubt_about_address(&self) -> Option<String> {
        let is_asked =
            self.settings.ssh_from.is_empty() && self.settings.security_group.is_none() && !self.opens_no_port();
        let proxy = self.clients.http().proxy_of(SERVICE).filter(|_| is_asked)?;
        Some(format!(
            "SSH is opened to the address that {SERVICE} sees, which is asked through the proxy {proxy}; if SSH leaves \
             your network by another address, give that one with --ssh-from"
        ))
    }

    /// What to try when a machine that runs does not answer.
    pub(super) fn way_in_advice(&self) -> String {
        if let Some(group) = &self.settings.security_group {
            return format!("{group} must let this computer in to port 22 of the machine");
        }
        let let_in = self.let_in.borrow();
        let Some(let_in) = let_in.as_ref() else { return String::new() };
        let open = format!("SSH was open to {}", let_in.text());
        match let_in.reach {
            Some(Reach::Private) => format!(
                "{open}, which is this computer's address towards the subnet. If machines see another one, give it with \
                 --ssh-from; if there is no way to their private addresses, give --public-address yes --reach public"
            ),
            Some(Reach::Public) | None => format!(
                "{open}. If this computer's connections come from other addresses, give all of them with --ssh-from; if \
                 machines are to be reached at their private addresses, give --reach private. The subnet's route table \
                 and network ACL have to let SSH through, too"
            ),
        }
    }
}

/// The address that this computer has towards a subnet, by its routes. Nothing is sent.
fn towards(placement: &Placement) -> Result<LetIn> {
    let unknown = || {
        format!(
            "cannot tell this computer's address towards {}, whose machines are reached at their private addresses; give it \
             with --ssh-from",
            placement.subnet_id
        )
    };
    let subnet = placement.cidr.with_context(unknown)?;
    let target = subnet.hosts().next().unwrap_or(subnet.addr());
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).with_context(unknown)?;
    let routed = socket.connect(SocketAddr::new(target, SSH_PORT)).and_then(|()| socket.local_addr());
    let own = routed.with_context(unknown)?.ip();
    let mut let_in = LetIn::new(&[own], Reach::Private);
    if !subnet.contains(&own) {
        let_in.doubt = Some(format!(
            "SSH is opened to {own}, the address that this computer has towards {} ({subnet}); if there is NAT in between, \
             give the address that machines see with --ssh-from",
            placement.subnet_id
        ));
    }
    Ok(let_in)
}

async fn own_address(service: &str, http: &Http, family: Family) -> Result<IpAddr> {
    let settings = HttpConnectorSettings::builder().connect_timeout(TIMEOUT).read_timeout(TIMEOUT).build();
    let connector = http.connector(settings, &service.parse()?, family);
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(service)?;
    let answer = connector.call(request);
    let answer = tokio::time::timeout(TIMEOUT, answer).await.context("timed out")?;
    let answer = answer.map_err(|error| {
        let why = causes(&error).pop().unwrap_or_default();
        Error::from(http.no_answer(service, &why))
    })?;
    ensure!(answer.status().is_success(), "HTTP status {}", answer.status().as_u16());
    let body = aws_smithy_types::byte_stream::ByteStream::new(answer.into_body()).collect().await?;
    parse(&body.into_bytes())
}

fn parse(body: &[u8]) -> Result<IpAddr> {
    // Behind proxies the answer may list several, the caller first.
    let text = String::from_utf8_lossy(body);
    let first = text.split(',').next().unwrap_or_default().trim();
    let address: Result<IpAddr, _> = first.parse();
    let address =
        address.with_context(|| format!("`{}` is not an IP address", first.chars().take(40).collect::<String>()))?;
    Ok(address.to_canonical())
}

#[cfg(test)]
mod tests;
