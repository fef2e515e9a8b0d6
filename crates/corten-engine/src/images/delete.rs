//! `DELETE /images/{name}`.

use corten_containerd_api::{ApiError, Collect, ContentStore, Image as ImageRecord, ImageStore, Labels};
use corten_docker_api::images::ImageDeleted;
use corten_images::catalog::{dangling_name, is_dangling};
use corten_images::{Listed, Platform};
use corten_types::Reference;

use super::{manifests, platform};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Whether containers that do not run keep an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// They do.
    No,
    /// They do not.
    Yes,
}

/// Takes the name `wanted` away; with the last one, the image. Called by id, all its names.
///
/// # Errors
/// 404 for an unknown image; 409 in docker's words when containers or other names keep it.
pub async fn delete(engine: &Engine, wanted: &str, force: Force) -> Result<Vec<ImageDeleted>> {
    engine.containerd.linked().await?;
    let found = engine.catalog.resolve(wanted).await?;
    let image = engine.catalog.with_all_names(&found).await?;
    let users = Users::of(engine, image.details.id().as_str());
    match named(&image, wanted) {
        Some(record) => by_name(engine, &image, record, wanted, force, &users).await,
        None => by_id(engine, &image, force, &users).await,
    }
}

/// Removes what `wanted` has for `platform`: of one for several, the manifest and what only it needs; else all of it.
///
/// # Errors
/// 404 in docker's words when it has nothing for that platform; 400 when it has more than that and is not forced, as
/// other images may have the same manifest; 409 while a container of it runs.
pub async fn delete_platform(
    engine: &Engine,
    wanted: &str,
    platform: &Platform,
    force: Force,
) -> Result<Vec<ImageDeleted>> {
    engine.containerd.linked().await?;
    let image = engine.catalog.resolve(wanted).await?;
    let details = platform::details(engine, &image, wanted, platform).await?;
    let mut are_several = false;
    for record in &image.records {
        let all = manifests::manifests(engine, record).await?;
        are_several |= all.iter().filter(|one| one.available && one.kind == "image").count() > 1;
    }
    if !are_several {
        return delete(engine, wanted, force).await;
    }
    if force == Force::No {
        return Err(EngineError::invalid(
            "Content will be removed from all images referencing this variant. Use --force to force delete.",
        ));
    }
    let digest = &details.manifest.digest;
    if let Some(user) = Users::of(engine, details.id().as_str()).running {
        let (id, user) = (short(digest.hex()), short(&user));
        let text = format!(
            "conflict: unable to delete {id} (cannot be forced) - image is being used by running container {user}"
        );
        return Err(EngineError::conflict(text));
    }
    let failed = |error: ApiError| {
        EngineError::new(error.kind(), format!("remove manifest {digest} of image {wanted}")).caused_by(error)
    };
    let store = engine.catalog.store();
    store.delete_content(digest).await.map_err(failed)?;
    engine.catalog.forget(image.records.iter().map(|record| &record.target.digest));
    // The end of a lease collects what only the manifest referred to.
    let lease = corten_images::lease::hold(store, "rmi", &engine.id).await.map_err(failed)?;
    lease.release(Collect::Now).await;
    Ok(vec![ImageDeleted { deleted: digest.to_string(), ..ImageDeleted::default() }])
}

/// The record that `wanted` names; `None` when it is an id.
fn named<'a>(image: &'a Listed, wanted: &str) -> Option<&'a ImageRecord> {
    let reference: Reference = wanted.parse().ok()?;
    let named = image.records.iter().filter(|record| !is_dangling(&record.name));
    match reference.digest() {
        Some(digest) => named
            .filter(|record| record.target.digest == *digest)
            .find(|record| record.name.parse::<Reference>().is_ok_and(|own| own.name() == reference.name())),
        None => {
            let name = reference.or_latest().to_string();
            { named }.find(|record| record.name == name)
        }
    }
}

async fn by_name(
    engine: &Engine,
    image: &Listed,
    record: &ImageRecord,
    wanted: &str,
    force: Force,
    users: &Users,
) -> Result<Vec<ImageDeleted>> {
    let is_last = !image.records.iter().any(|other| other.name != record.name && !is_dangling(&other.name));
    let user = users.running.as_ref().or(users.stopped.as_ref());
    if let (true, Force::No, Some(user)) = (is_last, force, user) {
        return Err(EngineError::conflict(format!(
            "conflict: unable to remove repository reference {wanted:?} (must force) - container {} is using its referenced image {}",
            short(user),
            short(image.details.id().hex())
        )));
    }
    let keeps = is_last && users.running.is_some();
    if keeps {
        // Forced: the name goes, and the image stays without one as long as a container runs.
        let nameless = ImageRecord::new(dangling_name(&record.target.digest), record.target.clone(), Labels::new());
        engine.catalog.store().put_image(&nameless).await.map_err(|error| {
            EngineError::new(error.kind(), format!("keep image {wanted} without a name")).caused_by(error)
        })?;
    }
    let mut deleted = vec![untag(engine, image, record).await?];
    if is_last && !keeps {
        deleted.extend(forget(engine, image).await?);
    }
    Ok(deleted)
}

async fn by_id(engine: &Engine, image: &Listed, force: Force, users: &Users) -> Result<Vec<ImageDeleted>> {
    let conflict = |how: &str, why: String| {
        let id = short(image.details.id().hex());
        Err(EngineError::conflict(format!("conflict: unable to delete {id} ({how}) - {why}")))
    };
    let mut repositories: Vec<String> = image.references().map(|reference| reference.name()).collect();
    repositories.sort();
    repositories.dedup();
    if repositories.len() > 1 && force == Force::No {
        return conflict("must be forced", "image is referenced in multiple repositories".to_owned());
    }
    if let Some(user) = &users.running {
        return conflict("cannot be forced", format!("image is being used by running container {}", short(user)));
    }
    if let (Some(user), Force::No) = (&users.stopped, force) {
        return conflict("must be forced", format!("image is being used by stopped container {}", short(user)));
    }
    let mut deleted = Vec::new();
    for record in image.records.iter().filter(|record| !is_dangling(&record.name)) {
        deleted.push(untag(engine, image, record).await?);
    }
    deleted.extend(forget(engine, image).await?);
    Ok(deleted)
}

async fn untag(engine: &Engine, image: &Listed, record: &ImageRecord) -> Result<ImageDeleted> {
    engine.catalog.delete(&record.name).await?;
    let name = record.name.parse::<Reference>().map_or_else(|_| record.name.clone(), |name| name.familiar());
    super::announce(engine, "untag", image.details.id().as_str(), &name);
    Ok(ImageDeleted { untagged: name, ..ImageDeleted::default() })
}

/// Removes what keeps an image without a name, and says that it is gone.
async fn forget(engine: &Engine, image: &Listed) -> Result<Option<ImageDeleted>> {
    for record in image.records.iter().filter(|record| is_dangling(&record.name)) {
        engine.catalog.delete(&record.name).await?;
    }
    let id = image.details.id().to_string();
    super::announce(engine, "delete", &id, &id);
    Ok(Some(ImageDeleted { deleted: id, ..ImageDeleted::default() }))
}

/// Containers made of an image: one that runs, one that does not.
pub(super) struct Users {
    pub(super) running: Option<String>,
    pub(super) stopped: Option<String>,
}

impl Users {
    pub(super) fn of(engine: &Engine, image_id: &str) -> Self {
        let mut users = Self { running: None, stopped: None };
        for container in engine.containers.all() {
            let view = container.view();
            if view.record.image_id != image_id || view.state.removing {
                continue;
            }
            let slot = if view.state.running { &mut users.running } else { &mut users.stopped };
            slot.get_or_insert_with(|| container.id.clone());
        }
        users
    }
}

/// The beginning of an id, as people see it.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
