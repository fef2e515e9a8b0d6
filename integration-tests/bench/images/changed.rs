//! A second pull of an image that changed: what a registry of the tests' own served of it.

use integration_tests::{
    digest,
    registry::{TestRegistry, gzip},
};

use super::{
    shapes::{Shape, config, layer},
    tools::Tool,
};
use crate::compare::Report;

/// Small: bytes are counted, not seconds.
const SHAPE: Shape =
    Shape { key: "changed", name: "12 layers", layers: 12, files: 100, bytes: 2 << 20, load: 1.0, pull: 1.0 };
/// Manifest, configuration, and answers to questions.
const DESCRIPTION_MB: f64 = 0.02;

/// Measures it: twelve layers, of which the last is another one in the second image.
pub fn measure(report: &mut Report, [ours, docker, ..]: &[Tool; 4]) {
    let registry = TestRegistry::start();
    let mut layers: Vec<Vec<u8>> = (0..SHAPE.layers).map(|number| layer(&SHAPE, number)).collect();
    put(&registry, "1", &layers);
    layers[SHAPE.layers - 1] = layer(&SHAPE, SHAPE.layers);
    let changed = put(&registry, "2", &layers) as f64 / 1e6;
    let [ours, docker] = [ours, docker].map(|tool| {
        tool.pull(&format!("{}/measured:1", registry.host()));
        registry.clear_log();
        tool.pull(&format!("{}/measured:2", registry.host()));
        registry.log().0.iter().map(|request| request.served).sum::<u64>() as f64 / 1e6
    });
    let what = format!("pull of an image, 1 of {} layers changed", SHAPE.layers);
    report.bound(&what, ours, Some(docker), changed + DESCRIPTION_MB, "MB");
}

/// Stores the image, and tells the size of its last layer there.
fn put(registry: &TestRegistry, tag: &str, layers: &[Vec<u8>]) -> usize {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let compressed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    let image = registry.put_layers("measured", config(&diff_ids).as_bytes(), &compressed);
    registry.put_manifest("measured", Some(tag), &image.manifest);
    compressed.last().map_or(0, Vec::len)
}
