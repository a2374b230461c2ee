//! Uploads and downloads. Between two parts a transfer occupies no thread, however slow its client is.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use kapelle_core::TenantId;
use kapelle_store::NewBlob;
use tokio::sync::mpsc;

use crate::{auth::party, body::Incoming, call::Call, held::Feed, problem::Problem, shares::Share, site::Site};

/// Bytes per part between disk and client.
const PART: usize = 32 * 1024;

/// Reserves one more transfer.
///
/// # Errors
/// When the key, its tenant, or the server has its maximum.
pub fn permit(call: &Call) -> Result<Share, Problem> {
    call.site.transfers.take(party(&call.who), 1).map_err(|full| full.problem("files and exports in progress", 5))
}

/// Stores a body as a file while it arrives. Returns its hash and length.
///
/// # Errors
/// When it is too large or too slow, the limit of transfers is reached, or the disk fails.
pub async fn take(call: &Call, body: Body) -> Result<(String, u64), Problem> {
    let _permit = permit(call)?;
    let site = &call.site;
    let mut incoming = Incoming::new(body, &site.limits, call.limit);
    let mut file = None;
    let mut part = BytesMut::new();
    while let Some(data) = incoming.next().await? {
        part.extend_from_slice(&data);
        if part.len() >= PART {
            file = Some(write(site, call.tenant(), file, part.split().freeze()).await?);
        }
    }
    let file = write(site, call.tenant(), file, part.freeze()).await?;
    Ok(site.files.run(call.tenant(), move || file.finish()).await??)
}

/// Writes a part. The file is created with its first one, so that a body that does not arrive keeps no file open.
async fn write(site: &Arc<Site>, tenant: TenantId, file: Option<NewBlob>, part: Bytes) -> Result<NewBlob, Problem> {
    let of = Arc::clone(site);
    let written = move || {
        let mut file = file.map_or_else(|| of.app.files().begin(), Ok)?;
        file.write(&part)?;
        Ok::<_, kapelle_store::StoreError>(file)
    };
    Ok(site.files.run(tenant, written).await??)
}

/// Returns a response with a range of a file, read while it is sent.
///
/// # Errors
/// When the limit of transfers is reached.
pub fn give(call: &Call, path: PathBuf, from: u64, length: u64, status: StatusCode) -> Result<Response, Problem> {
    let permit = permit(call)?;
    let (sender, receiver) = mpsc::channel(1);
    let (site, tenant) = (Arc::clone(&call.site), call.tenant());
    tokio::spawn(async move {
        // A client that leaves ends the transfer; a file that cannot be read ends the response short of its length.
        if let Err(error) = send(&site, tenant, (&path, from, length), &sender).await {
            tracing::warn!(%error, path = %path.display(), "a file could not be sent");
        }
    });
    let mut response = Response::new(Body::new(Feed::new(receiver, permit)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

async fn send(
    site: &Site,
    tenant: TenantId,
    (path, from, length): (&Path, u64, u64),
    sender: &mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let stopping = |error: kapelle_app::AppError| io::Error::other(error.to_string());
    let (path, mut file, mut left) = (path.to_owned(), None, length);
    while left > 0 {
        // Read when it can be sent, so that a slow client costs one part of memory.
        let Ok(place) = sender.reserve().await else { return Ok(()) };
        let (opened, path) = (file.take(), path.clone());
        let size = usize::try_from(left).unwrap_or(PART).min(PART);
        let read = move || {
            let mut file = match opened {
                Some(file) => file,
                None => open(&path, from)?,
            };
            let mut buffer = vec![0; size];
            file.read_exact(&mut buffer)?;
            Ok::<_, io::Error>((file, buffer))
        };
        let (opened, buffer) = site.files.run(tenant, read).await.map_err(stopping)??;
        file = Some(opened);
        left -= buffer.len() as u64;
        place.send(Bytes::from(buffer));
    }
    Ok(())
}

fn open(path: &Path, from: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    Ok(file)
}
