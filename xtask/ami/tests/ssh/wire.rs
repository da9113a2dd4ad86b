//! The wire to a server, which a test cuts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Forwards connections until it is cut.
pub struct Wire {
    /// Where it begins.
    pub address: SocketAddr,
    cuts: watch::Sender<u32>,
    /// How many of the next connections are refused.
    refused: Arc<AtomicUsize>,
    /// How many bytes of the server's the next connection carries before it breaks.
    breaks_after: Arc<AtomicUsize>,
    /// How many bytes it has carried to the server.
    pub carried: Arc<AtomicUsize>,
}

impl Wire {
    pub async fn to(server: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a port");
        let (cuts, cut) = watch::channel(0);
        let (refused, carried) = (Arc::default(), Arc::default());
        let wire = Wire { address, cuts, refused, breaks_after: Arc::new(AtomicUsize::new(usize::MAX)), carried };
        let (refused, breaks_after) = (Arc::clone(&wire.refused), Arc::clone(&wire.breaks_after));
        let carried = Arc::clone(&wire.carried);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let count = |count: usize| count.checked_sub(1);
                if refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_ok() {
                    continue;
                }
                let budget = breaks_after.swap(usize::MAX, Ordering::SeqCst);
                tokio::spawn(carry(client, server, (budget, Arc::clone(&carried)), cut.clone()));
            }
        });
        wire
    }

    /// Cuts all connections, and refuses so many of the next.
    pub fn cut(&self, refused: usize) {
        self.refused.store(refused, Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Breaks the next connection after so many bytes of the server's.
    pub fn break_after(&self, bytes: usize) {
        self.breaks_after.store(bytes, Ordering::SeqCst);
    }
}

async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    (mut budget, carried): (usize, Arc<AtomicUsize>),
    mut cut: watch::Receiver<u32>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    cut.mark_unchanged();
    let (mut from_server, mut from_client) = (vec![0; 4096], vec![0; 4096]);
    loop {
        tokio::select! {
            _ = cut.changed() => return,
            read = server.read(&mut from_server) => {
                let Ok(bytes @ 1..) = read else { return };
                let carried = bytes.min(budget);
                budget -= carried;
                if client.write_all(&from_server[..carried]).await.is_err() || budget == 0 {
                    return;
                }
            }
            read = client.read(&mut from_client) => {
                let Ok(bytes @ 1..) = read else { return };
                carried.fetch_add(bytes, Ordering::SeqCst);
                if server.write_all(&from_client[..bytes]).await.is_err() {
                    return;
                }
            }
        }
    }
}
