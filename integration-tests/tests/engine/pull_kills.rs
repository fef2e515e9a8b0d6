//! kill -9 of engine and supervisor in the middle of a pull: the next one goes on where it was.

use std::thread;

use integration_tests::registry::{Effect, Fault, TestRegistry};
use integration_tests::{DEADLINE, EngineApi, ImageFiles, Kind, Stack, busybox, wait_for};
use serde_json::Value;

use crate::{expect, get, post};

#[test]
fn a_pull_that_was_killed_goes_on_where_it_was() {
    let server = TestRegistry::start();
    // Noise, which stays as large when it is compressed.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..3_000_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        })
        .collect();
    let image = ImageFiles::new(busybox::layer_with(&[("noise", &noise)]), &["true"]);
    let layered = server.put_image("a", "1", &image);
    let layer = layered.layers[0].clone();
    let size = server.blob(&layer).unwrap().len() as u64;
    server.plant(Fault::new(&layer, Effect::Hold(2_000_000)).on("GET").times(1));

    let mut stack = Stack::start(Kind::Ours);
    let path = format!("/images/create?fromImage={}/a&tag=1", server.host());
    let (socket, first) = (stack.socket(), path.clone());
    let pull = thread::spawn(move || EngineApi::new(&socket).post(&first, &Value::Null).map(|answer| answer.text()));
    let ctr = stack.ctr();
    wait_for("more than a MB of the layer to be in the store", DEADLINE, || {
        ctr.run(&["content", "active"]).stdout.contains("MB")
    });
    stack.kill();
    // It broke off, however that looks to the client.
    let _ = pull.join();
    stack.restart();
    let answer = expect(post(&stack, &path, &Value::Null), 200);
    assert!(answer.text().contains("Downloaded newer image"), "{}", answer.text());
    let log = server.log();
    let requests = log.by("GET", &layer);
    let from = requests[1].range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let from: u64 = from.unwrap_or_else(|| panic!("{requests:?}")).parse().unwrap();
    assert!(requests.len() == 2 && from > 1_000_000, "{requests:?}");
    assert!(log.served(&layer) <= size + (1 << 20), "{} of {size} bytes were served", log.served(&layer));
    let inspected = get(&stack, &format!("/images/{}/a:1/json", server.host()));
    assert_eq!(expect(inspected, 200).json()["Id"], layered.id);
    assert_eq!(stack.ctr().run(&["content", "active"]).ok().stdout.lines().count(), 1, "ingests left");
}
