//! A small AWS on loopback, with and without TLS, and a small proxy in front of it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(20);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path, or all of the address as a proxy gets it.
    pub target: String,
    /// The headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// A field of a body that is a form, as it was sent.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.body.split('&').find_map(|field| field.split_once('=').filter(|(found, _)| *found == name)).map(|it| it.1)
    }

    /// The id of the key that it is signed with.
    pub fn key(&self) -> &str {
        let signed = self.headers.get("authorization").and_then(|header| header.split_once("Credential="));
        signed.and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default()
    }
}

/// The requests that a server had, in order.
type Books = Arc<Mutex<Vec<Asked>>>;

/// What a server answers: a status and a body.
type Answers = Arc<dyn Fn(&Asked) -> (u16, String) + Send + Sync>;

/// A server that ends when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    books: Books,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// One that answers as AWS does.
    pub fn aws() -> Server {
        Server::answering(None, aws)
    }

    /// The same over TLS.
    pub fn aws_over_tls(config: Arc<ServerConfig>) -> Server {
        Server::answering(Some(config), aws)
    }

    /// One with answers of its own.
    pub fn answering(
        tls: Option<Arc<ServerConfig>>,
        answers: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) -> Server {
        let answers: Answers = Arc::new(answers);
        Server::serving(move |stream, books| match &tls {
            None => serve(stream, books, &answers),
            Some(config) => {
                let connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
                serve(StreamOwned::new(connection, stream), books, &answers)
            }
        })
    }

    /// A proxy that takes everything to this server, whatever host was asked for.
    pub fn proxy_to(target: SocketAddr) -> Server {
        Server::serving(move |stream, books| forward(stream, books, target))
    }

    fn serving(work: impl Fn(TcpStream, &Books) -> std::io::Result<()> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (books, stop) = (Books::default(), Arc::new(AtomicBool::new(false)));
        let (work, known, stopped) = (Arc::new(work), books.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let _ = stream.set_read_timeout(Some(SILENCE));
                let (work, books) = (work.clone(), known.clone());
                // A client that hangs up is no fault of the server's.
                std::thread::spawn(move || drop(work(stream, &books)));
            }
        });
        Server { address, books, stop, thread: Some(thread) }
    }

    /// Its address without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address with TLS.
    pub fn tls_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// All that it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.books.lock().expect("the books").clone()
    }

    /// The calls of this action.
    pub fn calls(&self, action: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.field("Action") == Some(action)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(stream: &mut impl Read) -> std::io::Result<Option<Asked>> {
    // Byte by byte, so that what follows the head of a CONNECT stays in the stream.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let mut lines = BufReader::new(head.as_slice()).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines.map_while(Result::ok) {
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_lowercase(), value.to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Asked { method, target, headers, body: String::from_utf8_lossy(&body).into_owned() }))
}

fn serve(mut stream: impl Read + Write, books: &Books, answers: &Answers) -> std::io::Result<()> {
    while let Some(asked) = read(&mut stream)? {
        books.lock().expect("the books").push(asked.clone());
        let (status, body) = answers(&asked);
        let kind = match body.get(..1) {
            Some("{") => "application/json",
            Some("<") if body.starts_with("<html") => "text/html",
            _ => "text/xml",
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes())?;
        stream.flush()?;
    }
    Ok(())
}

fn forward(mut stream: TcpStream, books: &Books, target: SocketAddr) -> std::io::Result<()> {
    let Some(asked) = read(&mut stream)? else { return Ok(()) };
    books.lock().expect("the books").push(asked.clone());
    let mut onward = TcpStream::connect(target)?;
    if asked.method == "CONNECT" {
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    } else {
        let path = asked.target.splitn(4, '/').nth(3).unwrap_or_default();
        write!(onward, "{} /{path} HTTP/1.1\r\n", asked.method)?;
        for (name, value) in &asked.headers {
            write!(onward, "{name}: {value}\r\n")?;
        }
        write!(onward, "\r\n{}", asked.body)?;
    }
    let (mut back, mut to) = (onward.try_clone()?, stream.try_clone()?);
    let answers = std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let _ = std::io::copy(&mut stream, &mut onward);
    let _ = onward.shutdown(std::net::Shutdown::Both);
    let _ = answers.join();
    Ok(())
}

/// The caller is told the key that it came with; all else is there and empty.
pub fn aws(asked: &Asked) -> (u16, String) {
    let Some(action) = asked.field("Action") else { return (200, "203.0.113.7\n".to_owned()) };
    let result = match action {
        "GetCallerIdentity" => format!(
            "<Arn>arn:aws:sts::123456789012:user/{}</Arn><Account>123456789012</Account><UserId>U</UserId>",
            asked.key()
        ),
        "AssumeRole" | "AssumeRoleWithWebIdentity" => {
            let role =
                asked.field("RoleArn").and_then(|arn| arn.rsplit("%2F").next()).unwrap_or_default().to_uppercase();
            let end = humantime::format_rfc3339_seconds(std::time::SystemTime::now() + Duration::from_secs(3600));
            format!(
                "<Credentials><AccessKeyId>ASIA{role}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                 <SessionToken>t</SessionToken><Expiration>{end}</Expiration></Credentials>\
                 <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/{role}/s</Arn><AssumedRoleId>A:s</AssumedRoleId>\
                 </AssumedRoleUser>"
            )
        }
        "DescribeRegions" => {
            let region =
                "<item><regionName>us-west-2</regionName><optInStatus>opt-in-not-required</optInStatus></item>";
            return (
                200,
                format!("<DescribeRegionsResponse><regionInfo>{region}</regionInfo></DescribeRegionsResponse>"),
            );
        }
        _ => return (200, format!("<{action}Response></{action}Response>")),
    };
    (200, format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"))
}
