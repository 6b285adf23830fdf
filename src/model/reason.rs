//! Why an attempt failed, and who is to blame: closed sets, used as metric labels, each documented in one table.
//!
//! Adding a reason is adding a row to [`Reason::ALL`]'s table; nothing may invent one at run time.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

/// Who an outcome says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The thing that is watched.
    Target,
    /// Something between the agent and the target.
    Path,
    /// The agent itself, its machine or its configuration. Never counts against the target.
    Agent,
}

impl Blame {
    /// All of them, in the order of their label values.
    pub const ALL: [Self; 3] = [Self::Target, Self::Path, Self::Agent];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Path => "path",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl Serialize for Blame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[doc = $about:literal])+ $variant:ident = $label:literal, $blame:ident;)+) => {
        /// Why an attempt failed or was degraded. Used as the metric label `reason`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $about])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the documented order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The label value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// Whom this reason blames unless the prober knows better.
            #[must_use]
            pub const fn usual_blame(self) -> Blame {
                match self { $(Self::$variant => Blame::$blame,)+ }
            }

            /// What it means, as the reference prints it.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($about),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The name did not resolve: it does not exist, or no resolver answered.
    Dns = "dns", Target;
    /// No TCP connection: refused, or no route to the address.
    Connect = "connect", Target;
    /// The TLS handshake or the certificate check failed.
    Tls = "tls", Target;
    /// The attempt's deadline passed; the detail names the phase it hit.
    Timeout = "timeout", Target;
    /// The connection was reset or closed before the answer was complete.
    Network = "network", Target;
    /// An unexpected HTTP status.
    HttpStatus = "http_status", Target;
    /// An HTTP 5xx status: the service says that it is broken.
    Unavailable = "unavailable", Target;
    /// HTTP 401 or 403: the request was not let in.
    Auth = "auth", Target;
    /// HTTP 429: the service asks for fewer requests.
    RateLimited = "rate_limited", Target;
    /// A redirect loop, too many redirects, or a redirect to somewhere that must not be followed.
    Redirect = "redirect", Target;
    /// An expectation about headers, body, certificate or content did not hold.
    Assertion = "assertion", Target;
    /// The answer was right and came too late.
    Slow = "slow", Target;
    /// The target broke the protocol.
    Protocol = "protocol", Target;
    /// More bytes came than the limit allows.
    BodyTooLarge = "body_too_large", Target;
    /// The job did not leave the queue in time.
    QueueStuck = "queue_stuck", Target;
    /// The service reported that the job failed.
    JobFailed = "job_failed", Target;
    /// The service no longer knows a job that it accepted.
    JobLost = "job_lost", Target;
    /// The job was not done when its deadline passed.
    JobExpired = "job_expired", Target;
    /// The job was called done and has no output.
    NoOutput = "no_output", Target;
    /// The file is not a playable video or image.
    NotPlayable = "not_playable", Target;
    /// The content ended before its announced length.
    Truncated = "truncated", Target;
    /// The transfer stood still for too long.
    Stalled = "stalled", Target;
    /// The content is older than allowed.
    Stale = "stale", Target;
    /// Credit was taken for a failed job and did not come back.
    CreditsLost = "credits_lost", Target;
    /// The bot acknowledged nothing.
    NoResponse = "no_response", Target;
    /// The bot acknowledged and never delivered.
    NotDelivered = "not_delivered", Target;
    /// The page's own script threw an error.
    ScriptError = "script_error", Target;
    /// The service refused this content by policy.
    ContentRefused = "content_refused", Agent;
    /// The agent's credit or quota at the service is spent.
    Quota = "quota", Agent;
    /// The agent's own budget for paid work is spent.
    Budget = "budget", Agent;
    /// The attempt was not made; the detail says why.
    Skipped = "skipped", Agent;
    /// The definition is wrong in a way that only running it could show.
    Config = "config", Agent;
    /// The agent or its machine failed: out of file descriptors, a bug, no resolver.
    Agent = "agent", Agent;
}

/// All reasons as a Markdown table: the reference that users read.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from("| reason | blame, unless known better | meaning |\n|---|---|---|\n");
    for reason in Reason::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| `{reason}` | {} | {} |", reason.usual_blame(), reason.about());
    }
    out
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_snake_case_and_documented() {
        let mut labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert!(labels.iter().all(|label| label.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')));
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|reason| reason.about().ends_with('.')));
    }
}
