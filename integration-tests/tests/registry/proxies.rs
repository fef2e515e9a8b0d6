//! Registries behind a proxy: CONNECT for TLS, whole addresses without.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;

use corten_images::registry::{Proxies, Settings};
use integration_tests::TempRoot;
use integration_tests::registry::{Authority, Options, TestRegistry};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::{anonymous, image, open, runtime, settings};

type Heads = Arc<Mutex<Vec<String>>>;

/// A proxy that leads everything to one server, spoken to in TLS with an authority; the heads it saw.
fn proxy(server: &TestRegistry, authority: Option<&Authority>) -> (String, Heads) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (target, heads) = (server.host(), Heads::default());
    let (seen, acceptor) = (heads.clone(), authority.map(|authority| authority.acceptor(false)));
    // It ends with the test's process.
    thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let (target, seen, acceptor) = (target.clone(), seen.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => relay(client, &target, &seen).await,
                        Some(acceptor) => relay(acceptor.accept(client).await.ok()?, &target, &seen).await,
                    }
                });
            }
        });
    });
    (address, heads)
}

async fn relay(mut client: impl AsyncRead + AsyncWrite + Unpin, target: &str, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let is_tunnel = text.starts_with("CONNECT ");
    seen.lock().ok()?.push(text);
    let mut server = TcpStream::connect(target).await.ok()?;
    if is_tunnel {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    } else {
        server.write_all(&head).await.ok()?;
    }
    copy_bidirectional(&mut client, &mut server).await.ok().map(drop)
}

#[test]
fn tls_goes_through_connect_and_plain_text_with_the_whole_address() {
    let authority = Arc::new(Authority::new());
    let connect = "CONNECT r.example:5000 HTTP/1.1";
    for has_tls in [true, false] {
        for (scheme, of_proxy) in [("http", None), ("https", Some(&*authority))] {
            let tls = has_tls.then(|| authority.clone());
            let server = TestRegistry::start_with(Options { tls, ..Options::default() });
            let _ = server.put_image("a", "1", &image());
            let (address, heads) = proxy(&server, of_proxy);
            let url = format!("{scheme}://me:secret@{address}");
            let proxies = Proxies { http: url.clone(), https: url, no: "other.example".into() };
            let settings = Settings { insecure: vec!["r.example:5000".into()], proxies: Some(proxies), ..settings() };
            runtime().block_on(async {
                let resolved = open(&anonymous(settings), "r.example:5000/a:1").await.resolve().await.unwrap();
                assert_eq!(resolved.host, "r.example:5000");
            });
            let heads = heads.lock().unwrap();
            let lines: Vec<&str> = heads.iter().filter_map(|head| head.lines().next()).collect();
            let whole = "HEAD http://r.example:5000/v2/a/manifests/1 HTTP/1.1";
            assert_eq!(lines, if has_tls { vec![connect] } else { vec![connect, whole] }, "{scheme}");
            for head in heads.iter() {
                assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic "), "{head}");
            }
        }
    }
}

#[test]
fn a_proxy_with_tls_is_believed_by_the_authorities_of_the_registry() {
    let (root, authority) = (TempRoot::new(), Arc::new(Authority::new()));
    let server = TestRegistry::start_with(Options { tls: Some(authority.clone()), ..Options::default() });
    let (address, heads) = proxy(&server, Some(&authority));
    let url = format!("https://{address}");
    let refused = || {
        let proxies = Proxies { http: url.clone(), https: url.clone(), no: String::new() };
        let settings = Settings { tls_dir: Some(root.path().into()), proxies: Some(proxies), ..settings() };
        let resolved = runtime().block_on(async { open(&anonymous(settings), "r.example/a:1").await.resolve().await });
        corten_types::error::chain(&resolved.unwrap_err())
    };
    let error = refused();
    assert!(error.contains(&format!("proxy {address}: invalid peer certificate")), "{error}");
    assert_eq!(heads.lock().unwrap().len(), 0);
    // Known now; what is behind it has a certificate for another name.
    fs::create_dir(root.join("r.example")).unwrap();
    fs::write(root.join("r.example/ca.crt"), authority.pem()).unwrap();
    let error = refused();
    assert!(!error.contains("proxy") && error.contains("not valid for name"), "{error}");
    assert!(heads.lock().unwrap()[0].starts_with("CONNECT r.example:443 "));
}

#[test]
fn a_proxy_of_another_kind_is_refused_by_name() {
    let proxies = Proxies { https: "socks5://127.0.0.1:1".into(), ..Proxies::default() };
    let settings = Settings { proxies: Some(proxies), ..settings() };
    runtime().block_on(async {
        let registry = anonymous(settings);
        let error = registry.repository(&"r.example/a:1".parse().unwrap()).await.err().unwrap().to_string();
        assert!(error.contains("socks5") && error.contains("https-proxy"), "{error}");
    });
}
