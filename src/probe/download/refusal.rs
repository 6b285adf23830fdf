//! Why a server does not give a file: its status, and what an object store's XML or the page says.
//!
//! Reads the beginning of the answer only.

use std::time::Duration;

use url::Url;

use super::signed::xml_error;
use crate::base::bounded::printable;
use crate::model::outcome::Failure;
use crate::probe::api::caller::Live;
use crate::probe::http::document::excerpt;
use crate::probe::http::judge::status_reason;

/// Which request was refused.
#[derive(Debug, Clone, Copy)]
pub enum Refused {
    /// One for the whole file.
    Whole,
    /// One for a range of it.
    Range,
}

impl Refused {
    /// The statuses that would have been fine.
    const fn expected(self) -> &'static str {
        match self {
            Self::Whole => "200",
            Self::Range => "206 or 200",
        }
    }
}

/// The failure that an answer means which does not bring the file.
pub(super) async fn refused(live: &mut Live, asked: Refused) -> Failure {
    let status = live.reply.head.status.as_u16();
    let mut body = Vec::new();
    live.connection.allow(MAX_ERROR);
    let reading = async {
        while let Ok(Some(piece)) = live.connection.piece(&mut live.reply, body.len() as u64).await {
            body.extend_from_slice(&piece);
            if body.len() as u64 >= MAX_ERROR {
                break;
            }
        }
    };
    // What there is by then is enough to say why.
    let _ = tokio::time::timeout(ERROR_PATIENCE, reading).await;
    let words = match xml_error(&body) {
        Some((code, message)) if message.is_empty() => format!(": {code}"),
        Some((code, message)) => format!(": {code}: {message}"),
        None if body.trim_ascii().is_empty() => String::new(),
        None => format!(": `{}`", excerpt(body.trim_ascii_start(), 80)),
    };
    let detail = format!("expected status {} from {}, got {status}{words}", asked.expected(), place(&live.url));
    Failure::new(status_reason(status), detail)
}

/// Shown for an address without its query, which may hold a signature.
fn place(url: &Url) -> String {
    printable(&url[..url::Position::AfterPath], 200)
}

const MAX_ERROR: u64 = 16 * 1024;
const ERROR_PATIENCE: Duration = Duration::from_secs(5);
