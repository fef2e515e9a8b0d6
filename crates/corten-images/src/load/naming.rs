//! What the images of an archive are called.

use corten_containerd_api::{ApiError, Descriptor, Image, Labels, Store};
use corten_types::Reference;

use crate::catalog::{dangling_name, name_image};
use crate::manifest::Pointer;

/// Who says what images of an archive are called.
#[derive(Debug, Clone)]
pub enum Naming {
    /// docker: the archive does. An image that it does not name is kept without a name, and so is one whose name another
    /// takes.
    Docker,
    /// A client of containerd: the archive does as far as these rules let it. Nothing refers any more to an image whose
    /// name another takes, and none to one that no rule names.
    Containerd(Rules),
}

/// Names as containerd's clients ask for them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What the archive's own index is called; it is not recorded without a name.
    pub index: String,
    /// Each names every image that it can.
    pub rules: Vec<Rule>,
    /// Labels of the index's record.
    pub labels: Labels,
    /// Labels of the records of images.
    pub labels_of_images: Labels,
}

/// How images are named by a prefix.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What stands before a tag that the archive tells alone.
    pub prefix: String,
    /// What happens to whole names.
    pub whole: Whole,
    /// When an image is also called by its digest.
    pub by_digest: ByDigest,
}

/// What happens to a whole name that the archive tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// It is taken.
    Taken,
    /// It is taken when it begins with the prefix, and does not count otherwise.
    OfPrefix,
}

/// When an image is called by prefix and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByDigest {
    /// Never.
    Never,
    /// When it has no other name.
    Nameless,
    /// Always.
    Always,
}

/// What the archive tells of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A whole name.
    Whole(String),
    /// What may be a tag alone (image-spec, "org.opencontainers.image.ref.name").
    Short(String),
}

impl Said {
    /// What an index tells of what it lists: containerd's annotation, or else the specification's.
    pub(super) fn by(pointer: &Pointer) -> Option<Self> {
        let whole = pointer.annotations.get("io.containerd.image.name").filter(|name| !name.is_empty());
        let short = pointer.annotations.get("org.opencontainers.image.ref.name").filter(|name| !name.is_empty());
        whole.cloned().map(Self::Whole).or_else(|| short.cloned().map(Self::Short))
    }

    /// As docker reads it: a bare word is a tag of a repository that is not named.
    fn reference(&self) -> Option<Reference> {
        let name = match self {
            Self::Whole(name) => name,
            Self::Short(name) => Some(name).filter(|name| name.contains(['/', ':']))?,
        };
        name.parse::<Reference>().ok().map(Reference::or_latest)
    }
}

impl Rule {
    fn name(&self, said: &Said) -> Option<String> {
        let (Said::Whole(name) | Said::Short(name)) = said;
        if self.prefix.is_empty() {
            return None;
        }
        if name.contains(['/', ':', '@']) {
            let is_taken = self.whole == Whole::Taken || self.is_prefix_of(name);
            return is_taken.then(|| name.clone());
        }
        match said {
            Said::Whole(_) => None,
            Said::Short(tag) => Some(format!("{}:{tag}", self.prefix)),
        }
    }

    fn is_prefix_of(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@']))
    }

    fn names(&self, said: &[Said], target: &Descriptor) -> Vec<String> {
        let mut names: Vec<String> = said.iter().filter_map(|said| self.name(said)).collect();
        let is_by_digest = match self.by_digest {
            ByDigest::Never => false,
            ByDigest::Nameless => names.is_empty(),
            ByDigest::Always => true,
        };
        if is_by_digest {
            names.push(format!("{}@{}", self.prefix, target.digest));
        }
        names
    }
}

impl Naming {
    /// The names of an image, each once.
    pub(super) fn names(&self, said: &[Said], target: &Descriptor) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Self::Docker => said.iter().filter_map(|said| Some(said.reference()?.to_string())).collect(),
            Self::Containerd(Rules { rules, .. }) => rules.iter().flat_map(|rule| rule.names(said, target)).collect(),
        };
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Records an image under its names.
    pub(super) async fn record<S: Store>(
        &self,
        store: &S,
        names: &[String],
        target: &Descriptor,
    ) -> Result<(), ApiError> {
        match self {
            Self::Docker => {
                for name in names {
                    name_image(store, name, target).await?;
                }
                if names.is_empty() { keep_nameless(store, target).await } else { Ok(()) }
            }
            Self::Containerd(Rules { labels_of_images, .. }) => {
                for name in names {
                    store.put_image(&Image::new(name.clone(), target.clone(), labels_of_images.clone())).await?;
                }
                Ok(())
            }
        }
    }
}

async fn keep_nameless<S: Store>(store: &S, target: &Descriptor) -> Result<(), ApiError> {
    let has_name = store.list_images().await?.iter().any(|record| record.target.digest == target.digest);
    if has_name {
        return Ok(());
    }
    store.put_image(&Image::new(dangling_name(&target.digest), target.clone(), Labels::new())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(whole: Whole, by_digest: ByDigest, said: &[Said]) -> Vec<String> {
        let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let target = Descriptor { media_type: String::new(), digest, size: 0, annotations: Labels::new() };
        let rule = Rule { prefix: "r.example/a".to_owned(), whole, by_digest };
        let naming = Naming::Containerd(Rules { rules: vec![rule], ..Rules::default() });
        naming.names(said, &target)
    }

    #[test]
    fn a_prefix_stands_before_tags_and_chooses_among_whole_names() {
        let said = [
            Said::Short("1".into()),
            Said::Whole("r.example/a/b:2".into()),
            Said::Whole("r.example/ab:3".into()),
            Said::Whole("docker.io/library/c:4".into()),
            Said::Short("r.example/a:5".into()),
            Said::Whole("word".into()),
        ];
        let own = ["r.example/a:1", "r.example/a/b:2", "r.example/a:5"];
        assert_eq!(names(Whole::OfPrefix, ByDigest::Never, &said), own);
        let all = ["r.example/a:1", "r.example/a/b:2", "r.example/ab:3", "docker.io/library/c:4", "r.example/a:5"];
        assert_eq!(names(Whole::Taken, ByDigest::Nameless, &said), all);
    }

    #[test]
    fn an_image_is_called_by_its_digest_when_it_is_to_be() {
        let by_digest = format!("r.example/a@sha256:{}", "0".repeat(64));
        assert_eq!(names(Whole::Taken, ByDigest::Never, &[]), Vec::<String>::new());
        assert_eq!(names(Whole::Taken, ByDigest::Nameless, &[]), std::slice::from_ref(&by_digest));
        let tag = [Said::Short("1".into())];
        assert_eq!(names(Whole::Taken, ByDigest::Nameless, &tag), ["r.example/a:1"]);
        assert_eq!(names(Whole::Taken, ByDigest::Always, &tag), ["r.example/a:1".to_owned(), by_digest]);
    }

    #[test]
    fn docker_takes_whole_names_alone() {
        let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let target = Descriptor { media_type: String::new(), digest, size: 0, annotations: Labels::new() };
        let said =
            [Said::Whole("a".into()), Said::Short("1".into()), Said::Short("b:2".into()), Said::Whole("A b".into())];
        assert_eq!(Naming::Docker.names(&said, &target), ["docker.io/library/a:latest", "docker.io/library/b:2"]);
    }
}
