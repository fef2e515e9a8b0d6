//! Transfers as containerd's newer clients ask for them: archives on streams, registries with what a client says of them.

use corten_containerd_api::{Client, Stream};
use corten_proto::any;
use corten_proto::containerd::types::transfer::{
    Data, HttpDebug, ImageExportStream, ImageImportStream, ImageReference, ImageStore, OciRegistry, RegistryResolver,
    WindowUpdate,
};
use integration_tests::registry::TestRegistry;
use integration_tests::{ImageFiles, Supervisor, TempRoot, busybox};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn connect(supervisor: &Supervisor, root: &TempRoot) -> Client {
    Client::connect(supervisor.address(), root.name()).expect("a client")
}

/// Sends `data` as the other side takes it, and ends the stream.
async fn feed(mut stream: Stream, data: &[u8]) {
    let mut window = 0;
    for piece in data.chunks(32 << 10) {
        while window < piece.len() {
            window += usize::try_from(
                stream.next::<WindowUpdate>().await.expect("the other side speaks").expect("and goes on").update,
            )
            .expect("a size");
        }
        stream.send(&Data { data: piece.to_vec() }).await;
        window -= piece.len();
    }
    let Stream { mut incoming, outgoing, .. } = stream;
    drop(outgoing);
    // Leaving before the other side has taken all would take back what is under way.
    while let Ok(Some(_)) = incoming.message().await {}
}

/// Takes all that comes.
async fn drain(mut stream: Stream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.send(&WindowUpdate { update: i32::MAX }).await;
    while let Some(Data { data }) = stream.next::<Data>().await.expect("the other side speaks") {
        all.extend(data);
    }
    all
}

fn prefix(name: &str) -> ImageReference {
    ImageReference { name: name.to_owned(), is_prefix: true, ..ImageReference::default() }
}

#[test]
fn an_archive_goes_in_by_a_base_name_and_out_without_dockers_manifest() {
    let root = TempRoot::new();
    let supervisor = Supervisor::start(&root);
    let archive = std::fs::read(busybox::docker_archive_file(&root, &["r.example/a:1", "other:2"])).unwrap();
    runtime().block_on(async {
        let client = connect(&supervisor, &root);
        let stream = client.open_stream("import").await.unwrap();
        let source = ImageImportStream { stream: stream.id.clone(), force_compress: true, ..Default::default() };
        let labels = [("of".to_owned(), "us".to_owned())].into();
        let store = ImageStore { extra_references: vec![prefix("r.example/a")], labels, ..ImageStore::default() };
        let mut saved = Vec::new();
        let told = |progress: corten_proto::containerd::types::transfer::Progress| {
            saved.extend(Some(progress.name).filter(|_| progress.event == "saved"));
        };
        let transfer = client.transfer(any::pack(&source), any::pack(&store), told);
        let ((), done) = tokio::join!(feed(stream, &archive), transfer);
        done.unwrap();
        assert_eq!(saved, ["r.example/a:1"]);

        let stream = client.open_stream("export").await.unwrap();
        let source = ImageStore {
            extra_references: vec![ImageReference { name: "r.example/a:1".to_owned(), ..ImageReference::default() }],
            ..ImageStore::default()
        };
        let export = ImageExportStream {
            stream: stream.id.clone(),
            skip_compatibility_manifest: true,
            all_platforms: true,
            ..ImageExportStream::default()
        };
        let transfer = client.transfer(any::pack(&source), any::pack(&export), drop);
        let (all, done) = tokio::join!(drain(stream), transfer);
        done.unwrap();
        let mut archive = tar::Archive::new(&all[..]);
        let names: Vec<String> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert!(names.contains(&"index.json".to_owned()) && !names.contains(&"manifest.json".to_owned()), "{names:?}");

        // The archive names the digest of each blob, and another namespace has them all.
        let client = Client::connect(supervisor.address(), &format!("{}-other", root.name())).expect("a client");
        let stream = client.open_stream("again").await.unwrap();
        let source = ImageImportStream { stream: stream.id.clone(), ..Default::default() };
        let store = ImageStore { extra_references: vec![prefix("r.example/a")], ..ImageStore::default() };
        let transfer = client.transfer(any::pack(&source), any::pack(&store), drop);
        let ((), done) = tokio::join!(feed(stream, &all), transfer);
        done.unwrap();
    });
    let listed = supervisor.ctr().run(&["images", "ls"]).ok().stdout;
    assert!(listed.contains("of=us") && listed.lines().count() == 2, "{listed}");
    let labels = supervisor.ctr().run(&["content", "ls"]).ok().stdout;
    assert!(labels.contains("containerd.io/uncompressed="), "{labels}");
}

#[test]
fn a_client_sets_headers_and_watches_what_is_said() {
    let root = TempRoot::new();
    let supervisor = Supervisor::start(&root);
    let server = TestRegistry::start();
    let _ = server.put_image("a", "1", &ImageFiles::new(busybox::layer().to_vec(), &["sh"]));
    let name = format!("{}/a:1", server.host());
    runtime().block_on(async {
        let client = connect(&supervisor, &root);
        let logs = client.open_stream("logs").await.unwrap();
        let resolver = RegistryResolver {
            headers: [("X-Meta".to_owned(), "from a client".to_owned())].into(),
            default_scheme: "http".to_owned(),
            http_debug: HttpDebug::Debug.into(),
            logs_stream: logs.id.clone(),
            ..RegistryResolver::default()
        };
        let source = OciRegistry { reference: name.clone(), resolver: Some(resolver) };
        let store = ImageStore { name: name.clone(), ..ImageStore::default() };
        let transfer = client.transfer(any::pack(&source), any::pack(&store), drop);
        let (told, done) = tokio::join!(drain(logs), transfer);
        done.unwrap();
        let told = String::from_utf8(told).unwrap();
        for line in ["GET /v2/a/manifests/", "x-meta: from a client", "HTTP/1.1 200 OK"] {
            assert!(told.contains(line), "{line}: {told}");
        }
    });
    let log = server.log();
    let has =
        |headers: &[(String, String)]| headers.iter().any(|(name, value)| name == "x-meta" && value == "from a client");
    assert!(!log.0.is_empty() && log.0.iter().all(|logged| has(&logged.headers)), "{:?}", log.lines());
}
