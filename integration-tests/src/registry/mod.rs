//! A registry of the tests' own, in the test's process: it logs every request and fails as it is told.
//!
//! ```no_run
//! use integration_tests::registry::{Fault, TestRegistry};
//! let registry = TestRegistry::start();
//! let layer = registry.put_blob(vec![0; 1 << 20]);
//! registry.plant(Fault::cut(&layer, 1000));
//! // … pull from registry.host() …
//! assert_eq!(registry.log().of(&layer).len(), 2);
//! ```

mod faults;
mod log;
mod serve;
mod storage;
mod tls;
mod tokens;
mod uploads;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use faults::{Effect, Fault};
pub use log::{Log, Logged};
pub use storage::{Artifact, Layered, gzip};
pub use tls::Authority;
pub use tokens::{Access, Tokens};

use storage::Storage;

/// What a test may choose of a [`TestRegistry`].
#[derive(Debug, Default)]
pub struct Options {
    /// Whom it lets in.
    pub access: Access,
    /// TLS with a certificate of this authority, for `127.0.0.1` and `localhost`.
    pub tls: Option<Arc<Authority>>,
    /// TLS only for clients that show a certificate of the authority.
    pub client_certificates: bool,
}

/// A running registry; it ends when dropped.
#[derive(Debug)]
pub struct TestRegistry {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    has_tls: bool,
    access: Access,
    storage: Mutex<Storage>,
    tokens: Mutex<tokens::Issued>,
    faults: Mutex<Vec<Fault>>,
    log: Arc<Mutex<Vec<Logged>>>,
    /// Bodies that [`Effect::Hold`] holds back until this is true.
    released: watch::Sender<bool>,
}

impl TestRegistry {
    /// A plain one that lets everybody in.
    #[must_use]
    pub fn start() -> TestRegistry {
        TestRegistry::start_with(Options::default())
    }

    /// One with `options`.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start_with(options: Options) -> TestRegistry {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port can be had");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let acceptor = options.tls.as_ref().map(|authority| authority.acceptor(options.client_certificates));
        let shared = Arc::new(Shared {
            address,
            has_tls: acceptor.is_some(),
            access: options.access,
            storage: Mutex::default(),
            tokens: Mutex::default(),
            faults: Mutex::default(),
            log: Arc::default(),
            released: watch::Sender::new(false),
        });
        let (stop, mut stopped) = watch::channel(false);
        let own = shared.clone();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads can be had");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
                tokio::select! {
                    () = accept(listener, acceptor, own) => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
            runtime.shutdown_background();
        });
        TestRegistry { address, shared, stop, thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`: the domain of references to it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`, or https.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.url()
    }

    /// Every request so far.
    #[must_use]
    pub fn log(&self) -> Log {
        Log(self.shared.log.lock().expect("no request panics").clone())
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.shared.log.lock().expect("no request panics").clear();
    }

    /// Fails from now on as `fault` says.
    pub fn plant(&self, fault: Fault) {
        self.shared.faults.lock().expect("no request panics").push(fault);
    }

    /// Serves everything as it should be again.
    pub fn heal(&self) {
        self.shared.faults.lock().expect("no request panics").clear();
    }

    /// Lets go what [`Effect::Hold`] holds, and holds nothing any more.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Makes every token it gave out invalid.
    pub fn expire_tokens(&self) {
        self.shared.tokens.lock().expect("no request panics").clear();
    }

    /// Works on what it stores.
    fn with_storage<T>(&self, work: impl FnOnce(&mut Storage) -> T) -> T {
        work(&mut self.shared.storage.lock().expect("no request panics"))
    }
}

impl Shared {
    fn url(&self) -> String {
        format!("{}://{}", if self.has_tls { "https" } else { "http" }, self.address)
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the registry of the tests panicked");
        }
    }
}

async fn accept(listener: TcpListener, acceptor: Option<tokio_rustls::TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| serve::serve(shared.clone(), request));
            let mut server = http1::Builder::new();
            // A client that gives up makes an error here, which it knows best itself.
            let _ = match acceptor {
                None => server.half_close(false).serve_connection(TokioIo::new(stream), service).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => server.half_close(false).serve_connection(TokioIo::new(stream), service).await,
                    Err(_) => Ok(()),
                },
            };
        });
    }
}
