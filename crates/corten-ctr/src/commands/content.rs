//! `ctr content`.

use std::io::{Read, Write};
use std::time::SystemTime;

use bytes::Bytes;
use corten_containerd_api::{ContentStore, ContentWriter, Ingest, Labels, parse_timestamp};
use corten_proto::containerd::services::content::v1 as wire;
use corten_terminal::units::{human_duration, human_size};
use corten_types::Digest;

use crate::session::{Failure, Outcome, Session, api, label_mask, labels, log_error, sentence, show_labels};
use crate::table::align_with_tabs;

/// What is read from or written to a blob at once.
const CHUNK: usize = 1 << 20;

fn age(time: SystemTime) -> String {
    human_duration(i64::try_from(time.elapsed().unwrap_or_default().as_secs()).unwrap_or(i64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "four digits are printed")]
fn size(bytes: i64) -> String {
    human_size(bytes as f64)
}

fn parse(digest: &str) -> Result<Digest, Failure> {
    digest.parse::<Digest>().map_err(Failure::from)
}

/// Lists blobs.
pub async fn list(session: &Session) -> Outcome {
    let request = wire::ListContentRequest { filters: session.words() };
    let mut answers = session.client.content().list(request).await.map_err(api)?.into_inner();
    let mut lines = String::from("DIGEST\tSIZE\tAGE\tLABELS\n");
    while let Some(answer) = answers.message().await.map_err(api)? {
        for info in answer.info {
            if session.is_set("quiet") {
                println!("{}", info.digest);
                continue;
            }
            let labels = if info.labels.is_empty() { "-".to_owned() } else { show_labels(&info.labels) };
            let created = age(parse_timestamp(info.created_at.as_ref()));
            lines.push_str(&format!("{}\t{}\t{created}\t{labels}\n", info.digest, size(info.size)));
        }
    }
    if !session.is_set("quiet") {
        print!("{}", align_with_tabs(&lines));
    }
    Ok(())
}

/// Lists what is being written.
pub async fn active(session: &Session) -> Outcome {
    let filters = session.words().into_iter().take(1).collect();
    let request = wire::ListStatusesRequest { filters };
    let statuses = session.client.content().list_statuses(request).await.map_err(api)?.into_inner().statuses;
    let mut lines = String::from("REF\tSIZE\tAGE\t\n");
    for status in statuses {
        let started = age(parse_timestamp(status.started_at.as_ref()));
        lines.push_str(&format!("{}\t{}\t{started}\t\n", status.r#ref, size(status.offset)));
    }
    print!("{}", align_with_tabs(&lines));
    Ok(())
}

/// Writes a blob to standard output.
pub async fn get(session: &Session) -> Outcome {
    let digest = parse(&session.words().into_iter().next().unwrap_or_default())?;
    let total = session.client.content_info(&digest).await.map_err(api)?.size;
    copy_out(session, &digest, total).await
}

/// Writes `total` bytes of a blob to standard output, a chunk at a time.
pub async fn copy_out(session: &Session, digest: &Digest, total: u64) -> Outcome {
    let mut out = std::io::stdout().lock();
    let mut offset = 0;
    while offset < total {
        let data = session.client.read_content(digest, offset, CHUNK).await.map_err(api)?;
        if data.is_empty() {
            return Err(sentence(format!("content {digest} ends after {offset} of {total} bytes")));
        }
        out.write_all(&data)?;
        offset += data.len() as u64;
    }
    Ok(out.flush()?)
}

/// Makes a blob of standard input.
pub async fn ingest(session: &Session) -> Outcome {
    let reference = session.first("must specify a transaction reference")?;
    let expected = session.given("expected-digest").map(parse).transpose()?;
    let size = session.number::<u64>("expected-size")?;
    let size = (size > 0).then_some(size);
    let opened = session.client.ingest(&reference, expected.as_ref(), size).await.map_err(api)?;
    let Ingest::Open(mut writer) = opened else { return Ok(()) };
    let mut input = std::io::stdin().lock();
    let mut skip = writer.offset();
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        input.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            break;
        }
        // What an older attempt wrote is not sent again.
        let known = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
        skip -= known as u64;
        writer.append(Bytes::from(chunk).slice(known..)).await.map_err(api)?;
    }
    writer.commit(size, expected.as_ref(), &Labels::new()).await.map_err(api)?;
    Ok(())
}

/// Removes blobs.
pub async fn delete(session: &Session) -> Outcome {
    let mut failure = None;
    for word in session.words() {
        let deleted = match parse(&word) {
            Ok(digest) => match session.client.delete_content(&digest).await {
                Ok(()) => Ok(true),
                Err(error) if error.is_not_found() => Ok(false),
                Err(error) => Err(api(error)),
            },
            Err(error) => Err(error),
        };
        match deleted {
            Ok(true) => println!("{word}"),
            Ok(false) => {}
            Err(error) => {
                log_error(format!("could not delete {word}"), &error);
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Sets and clears labels; without any, shows them.
pub async fn label(session: &Session) -> Outcome {
    let words = session.words();
    let digest = parse(words.first().map_or("", String::as_str))?;
    let labels = labels(&words[1..]);
    let info = if labels.is_empty() {
        let request = wire::InfoRequest { digest: digest.to_string() };
        session.client.content().info(request).await.map_err(api)?.into_inner().info
    } else {
        let request = wire::UpdateRequest {
            update_mask: Some(label_mask(&labels)),
            info: Some(wire::Info {
                digest: digest.to_string(),
                labels: labels.into_iter().collect(),
                ..wire::Info::default()
            }),
        };
        session.client.content().update(request).await.map_err(api)?.into_inner().info
    };
    println!("{}", show_labels(&info.unwrap_or_default().labels));
    Ok(())
}
