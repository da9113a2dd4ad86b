//! This computer's public address.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Error, Result, ensure};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, HttpConnectorSettings},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use ipnet::Ipv4Net;

use super::{Ec2, answer::causes, http::Http};

/// AWS's service that answers with the address of the caller.
const ADDRESS_SERVICE: &str = "https://checkip.amazonaws.com";

/// The timeout of the whole request.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Ec2 {
    /// The addresses to open port 22 to: `--ssh-from`, or this computer's own.
    ///
    /// # Errors
    /// When the address service doesn't answer.
    pub(super) async fn ssh_from(&self) -> Result<Ipv4Net> {
        let found = self.ssh_from.get_or_try_init(async || match self.settings.ssh_from {
            Some(given) => Ok(given),
            None => own_address(ADDRESS_SERVICE, self.clients.http()).await.map(Ipv4Net::from).with_context(|| {
                format!("failed to ask {ADDRESS_SERVICE} for this computer's address; give it with --ssh-from")
            }),
        });
        found.await.copied()
    }
}

impl Ec2 {
    /// The warning when the address is asked through a proxy: SSH may leave by another one.
    pub(super) fn doubt_about_address(&self) -> Option<String> {
        let is_asked = self.settings.ssh_from.is_none() && self.settings.security_group.is_none();
        let proxy = self.clients.http().proxy_of(ADDRESS_SERVICE).filter(|_| is_asked)?;
        Some(format!(
            "SSH is opened to the address that {ADDRESS_SERVICE} sees, which is asked through the proxy {proxy}; if SSH leaves \
             your network by another address, give that one with --ssh-from"
        ))
    }
}

async fn own_address(service: &str, http: &Http) -> Result<Ipv4Addr> {
    let settings = HttpConnectorSettings::builder().connect_timeout(TIMEOUT).read_timeout(TIMEOUT).build();
    let connector = http.connector(settings, &service.parse()?);
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

fn parse(body: &[u8]) -> Result<Ipv4Addr> {
    // Behind proxies the answer may list several, the caller first.
    let text = String::from_utf8_lossy(body);
    let first = text.split(',').next().unwrap_or_default().trim();
    first.parse().with_context(|| format!("`{}` is not an IPv4 address", first.chars().take(40).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Calls a service that sends this response.
    async fn ask(answer: &str) -> Result<Ipv4Addr> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let service = format!("http://{}", listener.local_addr().expect("an address"));
        let http = Http::plain();
        let serve = async {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            assert!(connection.read(&mut [0; 4096]).await.expect("a request") > 0);
            connection.write_all(answer.as_bytes()).await.expect("to answer");
            connection.shutdown().await.expect("to close");
        };
        tokio::join!(own_address(&service, &http), serve).0
    }

    #[tokio::test]
    async fn the_address_comes_from_the_service() {
        let answer = ask("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n203.0.113.7\n").await;
        assert_eq!(answer.expect("an address"), Ipv4Addr::from([203, 0, 113, 7]));
        let error = ask("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.expect_err("a status");
        assert!(error.to_string().contains("HTTP status 503"), "{error}");
        assert!(ask("").await.is_err(), "the connection was closed");
    }

    #[test]
    fn an_answer_is_an_address_or_quoted_in_the_error() {
        assert_eq!(parse(b"203.0.113.7\n").expect("an address"), Ipv4Addr::from([203, 0, 113, 7]));
        assert!(parse(b"2001:db8::1").is_err(), "instances are reached over IPv4");
        assert_eq!(parse(b"203.0.113.7, 10.0.0.1").expect("an address"), Ipv4Addr::from([203, 0, 113, 7]));
        let error = parse(b"<html>log in first").expect_err("no address").to_string();
        assert!(error.contains("`<html>log in first`"), "{error}");
    }
}
