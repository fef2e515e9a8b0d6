//! The lines of a pull's layers, in docker's order: of an image that is up to date none, of a layer that is here one.

use std::collections::HashSet;

use corten_proto::containerd::types::transfer::Progress;

use super::lines::Lines;
use super::phrases;

/// What was told of the layers so far.
#[derive(Debug, Default)]
pub struct Layers {
    /// Lines held back until a layer is fetched: perhaps none is.
    held: Vec<corten_docker_api::images::Progress>,
    here: HashSet<String>,
    has_fetched: bool,
}

impl Layers {
    /// Whether any layer was fetched.
    pub fn has_fetched(&self) -> bool {
        self.has_fetched
    }

    /// Takes what a transfer tells, and shows what docker would.
    pub fn take(&mut self, progress: &Progress, lines: &Lines) {
        let Some(line) = phrases::pulled(progress) else { return };
        match progress.event.as_str() {
            "already exists" => {
                self.held.retain(|held| held.id != line.id);
                self.here.insert(line.id.clone());
            }
            "downloading" | "complete" => self.has_fetched = true,
            // Unpacking what is here already is nothing that came.
            "extracting" | "extracted" if self.here.contains(&line.id) => return,
            _ => {}
        }
        self.held.push(line);
        if self.has_fetched {
            self.held.drain(..).for_each(|line| lines.show(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_proto::containerd::types::Descriptor;

    fn told(event: &str, layer: &str) -> Progress {
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
        let desc = Descriptor { media_type, digest: format!("sha256:{layer}"), ..Descriptor::default() };
        Progress { event: event.into(), total: 9, desc: Some(desc), ..Progress::default() }
    }

    fn shown(events: &[(&str, &str)]) -> Vec<String> {
        let (lines, mut layers) = (Lines::default(), Layers::default());
        events.iter().for_each(|(event, layer)| layers.take(&told(event, layer), &lines));
        lines.after(0).1.into_iter().map(|line| format!("{}: {}", line.id, line.status)).collect()
    }

    #[test]
    fn layers_that_are_here_have_one_line_beside_one_that_comes_and_none_alone() {
        let here = [("waiting", "a"), ("already exists", "a"), ("extracting", "a"), ("extracted", "a")];
        assert_eq!(shown(&here), Vec::<String>::new());
        let mixed = [
            ("waiting", "a"),
            ("waiting", "b"),
            ("already exists", "a"),
            ("downloading", "b"),
            ("complete", "b"),
            ("extracted", "a"),
            ("extracted", "b"),
        ];
        let expected =
            ["b: Pulling fs layer", "a: Already exists", "b: Downloading", "b: Download complete", "b: Pull complete"];
        assert_eq!(shown(&mixed), expected);
    }
}
