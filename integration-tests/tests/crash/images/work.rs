//! What is done to images, as requests to the Engine API, and how its effect is told.

use std::io;

use integration_tests::registry::TestRegistry;
use integration_tests::{
    Answer, DEADLINE, EngineApi, ImageFiles, Stack, busybox, digest, docker_archive, random_id, wait_for,
};
use serde_json::{Value, json};

use crate::operation::expect;
use crate::reality::run_image;

/// What is going on when the victim dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Pull,
    Push,
    Load,
    Save,
    Import,
    Prune,
    Rmi,
}

/// Bytes of noise in the layer, so that the work takes a while.
const NOISE_BYTES: usize = 8 << 20;
/// Images without a name, for [`Work::Prune`].
const NAMELESS: usize = 4;

/// Where it is done: a registry, and an image of which nothing is there between rounds.
pub struct Site {
    work: Work,
    registry: TestRegistry,
    image: ImageFiles,
    /// The image's name on the daemon.
    name: String,
    archive: Vec<u8>,
    /// The answer when nobody died.
    answer: Option<Answer>,
}

impl Site {
    pub fn new(stack: &Stack, work: Work) -> Site {
        let registry = TestRegistry::start();
        let layer = busybox::layer_with(&[("noise", &noise(NOISE_BYTES))]);
        let image = ImageFiles::new(layer, &["true"]);
        let mut name = format!("crash-{}", random_id(12));
        if work == Work::Pull {
            let _ = registry.put_image("crash", "1", &image);
            name = format!("{}/crash:1", registry.host());
        }
        let archive = docker_archive(&image, &[&format!("{name}:latest")]);
        let site = Site { work, registry, image, name, archive, answer: None };
        // What the first container of all makes is no remainder.
        run_image(&stack.api(), "busybox").expect("busybox runs");
        site
    }

    /// The name it is pushed under.
    fn pushed(&self) -> String {
        format!("{}/crash", self.registry.host())
    }

    /// Brings about what the work needs.
    pub fn prepare(&mut self, api: &EngineApi) {
        match self.work {
            Work::Pull | Work::Load | Work::Import => {}
            Work::Save | Work::Rmi => self.load(api),
            Work::Push => {
                // One that has nothing yet.
                self.registry = TestRegistry::start();
                self.load(api);
                let path = format!("/images/{}/tag?repo={}&tag=1", self.name, self.pushed());
                let _ = expect("tag", api.post(&path, &Value::Null));
            }
            Work::Prune => {
                for number in 0..NAMELESS {
                    let layer = busybox::layer_with(&[("number", number.to_string().as_bytes())]);
                    let path = "/images/create?fromSrc=-";
                    let _ = expect("import", api.send("POST", path, "application/x-tar", &layer));
                }
            }
        }
    }

    fn load(&self, api: &EngineApi) {
        let _ = expect("load", api.send("POST", "/images/load", "application/x-tar", &self.archive));
    }

    /// Does it; the error is the connection's: nobody knows then whether it was done.
    pub fn perform(&self, api: &EngineApi) -> io::Result<Answer> {
        let name = &self.name;
        match self.work {
            Work::Pull => {
                let path = format!("/images/create?fromImage={}/crash&tag=1", self.registry.host());
                api.post(&path, &Value::Null)
            }
            Work::Push => api.post(&format!("/images/{}/push?tag=1", self.pushed()), &Value::Null),
            Work::Load => api.send("POST", "/images/load", "application/x-tar", &self.archive),
            Work::Save => api.get(&format!("/images/{name}/get")),
            Work::Import => {
                let path = format!("/images/create?fromSrc=-&repo={name}&changes=CMD%20%5B%22true%22%5D");
                api.send("POST", &path, "application/x-tar", &self.image.layer)
            }
            Work::Prune => api.post("/images/prune", &Value::Null),
            Work::Rmi => api.delete(&format!("/images/{name}?force=1")),
        }
    }

    /// Whether the answer says that it was done.
    pub fn is_done(&self, answer: &Answer) -> bool {
        answer.is_ok() && (self.work == Work::Save || !answer.text().contains("errorDetail"))
    }

    /// Whether the answer says that nothing is left to do.
    pub fn was_done(&self, answer: &Answer) -> bool {
        self.work == Work::Rmi && answer.status == 404
    }

    pub fn remember(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// A saved archive is the same every time.
    pub fn assert_same_answer(&self, answer: &Answer, context: &str) {
        if self.work == Work::Save {
            let is_same = self.answer.as_ref().is_some_and(|first| first.body == answer.body);
            assert!(is_same, "the archive is another than before, {} bytes ({context})", answer.body.len());
        }
    }

    /// Its effect is there.
    #[track_caller]
    pub fn assert_done(&self, api: &EngineApi, context: &str) {
        let fault = match self.work {
            Work::Pull | Work::Load | Work::Import => run_image(api, &self.name).err(),
            Work::Push => self.pushed_fault(),
            Work::Save => (!is_listed(api, &self.name)).then(|| "the saved image is gone".to_owned()),
            Work::Prune => self.nameless(api).or_else(|| run_image(api, "busybox").err()),
            Work::Rmi => is_listed(api, &self.name).then(|| "the removed image is there".to_owned()),
        };
        assert!(fault.is_none(), "{} ({context})", fault.unwrap_or_default());
    }

    /// What is there though nobody was told is whole.
    #[track_caller]
    pub fn assert_whole_or_absent(&self, api: &EngineApi, context: &str) {
        let fault = match self.work {
            Work::Pull | Work::Load | Work::Import | Work::Rmi if is_listed(api, &self.name) => {
                run_image(api, &self.name).err()
            }
            Work::Push if !self.registry.tags("crash").is_empty() => self.pushed_fault(),
            Work::Save => run_image(api, &self.name).err(),
            _ => None,
        };
        assert!(fault.is_none(), "{} ({context})", fault.unwrap_or_default());
    }

    /// What the registry lacks of what was pushed.
    fn pushed_fault(&self) -> Option<String> {
        let Some(manifest) = self.registry.manifest("crash", "1") else { return Some("no tag was pushed".to_owned()) };
        let manifest: Value = serde_json::from_slice(&manifest.data).expect("a manifest is JSON");
        let layers = manifest["layers"].as_array().expect("a manifest has layers").iter();
        let wanted: Vec<&str> =
            layers.chain([&manifest["config"]]).filter_map(|blob| blob["digest"].as_str()).collect();
        let is_there = |wanted: &str| self.registry.blob(wanted).is_some_and(|blob| digest(&blob) == wanted);
        let lacks: Vec<&&str> = wanted.iter().filter(|wanted| !is_there(wanted)).collect();
        (wanted.len() < 2 || !lacks.is_empty()).then(|| format!("pushed {manifest} without {lacks:?}"))
    }

    fn nameless(&self, api: &EngineApi) -> Option<String> {
        let path = "/images/json?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D";
        let listed = expect("list", api.get(path)).json();
        (listed != json!([])).then(|| format!("pruned images are listed: {listed}"))
    }

    /// Removes its images: the one an import was repeated over has lost its name.
    pub fn remove(&self, api: &EngineApi) {
        wait_for("images without a name to be pruned", DEADLINE, || {
            self.work != Work::Import || api.post("/images/prune", &Value::Null).is_ok_and(|answer| answer.is_ok())
        });
        for name in [self.name.clone(), format!("{}:1", self.pushed())] {
            wait_for(&format!("{name} to be removed"), DEADLINE, || {
                let answer = api.delete(&format!("/images/{name}?force=1"));
                answer.is_ok_and(|answer| answer.is_ok() || answer.status == 404)
            });
        }
    }
}

fn is_listed(api: &EngineApi, name: &str) -> bool {
    let path = format!("/images/{name}/json");
    let mut status = 0;
    wait_for("the engine to say whether the image is there", DEADLINE, || {
        status = api.get(&path).map_or(0, |answer| answer.status);
        [200, 404].contains(&status)
    });
    status == 200
}

/// Bytes that stay as many when they are compressed.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 16).to_le_bytes()
    };
    (0..bytes / 8).flat_map(|_| next()).collect()
}
