//! Generated hostile layers through load and import: refused or tamed, and nothing outside the snapshots changes.

use std::io::Cursor;

use corten_images::{ImportRequest, Platform, import};
use corten_types::ErrorKind;
use corten_types::error::chain;
use integration_tests::hostile::{self, Outside};

use crate::{Host, config, docker_archive, runtime};

/// Layers in `make test`, each loaded and imported; `CORTEN_HOSTILE_LAYERS` says another number. The fuzz target of the
/// same generator writes hundreds more without a daemon.
const LAYERS: u64 = 40;

#[test]
fn hostile_layers_change_nothing_outside_when_loaded_or_imported() {
    runtime().block_on(async {
        let host = Host::supervisor();
        let outside = Outside::make(&host.root.make("outside"));
        let request = ImportRequest {
            name: Some("hostile:1".parse().unwrap()),
            message: String::new(),
            changes: Vec::new(),
            platform: Platform::host(),
            owner: "tests".to_owned(),
        };
        let layers = std::env::var("CORTEN_HOSTILE_LAYERS").ok().and_then(|text| text.parse().ok()).unwrap_or(LAYERS);
        let (mut taken, mut refused) = (0, 0);
        for seed in 0..layers {
            let layer = hostile::layer(seed, outside.path());
            let what = format!("the layer of seed {seed}");
            let loaded = host.load(docker_archive(&config(&[&layer]), &[&layer], &["hostile:1"])).await;
            let imported = import(&host.client, &request, Cursor::new(layer)).await;
            outside.assert_untouched(&what);
            for error in [
                loaded.err().map(|error| (error.kind(), chain(&error))),
                imported.err().map(|error| (error.kind(), chain(&error))),
            ] {
                match error {
                    None => taken += 1,
                    Some((kind, sentence)) => {
                        assert!(
                            matches!(kind, ErrorKind::InvalidArgument | ErrorKind::Unimplemented),
                            "{what}: {sentence}"
                        );
                        refused += 1;
                    }
                }
            }
        }
        hostile::assert_no_secret_in(&host.root.join("supervisor"), "a layer");
        assert!(taken > 5 && refused > 5, "{taken} were taken and {refused} refused: the generator tests nothing");
    });
}
