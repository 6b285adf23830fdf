//! Signed links: a file's name, until when it may be fetched, and a signature over both.
//!
//! What is wrong with a file is part of its name, in digits that say nothing to the client: as if each video were stored
//! under a name of its own, well or badly. So nothing has to be remembered. The signature imitates those of object
//! stores; it protects nothing.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::content::{Content, hex};
use crate::base::clock::Timestamp;
use crate::base::hash::spread_64;
use crate::demo::fault::Fault;

/// What is wrong with one file and its transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Treatment {
    pub(super) slow: bool,
    defect: Option<Fault>,
}

/// Why a link is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    /// It is not signed, or not in a way that can be read.
    Unsigned,
    /// It was good until then.
    Expired(Timestamp),
    /// It was not signed by us, or changed since.
    Mismatch,
    /// It is signed, and names nothing.
    Missing,
}

impl Treatment {
    /// What these faults do to a file.
    pub(super) fn of(struck: &[Fault]) -> Self {
        let slow = struck.contains(&Fault::SlowDrip);
        Self { slow, defect: struck.iter().copied().find(|fault| DEFECTS.contains(fault)) }
    }

    pub(super) fn content(self) -> Content {
        match self.defect {
            Some(Fault::NotPlayable | Fault::LibraryUnplayable) => Content::Unindexed,
            Some(Fault::CutFile) => Content::Cut,
            Some(Fault::AudioOnly) => Content::Audio,
            Some(Fault::BlackVideo) => Content::Black,
            Some(Fault::HtmlFile) => Content::Page,
            Some(Fault::EmptyFile) => Content::Nothing,
            _ => Content::Clip,
        }
    }

    /// True when the connection breaks in the middle.
    pub(super) fn breaks(self) -> bool {
        self.defect == Some(Fault::BrokenTransfer)
    }

    /// True when parts can be asked for.
    pub(super) fn has_ranges(self) -> bool {
        self.defect != Some(Fault::NoRanges)
    }

    /// Eight digits by which a file of this treatment is known.
    fn tag(self, id: &str) -> String {
        let defect = self.defect.map_or("", |fault| fault.row().name);
        let mark = spread_64(&[id, defect, if self.slow { "slow" } else { "" }]);
        format!("{:08x}", mark >> 32)
    }

    fn find(id: &str, tag: &str) -> Option<Self> {
        let defects = std::iter::once(None).chain(DEFECTS.into_iter().map(Some));
        let mut all = defects.flat_map(|defect| [false, true].map(|slow| Self { slow, defect }));
        all.find(|treatment| treatment.tag(id) == tag)
    }
}

/// The path and query of a link to a video that these faults have hit, given out at `now`.
pub(super) fn sign(id: &str, struck: &[Fault], now: Timestamp) -> String {
    let expires = if struck.contains(&Fault::LinkExpired) {
        now.as_second() - 60
    } else {
        // Whole seconds; a duration of minutes fits.
        now.as_second() + i64::try_from(LIFE.as_secs()).unwrap_or(0)
    };
    let name = format!("{id}-{}.mp4", Treatment::of(struck).tag(id));
    let signature = signature(&name, expires);
    format!("/files/{name}?expires={expires}&signature={signature}")
}

/// What a link leads to.
pub(super) fn verify(name: &str, query: &str, now: Timestamp) -> Result<Treatment, Denial> {
    let field = |wanted: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned())
    };
    let expires = field("expires").and_then(|text| text.parse().ok()).ok_or(Denial::Unsigned)?;
    let until = Timestamp::from_second(expires).map_err(|_| Denial::Unsigned)?;
    if field("signature").ok_or(Denial::Unsigned)? != signature(name, expires) {
        return Err(Denial::Mismatch);
    }
    if now >= until {
        return Err(Denial::Expired(until));
    }
    let found = name.strip_suffix(".mp4").and_then(|stem| stem.rsplit_once('-'));
    found.and_then(|(id, tag)| Treatment::find(id, tag)).ok_or(Denial::Missing)
}

fn signature(name: &str, expires: i64) -> String {
    // The method is part of what is signed, as at object stores: a link for GET is no link for HEAD.
    let signed = format!("{SIGNING_KEY}\nGET\n/files/{name}\n{expires}");
    hex(&Sha256::digest(signed.as_bytes())[..16])
}

/// How long a link is good for.
pub(super) const LIFE: Duration = Duration::from_secs(300);
const SIGNING_KEY: &str = "the simulation signs its links with this";
/// The faults that a file's name carries.
const DEFECTS: [Fault; 9] = [
    Fault::BrokenTransfer,
    Fault::NoRanges,
    Fault::NotPlayable,
    Fault::CutFile,
    Fault::AudioOnly,
    Fault::BlackVideo,
    Fault::HtmlFile,
    Fault::EmptyFile,
    Fault::LibraryUnplayable,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn follow(link: &str, seconds: i64) -> Result<Treatment, Denial> {
        let (name, query) = link.strip_prefix("/files/").unwrap().split_once('?').unwrap();
        verify(name, query, Timestamp::from_second(now().as_second() + seconds).unwrap())
    }

    #[test]
    fn a_link_is_good_for_five_minutes() {
        let link = sign("dusk-kite", &[], now());
        let plain = Treatment { slow: false, defect: None };
        assert_eq!(follow(&link, 0), Ok(plain));
        assert_eq!(follow(&link, 299), Ok(plain));
        assert!(matches!(follow(&link, 300), Err(Denial::Expired(_))));
        assert!(matches!(follow(&sign("a", &[Fault::LinkExpired], now()), 0), Err(Denial::Expired(_))));
    }

    #[test]
    fn a_changed_link_is_no_link() {
        let link = sign("dusk-kite", &[], now());
        let longer = link.replace("expires=1", "expires=2");
        let other = link.replace("dusk-kite", "sea-boats");
        for (changed, denial) in [
            (longer.as_str(), Denial::Mismatch),
            (&other, Denial::Mismatch),
            (&link[..link.len() - 1], Denial::Mismatch),
            ("/files/a.mp4?expires=x&signature=y", Denial::Unsigned),
            ("/files/a.mp4?expires=99999999999999999&signature=y", Denial::Unsigned),
            ("/files/a.mp4?expires=1", Denial::Unsigned),
            ("/files/a.mp4?", Denial::Unsigned),
        ] {
            assert_eq!(follow(changed, 0), Err(denial), "{changed}");
        }
        let expires = now().as_second() + 60;
        let strange = format!("/files/b.mp4?expires={expires}&signature={}", signature("b.mp4", expires));
        assert_eq!(follow(&strange, 0), Err(Denial::Missing));
    }

    #[test]
    fn a_name_carries_what_is_wrong_and_does_not_say_it() {
        for fault in DEFECTS {
            for slow in [false, true] {
                let struck = if slow { vec![Fault::SlowDrip, fault] } else { vec![fault] };
                let link = sign("dusk-kite", &struck, now());
                assert_eq!(follow(&link, 0), Ok(Treatment { slow, defect: Some(fault) }));
                assert!(!link.contains(fault.row().name));
            }
        }
    }
}
