//! Registries behind a proxy: CONNECT for TLS, whole addresses without.

use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use corten_images::registry::{Proxies, Settings};
use integration_tests::registry::{Authority, Options, TestRegistry};

use crate::{anonymous, image, open, runtime, settings};

/// A proxy that leads everything to one server; the heads it saw.
fn proxy(server: &TestRegistry) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (target, heads) = (server.host(), Arc::<Mutex<Vec<String>>>::default());
    let seen = heads.clone();
    // It ends with the test's process.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (target, seen) = (target.clone(), seen.clone());
            thread::spawn(move || relay(client, &target, &seen));
        }
    });
    (address, heads)
}

fn relay(mut client: TcpStream, target: &str, seen: &Mutex<Vec<String>>) -> Option<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut server = TcpStream::connect(target).ok()?;
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    } else {
        server.write_all(&head).ok()?;
    }
    seen.lock().ok()?.push(text);
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both).ok()
}

#[test]
fn tls_goes_through_connect_and_plain_text_with_the_whole_address() {
    let tls = Options { tls: Some(Arc::new(Authority::new())), ..Options::default() };
    for (options, expected) in [
        (tls, vec!["CONNECT r.example:5000 HTTP/1.1"]),
        (
            Options::default(),
            vec!["CONNECT r.example:5000 HTTP/1.1", "HEAD http://r.example:5000/v2/a/manifests/1 HTTP/1.1"],
        ),
    ] {
        let server = TestRegistry::start_with(options);
        let _ = server.put_image("a", "1", &image());
        let (address, heads) = proxy(&server);
        let url = format!("http://me:secret@{address}");
        let proxies = Proxies { http: url.clone(), https: url, no: "other.example".into() };
        let settings = Settings { insecure: vec!["r.example:5000".into()], proxies: Some(proxies), ..settings() };
        runtime().block_on(async {
            let resolved = open(&anonymous(settings), "r.example:5000/a:1").await.resolve().await.unwrap();
            assert_eq!(resolved.host, "r.example:5000");
        });
        let heads = heads.lock().unwrap();
        let lines: Vec<&str> = heads.iter().filter_map(|head| head.lines().next()).collect();
        assert_eq!(lines, expected);
        for head in heads.iter() {
            assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic "), "{head}");
        }
    }
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
