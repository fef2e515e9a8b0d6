//! `ctr images`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::time::SystemTime;

use corten_containerd_api::{Collect, ContentStore, Descriptor, Image, ImageStore, Snapshotter, rfc3339};
use corten_images::load::{ByDigest, Naming, Rule, Rules, Whole};
use corten_images::manifest::{choose, is_attestation, read_config, read_index, read_manifest};
use corten_images::media_type::{is_index, is_manifest};
use corten_images::unpack::chain_ids;
use corten_images::{LoadRequest, Platform, load};
use corten_proto::containerd::services::images::v1 as wire;

use crate::session::{Failure, Outcome, Session, api, labels, log_error, sentence, show_labels, warn};
use crate::table;

async fn filtered(session: &Session) -> Result<Vec<Image>, Failure> {
    let request = wire::ListImagesRequest { filters: session.words() };
    let answer = session.client.images().list(request).await.map_err(api)?.into_inner();
    let named: BTreeSet<String> = answer.images.into_iter().map(|image| image.name).collect();
    let all = session.client.list_images().await.map_err(api)?;
    Ok(all.into_iter().filter(|image| named.contains(&image.name)).collect())
}

/// Lists images.
pub async fn list(session: &Session) -> Outcome {
    let images = filtered(session).await?;
    if session.is_set("quiet") {
        images.iter().for_each(|image| println!("{}", image.name));
        return Ok(());
    }
    let mut lines = String::from("REF\tTYPE\tDIGEST\tSIZE\tPLATFORMS\tLABELS\t\n");
    for image in images {
        let size = match size_of(session, &image.target).await {
            Ok(size) => size,
            Err(error) => {
                log_error(format!("failed calculating size for image {}", image.name), &error);
                0
            }
        };
        let platforms = match platforms_of(session, &image.target).await {
            Ok(platforms) if !platforms.is_empty() => platforms.into_iter().collect::<Vec<_>>().join(","),
            Ok(_) => "-".to_owned(),
            Err(error) => {
                log_error(format!("failed resolving platform for image {}", image.name), &error);
                "-".to_owned()
            }
        };
        let labels = if image.labels.is_empty() { "-".to_owned() } else { show_labels(&image.labels) };
        lines.push_str(&format!(
            "{}\t{}\t{}\t{}\t{platforms}\t{labels}\t\n",
            image.name,
            image.target.media_type,
            image.target.digest,
            table::bytes(size)
        ));
    }
    table::print(&lines, table::TIGHT);
    Ok(())
}

/// What an image takes as blobs: what its name stands for, the manifest for this machine, and what that points to.
async fn size_of(session: &Session, target: &Descriptor) -> Result<u64, Failure> {
    let (descriptor, manifest) = choose(&session.client, target, &Platform::host()).await?;
    let above = if descriptor.digest == target.digest { 0 } else { target.size };
    let layers: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
    Ok(above + descriptor.size + manifest.config.size + layers)
}

/// Every platform an image is for, as far as its manifests are there.
async fn platforms_of(session: &Session, target: &Descriptor) -> Result<BTreeSet<String>, Failure> {
    let mut platforms = BTreeSet::new();
    if is_manifest(&target.media_type) {
        let manifest = read_manifest(&session.client, target).await?;
        platforms.insert(read_config(&session.client, &manifest).await?.0.platform().to_string());
    } else if is_index(&target.media_type) {
        for pointer in read_index(&session.client, target).await?.manifests {
            if is_attestation(&pointer) {
                continue;
            }
            match &pointer.platform {
                Some(platform) => {
                    platforms.insert(Platform::from(platform).to_string());
                }
                None => {
                    let manifest = read_manifest(&session.client, &pointer.into()).await?;
                    platforms.insert(read_config(&session.client, &manifest).await?.0.platform().to_string());
                }
            }
        }
    }
    Ok(platforms)
}

/// Tells of each image whether all of it is there and unpacked.
pub async fn check(session: &Session) -> Outcome {
    let mut lines = String::from("REF\tTYPE\tDIGEST\tSTATUS\tSIZE\tUNPACKED\t\n");
    for image in filtered(session).await? {
        let (_, manifest) = choose(&session.client, &image.target, &Platform::host()).await?;
        let mut parts: Vec<Descriptor> = manifest.layers.iter().cloned().map(Descriptor::from).collect();
        parts.push(manifest.config.clone().into());
        let (mut present, mut required, mut there) = (0, 0, 0);
        for part in &parts {
            required += part.size;
            match session.client.content_info(&part.digest).await {
                Ok(_) => {
                    present += part.size;
                    there += 1;
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(api(error)),
            }
        }
        let complete = there == parts.len();
        let state = if complete { "complete" } else { "incomplete" };
        let size = format!("{}/{}", table::bytes(present), table::bytes(required));
        let unpacked = match read_config(&session.client, &manifest).await {
            Ok((config, _)) => match chain_ids(&config.rootfs.diff_ids).last() {
                Some(top) => session.client.with_snapshotter(&session.snapshotter()).stat(top.as_str()).await.is_ok(),
                None => true,
            },
            Err(_) => false,
        };
        if session.is_set("quiet") {
            if complete && unpacked {
                println!("{}", image.name);
            }
            continue;
        }
        lines.push_str(&format!(
            "{}\t{}\t{}\t{state} ({there}/{})\t{size}\t{unpacked}\n",
            image.name,
            image.target.media_type,
            image.target.digest,
            parts.len()
        ));
    }
    if !session.is_set("quiet") {
        table::print(&lines, table::TIGHT);
    }
    Ok(())
}

/// Loads an archive of images from a file or from standard input.
pub async fn import(session: &Session) -> Outcome {
    let path = session.first("an archive must be named, or - for standard input")?;
    let archive: Box<dyn Read + Send> = match path.as_str() {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(File::open(path).map_err(|error| sentence(format!("open {path}: {error}")))?),
    };
    let platform = match session.given("platform") {
        Some(platform) => platform.parse()?,
        None => Platform::host(),
    };
    let today: String = rfc3339(SystemTime::now()).chars().take(10).collect();
    let rule = Rule { prefix: format!("import-{today}"), whole: Whole::Taken, by_digest: ByDigest::Never };
    let naming = Naming::Containerd(Rules { rules: vec![rule], ..Rules::default() });
    let request = LoadRequest { naming, ..LoadRequest::new(platform, "ctr") };
    let store = session.client.with_snapshotter(&session.snapshotter());
    for image in load(&store, &request, archive).await? {
        for name in &image.names {
            println!("unpacking {name} ({})...done", image.target.digest);
        }
        if image.names.is_empty() {
            println!("unpacking {}...done", image.target.digest);
        }
    }
    Ok(())
}

/// Removes names; with `--sync` what only the last of them kept is gone when this returns.
pub async fn delete(session: &Session) -> Outcome {
    let names = session.words();
    let mut failure = None;
    for (index, name) in names.iter().enumerate() {
        let last = session.is_set("sync") && index + 1 == names.len();
        let collect = if last { Collect::Now } else { Collect::Later };
        match session.client.delete_image(name, collect).await {
            Ok(()) => println!("{name}"),
            Err(error) if error.is_not_found() => warn(format!("{name}: image not found")),
            Err(error) => {
                let error = api(error);
                log_error(format!("unable to delete {name}"), &error);
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Gives an image more names.
pub async fn tag(session: &Session) -> Outcome {
    let words = session.words();
    let source = session.first("please provide an image reference to tag from")?;
    if words.len() < 2 {
        return Err(sentence("please provide an image reference to tag to"));
    }
    let image = session.client.get_image(&source).await.map_err(api)?;
    for name in &words[1..] {
        let record = Image { name: name.clone(), ..image.clone() };
        match session.client.create_image(&record).await {
            Err(error) if error.is_already_exists() && session.is_set("force") => {
                session.client.update_image(&record).await.map_err(api)?;
            }
            result => result.map_err(api)?,
        }
        println!("{name}");
    }
    Ok(())
}

/// Sets and clears labels.
pub async fn label(session: &Session) -> Outcome {
    let name = session.first("please specify an image")?;
    let labels = labels(&session.words()[1..]);
    let paths = match session.is_set("replace-all") {
        true => vec!["labels".to_owned()],
        false => labels.keys().map(|key| format!("labels.{key}")).collect(),
    };
    let request = wire::UpdateImageRequest {
        image: Some(wire::Image { name, labels: labels.into_iter().collect(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    };
    let updated = session.client.images().update(request).await.map_err(api)?.into_inner().image.unwrap_or_default();
    println!("{}", show_labels(&updated.labels));
    Ok(())
}
