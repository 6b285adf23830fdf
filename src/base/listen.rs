//! An address to listen on.
//!
//! A number, never a name: looking a name up is no way to decide who can reach the agent.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bounded::printable;
use super::parse::from_text;

/// An address and port to listen on. Port 0 takes any free one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Default for Listen {
    fn default() -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, 9780)))
    }
}

impl fmt::Debug for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let all = text.strip_prefix(':').filter(|port| port.parse::<u16>().is_ok());
            let hint = all.map_or(String::new(), |port| format!("; for every address write `[::]:{port}`"));
            let shown = printable(text, 60);
            format!("expected an address and a port such as `127.0.0.1:9780` or `[::1]:9780`{hint}, got `{shown}`")
        })
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "an address and a port such as `127.0.0.1:9780`")
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Listen {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "examples": ["127.0.0.1:9780", "[::]:9780"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_port_and_no_name() {
        assert_eq!("[::]:0".parse::<Listen>().unwrap().0.port(), 0);
        assert!(":9780".parse::<Listen>().unwrap_err().contains("`[::]:9780`"));
        assert!("localhost:9780".parse::<Listen>().is_err());
        assert!("127.0.0.1".parse::<Listen>().is_err());
    }
}
