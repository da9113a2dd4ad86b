//! The address service, on loopback; the address towards a subnet, by this computer's routes.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// Calls a service that sends this response.
async fn ask(answer: &str) -> Result<IpAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let service = format!("http://{}", listener.local_addr().expect("an address"));
    let http = Http::plain();
    let serve = async {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        assert!(connection.read(&mut [0; 4096]).await.expect("a request") > 0);
        connection.write_all(answer.as_bytes()).await.expect("to answer");
        connection.shutdown().await.expect("to close");
    };
    tokio::join!(own_address(&service, &http, Family::Any), serve).0
}

#[tokio::test]
async fn the_address_comes_from_the_service() {
    let answer = ask("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n203.0.113.7\n").await;
    assert_eq!(answer.expect("an address"), IpAddr::from([203, 0, 113, 7]));
    let error = ask("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.expect_err("a status");
    assert!(error.to_string().contains("HTTP status 503"), "{error}");
    assert!(ask("").await.is_err(), "the connection was closed");
}

#[test]
fn an_answer_is_an_address_of_either_family_or_quoted_in_the_error() {
    for (body, address) in [
        ("203.0.113.7\n", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.0.0.1", "203.0.113.7"),
    ] {
        assert_eq!(parse(body.as_bytes()).expect("an address").to_string(), address);
    }
    let error = parse(b"<html>log in first").expect_err("no address").to_string();
    assert!(error.contains("`<html>log in first`"), "{error}");
}

#[tokio::test]
async fn the_address_towards_a_subnet_is_that_of_the_route_there() {
    let subnet = |cidr: &str| Placement { cidr: Some(cidr.parse().expect("a block")), ..Placement::default() };
    let found = towards(&subnet("127.0.0.0/8")).expect("an address");
    assert_eq!((found.text().as_str(), found.reach, found.doubt), ("127.0.0.1/32", Some(Reach::Private), None));
    let error = towards(&Placement::default()).expect_err("no subnet").to_string();
    assert!(error.contains("give it with --ssh-from"), "{error}");
}
